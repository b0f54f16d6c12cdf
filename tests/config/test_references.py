"""References to the environment and to files."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.api import peek
from tests.support.routes_files import ENVIRON, HEAD, route

SECRET = "s3cr3t-Word"


def office(password: str, more: str = "") -> str:
    return (
        f'[destinations.office]\nplugin = "email"\nhost = "mail"\nfrom = "a@example.com"\nusername = "me"\n'
        f"password = {password}\n{more}"
    )


def password_of(loaded) -> str:
    return loaded.destinations["office"].instance.settings.password.get_secret_value()


@pytest.mark.parametrize("text", [SECRET, f"{SECRET}\n", f"{SECRET}\r\n"])
def test_a_secret_is_looked_up_and_one_newline_at_its_end_stripped(load_text, tmp_path: Path, text: str) -> None:
    (tmp_path / "secret").write_bytes(text.encode())
    loaded = load_text(HEAD + office('"env:PASSWORD"'), environ={**ENVIRON, "PASSWORD": text})
    assert password_of(loaded) == SECRET
    assert password_of(load_text(HEAD + office(f'"file:{tmp_path}/secret"'))) == SECRET


@pytest.mark.parametrize("text", [f"{SECRET}\n\n", f" {SECRET} \n"])
def test_nothing_else_of_it_is_stripped(load_text, text: str) -> None:
    loaded = load_text(HEAD + office('"env:PASSWORD"'), environ={**ENVIRON, "PASSWORD": text})
    assert password_of(loaded) == text[:-1]


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("env:UNSET", "the environment variable UNSET is not set"),
        ("env:EMPTY", "the environment variable EMPTY is empty"),
        ("env:NEWLINE", "the environment variable NEWLINE is empty"),
        ("file:nowhere", "there is no file"),
        ("file:empty", "is empty"),
        ("file:.", "cannot be read"),
        ("file:latin", "it is not UTF-8 text"),
    ],
)
def test_one_that_leads_nowhere_or_to_nothing_is_an_error(problems, tmp_path: Path, reference: str, found: str) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    environ = {**ENVIRON, "EMPTY": "", "NEWLINE": "\n"}
    [problem] = problems(HEAD + office(f'"{reference}"'), environ=environ)
    assert problem.where == "destinations.office.password"
    assert found in problem.found
    assert f"`{reference}?`" in problem.remedy


@pytest.mark.parametrize("reference", ["env:UNSET?", "env:EMPTY?", "file:/nowhere?"])
def test_a_question_mark_forgives_one_that_leads_nowhere(load_text, reference: str) -> None:
    text = HEAD + office(f'"{reference}"').replace('username = "me"\n', "")
    loaded = load_text(text, environ={**ENVIRON, "EMPTY": ""})
    assert loaded.destinations["office"].instance.settings.password is None


def test_a_forgiven_one_that_is_needed_is_told(problems) -> None:
    [problem] = problems(HEAD.replace('"https://service.example.com/api"', '"env:UNSET?"'))
    assert (problem.where, problem.found) == ("destinations.service.url", "`url` is missing: its reference is unset")


def test_a_forgiven_header_value_is_left_out_of_its_list(load_text) -> None:
    text = HEAD.replace('["env:WEBHOOK_KEY"]', '["env:OLD?", "env:WEBHOOK_KEY"]')
    [(name, values)] = load_text(text).headers
    assert (name, [value.get_secret_value() for value in values]) == ("x-webhook-key", ["open-sesame"])


def test_a_header_of_which_no_value_is_set_is_an_error(problems) -> None:
    [problem] = problems(HEAD.replace('"env:WEBHOOK_KEY"', '"env:OLD?"'))
    assert (problem.where, problem.found) == ("webhook.headers.X-Webhook-Key", "none of its values is set")


def test_a_file_url_is_no_reference(load_text, tmp_path: Path) -> None:
    loaded = load_text(HEAD + f'[destinations.folder]\nplugin = "file"\nroot = "file://{tmp_path}"\n')
    assert loaded.destinations["folder"].instance.settings.root == f"file://{tmp_path}"


@pytest.mark.parametrize(
    "text", ["env:", "file:", "file://x", "env :X", "Xenv:Y", "ENV:WEBHOOK_KEY", "see env:WEBHOOK_KEY"]
)
def test_only_a_whole_value_is_a_reference(load_text, text: str) -> None:
    loaded = load_text(HEAD.replace('form = "Site inspection"', f'form = "F"\nvars = {{ note = "{text}" }}'))
    assert loaded.webservices["acme$$1$$Published$$2"].vars == {"note": text}


def test_references_work_in_every_place_that_connects(load_text) -> None:
    environ = {**ENVIRON, "ANY": "https://any.example.com", "NUMBER": "7", "TRUTH": "false", "SPAN": "3s"}
    text = (
        HEAD.replace('url = "https://service.example.com/api"', 'url = "env:ANY"')
        + '[accounts.acme]\napi = "env:ANY"\nmax_in_flight = "env:NUMBER"\nheaders = { Y = "env:ANY" }\n'
        + '[doforms]\nreport = "env:TRUTH"\nexpected_fetch = "env:SPAN"\n'
        + '[webservices.other]\nid = "env:ANY"\nform = "env:ANY"\nvars = { deep = { list = ["env:ANY"] } }\n'
        + office('"env:ANY"', 'port = "env:NUMBER"\ntimeout = "env:SPAN"\nenabled = "env:TRUTH"\n')
    )
    loaded = load_text(text, environ=environ)
    account, office_ = loaded.accounts["acme"], loaded.destinations["office"]
    assert (account.api, account.max_in_flight, account.report, account.expected_fetch) == (environ["ANY"], 7, False, 3)
    assert account.headers[0][1][0].get_secret_value() == environ["ANY"]
    assert loaded.webservices[environ["ANY"]].vars == {"deep": {"list": [environ["ANY"]]}}
    assert (office_.instance.settings.port, office_.timeout, office_.enabled) == (7, 3.0, False)


def test_in_options_a_reference_is_plain_text(load_text) -> None:
    deliver = 'to = "table"\ntable = "env:UNSET"\ncolumns = { a = "file:/nowhere", b = "env:UNSET" }'
    [spec] = load_text(HEAD + route(deliver)).routes[0].deliveries
    assert spec.options.table == "env:UNSET"
    assert peek(spec.options.columns) == {"a": "file:/nowhere", "b": "env:UNSET"}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (HEAD + office(f'"{SECRET}"'), "destinations.office.password"),
        (HEAD.replace("env:SITE_PASSWORD", SECRET), "webservices.site.password"),
        (HEAD.replace("env:WEBHOOK_KEY", SECRET), "webhook.headers.X-Webhook-Key[0]"),
        (HEAD + f'[accounts.acme]\nheaders = {{ X = "{SECRET}" }}\n', "accounts.acme.headers.X"),
        (HEAD.replace('{ X-Webhook-Key = ["env:WEBHOOK_KEY"] }', f'"{SECRET}"'), "webhook.headers"),
        (HEAD + f'auth = "{SECRET}"\n', "destinations.service.auth"),
        (HEAD + f'auth = {{ type = "bearer", token = "{SECRET}" }}\n', "destinations.service.auth.token"),
        (HEAD + f'auth = {{ type = "baerer", token = "{SECRET}" }}\n', "destinations.service.auth"),
        (HEAD + office(f'"{SECRET}"').replace("password", "pasword"), "destinations.office.pasword"),
    ],
)
def test_a_secret_in_the_clear_is_refused_and_not_repeated(problems, text: str, where: str) -> None:
    found = problems(text)
    assert where in [problem.where for problem in found]
    assert SECRET not in "".join(map(str, found))


def test_a_secret_in_the_clear_is_told_with_the_way_out(problems) -> None:
    [problem] = problems(HEAD.replace("env:WEBHOOK_KEY", SECRET))
    assert problem.found == "`X-Webhook-Key` is a secret and stands in the file in the clear"
    assert 'X-Webhook-Key = ["env:NAME"]' in problem.remedy
    assert '"file:/run/secrets/NAME"' in problem.remedy


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://gateway:{SECRET}@db/warehouse",
        f"postgresql://:{SECRET}@db/warehouse",
        f"postgresql://gateway:{SECRET}/x@db/warehouse",
        f"postgresql://gateway@db/warehouse?password={SECRET}",
        f"mysql+nosuch://gateway:{SECRET}@db/warehouse",
    ],
)
def test_a_password_inside_a_database_url_is_an_error_that_does_not_repeat_it(problems, url: str) -> None:
    found = problems(HEAD.replace("sqlite:///table.db", url))
    assert "destinations.table.url" in [problem.where for problem in found]
    assert SECRET not in "".join(map(str, found))


def test_behind_a_reference_a_url_may_hold_its_password(load_text) -> None:
    url = f"postgresql+psycopg://gateway:{SECRET}@db/warehouse"
    loaded = load_text(HEAD.replace("sqlite:///table.db", "env:URL"), environ={**ENVIRON, "URL": url})
    assert loaded.destinations["table"].instance.settings.url == url
    assert {url, SECRET} <= set(loaded.secrets)


@pytest.mark.parametrize("url", ["https://service.example.com:8080/a@b", "https://service.example.com/a:b@c"])
def test_an_address_with_a_port_or_a_colon_holds_no_password(load_text, url: str) -> None:
    assert load_text(HEAD.replace("https://service.example.com/api", url)).destinations


@pytest.mark.parametrize(
    "text",
    [
        HEAD.replace("https://service.example.com/api", "env:LOST"),
        HEAD.replace("sqlite:///table.db", "env:LOST"),
        HEAD.replace('form = "Site inspection"', 'form = "F"\naccount = "env:LOST"'),
        HEAD
        + office('"env:SITE_PASSWORD"', 'port = "env:LOST"\nsecurity = "env:LOST"\nretry = { first = "env:LOST" }\n'),
        HEAD + '[accounts.acme]\napi = "env:LOST"\nmax_in_flight = "env:LOST"\nreport = "env:LOST"\n',
        HEAD + '[gateway]\ntimezone = "env:LOST"\nunmatched = "env:LOST"\nstore = "env:LOST"\n',
    ],
)
def test_what_came_out_of_a_reference_is_in_no_error_text(problems, text: str) -> None:
    for value in (SECRET, f"postgresql+nosuch://user:{SECRET}@host:port/x"):
        found = problems(text, environ={**ENVIRON, "LOST": value})
        assert SECRET not in "".join(map(str, found))


def test_secrets_are_not_printed_with_what_was_loaded(load_text) -> None:
    loaded = load_text(HEAD + office('"env:PASSWORD"'), environ={**ENVIRON, "PASSWORD": SECRET})
    assert SECRET not in repr(loaded) + repr(loaded.destinations["office"].instance.settings)
    assert SECRET in loaded.secrets


def test_without_secrets_nothing_is_looked_up_and_everything_else_is_checked(load_text, problems) -> None:
    text = HEAD.replace("https://service.example.com/api", "env:URL").replace(
        "form = ", 'vars = { a = "env:A" }\nform = '
    )
    text += office('"env:PASSWORD"', 'port = "env:PORT"\ntimeout = "env:SPAN"\n') + route()
    loaded = load_text(text, environ={}, secrets=False)
    assert (len(loaded.routes), loaded.secrets) == (1, ())
    found = problems(text.replace("password", "pasword", 1) + 'wirte = "x"\n', environ={}, secrets=False)
    assert [problem.where for problem in found] == ["webservices.site.pasword", "routes[one].deliver[0].wirte"]


def test_without_secrets_a_form_behind_a_reference_may_be_any(load_text) -> None:
    text = HEAD.replace('form = "Site inspection"', 'form = "env:FORM"') + route(more='form = "Any"')
    assert load_text(text, environ={}, secrets=False).routes
