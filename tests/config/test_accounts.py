"""Web services, the accounts they belong to, and the defaults of ``[doforms]``."""

from __future__ import annotations

import pytest

from gateway.config.loaded import notifications_of
from gateway.models import Retry, Unmatched
from tests.support.routes_files import HEAD


def service(name: str, more: str = "", ident: str = "") -> str:
    return f'[webservices.{name}]\nid = "{ident or name}"\nform = "F"\n{more}\n'


@pytest.mark.parametrize(
    ("ident", "account"),
    [("acme$$1234$$Published$$5678", "acme"), ("acme$1$$2", "acme$1"), ("plain", "plain"), ("$$1$$2", "$$1$$2")],
)
def test_a_web_service_belongs_to_the_account_before_the_first_dollars(load_text, ident: str, account: str) -> None:
    loaded = load_text(service("one", ident=ident))
    assert loaded.webservices[ident].account == account
    assert list(loaded.accounts) == [account]


def test_an_account_can_be_named(load_text) -> None:
    text = '[accounts.acme-eu]\napi = "https://eu.example.com/api/"\n' + service(
        "one", 'account = "acme-eu"', "acme$$1"
    )
    loaded = load_text(text)
    assert loaded.webservices["acme$$1"].account == "acme-eu"
    assert loaded.accounts["acme-eu"].api == "https://eu.example.com/api"


def test_an_unknown_account_suggests_the_nearest(problems) -> None:
    [problem] = problems("[accounts.acme-eu]\n" + service("one", 'account = "acme-ue"', "acme$$1"))
    assert (problem.where, problem.found) == ("webservices.one.account", 'there is no account "acme-ue"')
    assert problem.remedy == "Did you mean `acme-eu`? Known: `acme`, `acme-eu`."


def test_two_web_services_with_one_id_are_an_error(problems) -> None:
    [problem] = problems(service("one", ident="x") + service("two", ident="x"))
    assert (problem.where, problem.found) == ("webservices.two.id", "the id is also that of webservices.one")


def test_left_out_everything_has_its_default(load_text) -> None:
    loaded = load_text(service("one", ident="acme$$1"))
    account = loaded.accounts["acme"]
    assert account.api == "https://api.mydoforms.com/api/v2"
    assert (account.report, account.expected_fetch) == (True, 0.5)
    assert (account.requests_per_minute, account.max_in_flight) == (600, 4)
    assert account.report_retry == Retry()
    assert loaded.webservices["acme$$1"].project == ""
    assert (loaded.answer_within, loaded.unmatched, loaded.retention) == (2.5, Unmatched.KEEP, 90 * 86_400)
    assert (str(loaded.timezone), loaded.path, loaded.headers) == ("UTC", "/webhooks/doforms", ())
    assert loaded.store.endswith("/gateway.db")


def test_doforms_gives_the_defaults_and_an_account_its_own(load_text) -> None:
    text = """
[doforms]
api = "https://all.example.com"
report = false
expected_fetch = "1s"
requests_per_minute = 60
max_in_flight = 2
blob_path = "files/{id}"
attachment_retry = { attempts = 5 }
largest_attachment = "2MB"
attachment_types = ["image/*", "application/pdf"]
fetch_retry = { first = "7s", attempts = 3 }
report_retry = { max = "1h" }
[accounts.own]
api = "https://own.example.com"
report = true
expected_fetch = "0s"
requests_per_minute = 30
max_in_flight = 1
fetch_retry = { attempts = 9 }
headers = { X-Own = "env:WEBHOOK_KEY" }
"""
    accounts = load_text(text + service("one", ident="implied$$1")).accounts
    implied, own = accounts["implied"], accounts["own"]
    assert (implied.api, implied.report, implied.expected_fetch) == ("https://all.example.com", False, 1.0)
    assert (implied.requests_per_minute, implied.max_in_flight, implied.blob_path) == (60, 2, "files/{id}")
    assert (own.api, own.report, own.expected_fetch) == ("https://own.example.com", True, 0.0)
    assert (own.requests_per_minute, own.max_in_flight, own.blob_path) == (30, 1, "files/{id}")
    assert (own.fetch_retry.first, own.fetch_retry.attempts, implied.fetch_retry.attempts) == (7.0, 9, 3)
    assert own.report_retry == Retry(max=3600.0)
    assert (implied.attachment_retry.first, implied.attachment_retry.attempts) == (7.0, 5)
    assert (own.attachment_retry.first, own.attachment_retry.attempts) == (7.0, 5)
    assert (implied.largest_attachment, implied.attachment_types) == (2_000_000, ("image/*", "application/pdf"))
    assert (own.headers[0][0], implied.headers) == ("x-own", ())


def test_the_webhook_is_loaded_with_lower_case_headers(load_text) -> None:
    loaded = load_text(HEAD.replace("[webhook]", '[webhook]\npath = "/in/"'))
    assert (loaded.path, [name for name, _ in loaded.headers]) == ("/in", ["x-webhook-key"])


def test_a_header_that_stands_twice_in_other_letters_is_an_error(problems) -> None:
    [problem] = problems('[webhook]\nheaders = { X-A = "env:WEBHOOK_KEY", x-a = "env:WEBHOOK_KEY" }\n')
    assert (problem.where, problem.found) == ("webhook.headers.x-a", "the header stands twice")


@pytest.mark.parametrize(
    ("text", "where", "found", "remedy"),
    [
        (
            '[gateway]\nanswer_within = "3s"',
            "gateway.answer_within",
            "3 s is too long: doForms waits 3 s",
            'less than "3s"',
        ),
        ('[gateway]\nanswer_within = "0s"', "gateway.answer_within", "no time at all", "above zero"),
        ("[gateway]\nretention = 90", "gateway.retention", "90 is no duration", "ms, s, m, h or d"),
        ('[gateway]\ntimezone = "Mars/Base"', "gateway.timezone", '"Mars/Base" is no time zone', "Europe/Berlin"),
        ('[gateway]\nunmatched = "kep"', "gateway.unmatched", '"kep" is not allowed here', 'Did you mean "keep"?'),
        ("[gateway]\nmin_free_disk = 64", "gateway.min_free_disk", "64 is no size", 'such as "64MB"'),
        ("[gateway]\nbacklog_limit = 0", "gateway.backlog_limit", "0: ", "Change it"),
        ("[gateway]\nbacklog_limit = 1.5", "gateway.backlog_limit", "1.5 is not a whole number", "a whole number"),
        ('[doforms]\napi = "api.mydoforms.com"', "doforms.api", "is no web address", "https://"),
        ('[doforms]\nreport = "perhaps"', "doforms.report", '"perhaps" is not true or false', "true or false"),
        ("[doforms]\nreprot = true", "doforms.reprot", "is no key of this table", "Did you mean `report`?"),
        ("[doforms]\nheaders = {}", "doforms.headers", "is no key of [doforms]", "It belongs to [webhook]"),
        (
            '[doforms]\nfetch_retry = { frist = "1s" }',
            "doforms.fetch_retry.frist",
            "is no key",
            "Did you mean `first`?",
        ),
        ('[webhook]\npath = "in"', "webhook.path", '"in" is no path', "/webhooks/doforms"),
        ('[webservices.one]\nform = "F"', "webservices.one.id", "`id` is missing", "Add `id`"),
        ('[webservices.one]\nid = "x"\nform = " "', "webservices.one.form", "the text is empty", "Write a text"),
        ("[webservices]\nid = 5", "webservices.id", "5 is not a table", "[webservices.NAME]"),
        ("webservices = 5", "webservices", "5 is not a table", "[webservices.NAME]"),
        ("gateway = 5", "gateway", "5 is not a table", "[gateway]"),
        ("[gatway]", "gatway", "`gatway` is no table of a routes file", "Did you mean `gateway`?"),
        ('retention = "1d"', "retention", "stands at the top of the file", "Move it below [gateway]"),
        ('[gateway]\ninclude = ["x"]', "gateway.include", "is no key of [gateway]", "the top of the file"),
    ],
)
def test_a_wrong_key_or_value_is_told_with_its_place_and_remedy(
    problems, text: str, where: str, found: str, remedy: str
) -> None:
    [problem] = problems(text)
    assert problem.where == where
    assert found in problem.found
    assert remedy in problem.remedy


def test_proxy_and_hosts_of_downloads_are_those_of_the_account_or_of_doforms(load_text) -> None:
    text = (
        """
[doforms]
proxy = "http://proxy.example:3128"
attachment_hosts = ["Files.Example"]
[accounts.acme]
proxy = "env:PROXY"
attachment_hosts = "*.files.example"
[accounts.other]
"""
        + service("one", ident="acme$$1")
        + service("two", ident="other$$1")
    )
    loaded = load_text(text, environ={"PROXY": "http://user:pass-word@proxy.example:3128"})
    acme, other = loaded.accounts["acme"], loaded.accounts["other"]
    assert acme.proxy.get_secret_value() == "http://user:pass-word@proxy.example:3128"
    assert "pass-word" in loaded.secrets
    assert (other.proxy, acme.attachment_hosts) == ("http://proxy.example:3128", ("*.files.example",))
    assert other.attachment_hosts == ("files.example",)


def test_proxy_of_the_environment_is_a_word(load_text) -> None:
    assert load_text('[doforms]\nproxy = "env"\n' + service("one", ident="acme$$1")).accounts["acme"].proxy == "env"
    assert load_text(service("one", ident="acme$$1")).accounts["acme"].proxy is None


def test_proxy_behind_a_reference_is_not_looked_up_where_no_secret_is(load_text) -> None:
    text = '[doforms]\nproxy = "env:NOWHERE"\n' + service("one", ident="acme$$1")
    assert load_text(text, environ={}, secrets=False).accounts


@pytest.mark.parametrize("table", ["doforms", "accounts.acme"])
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('proxy = "http://user:pass@proxy.example:3128"', "there is a password inside the URL"),
        ('proxy = "socks5://proxy.example"', "this proxy cannot be used: it is a SOCKS proxy"),
        ('proxy = "proxy.example:3128"', "this proxy cannot be used: it is no web address"),
        ('proxy = "env:BROKEN"', "this proxy cannot be used: it is no web address"),
        ("proxy = true", "is no text"),
        ('attachment_hosts = "https://files.example"', "is no name of a host"),
        ('attachment_hosts = ["files.example", "*"]', "is no name of a host"),
        ('attachment_hosts = "*.example"', "would let answers lead anywhere"),
        ('attachment_hosts = ""', "is no name of a host"),
    ],
)
def test_proxy_or_host_that_cannot_be_used_is_told(problems, table: str, line: str, found: str) -> None:
    text = f"[{table}]\n{line}\n" + service("one", ident="acme$$1")
    [problem] = problems(text, environ={"BROKEN": "pass-word@nowhere"})
    assert problem.where.startswith(f"{table}.{line.partition(' ')[0]}")
    assert found in problem.found
    assert "pass-word" not in str(problem)


APPSPOT = "https://api-dot-mydoforms-hrd.appspot.com/api/v2/notifications/{key}"
OWN = "https://own.example/told/{key}"


@pytest.mark.parametrize(
    ("doforms", "account", "webservice", "url"),
    [
        ("", "", "", APPSPOT),
        ('api = "https://api.mydoforms.com/api/v2/"', "", "", APPSPOT),
        (
            'api = "https://api.eu.mydoforms.com/api/v2"',
            "",
            "",
            "https://api.eu.mydoforms.com/api/v2/notifications/{key}",
        ),
        ("", 'api = "https://a.example/v2"', "", "https://a.example/v2/notifications/{key}"),
        ("", "", 'api = "https://w.example/v2"', "https://w.example/v2/notifications/{key}"),
        (f'notifications = "{OWN}"', "", "", OWN),
        (f'notifications = "{OWN}"', 'api = "https://a.example/v2"', "", "https://a.example/v2/notifications/{key}"),
        ('api = "https://d.example/v2"', f'notifications = "{OWN}"', "", OWN),
        ("", f'notifications = "{OWN}"', 'api = "https://w.example/v2"', "https://w.example/v2/notifications/{key}"),
        ("", 'api = "https://a.example/v2"', f'notifications = "{OWN}"', OWN),
    ],
)
def test_outcomes_are_told_where_the_nearest_setting_says(
    load_text, doforms: str, account: str, webservice: str, url: str
) -> None:
    text = (
        f'[doforms]\n{doforms}\n[accounts.acme]\n{account}\n[webservices.w]\nid = "acme$$1"\nform = "F"\n{webservice}\n'
    )
    routes = load_text(text)
    [one] = routes.webservices.values()
    assert notifications_of(one, routes.accounts["acme"]) == url


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("ftp://h/{key}", "is no web address"),
        ("notifications/{key}", "is no web address"),
        ("https://h/notifications", "does not say where the notification's key goes"),
        ("https://h/{key}/{key}", "does not say where the notification's key goes"),
        ("https://{key}.example/n", "does not say where the notification's key goes"),
        ("https://h/n-{key}", "does not say where the notification's key goes"),
        ("https://h/n?key={key}", "does not say where the notification's key goes"),
        ("https://h/{key}?a=b", "holds more than a host and a path"),
        ("https://u:p@h/{key}", "holds more than a host and a path"),
    ],
)
def test_a_url_for_outcomes_that_cannot_be_one_is_refused(problems, url: str, found: str) -> None:
    [told] = problems(f'[doforms]\nnotifications = "{url}"\n')
    assert told.where == "doforms.notifications"
    assert found in told.found
