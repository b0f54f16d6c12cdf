"""Loading accounts and web services, with the headers that notifications must carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from gateway.config.diagnostics import Entry, Problems, show, suggest
from gateway.config.header_values import is_name, unsendable
from gateway.config.lint import misplaced_in
from gateway.config.loaded import Account, Headers, Networks, Webservice
from gateway.config.merge import Whole
from gateway.config.references import Looked, References, has_stand_in, plain
from gateway.config.schema import AccountTable, DoformsTable, WebhookTable, WebserviceTable
from gateway.config.validate import validate
from gateway.mistakes import Place
from gateway.models import Retry
from gateway.text.mask import Login
from gateway.text.visible import visible

FETCH_RETRY = Retry(first=1.0, factor=3.0, max=3600.0)
"""When fetching is tried again, unless ``fetch_retry`` says otherwise."""
REPORT_RETRY = Retry()
"""When reporting is tried again, unless ``report_retry`` says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """What ``[webhook]`` says."""

    path: str = ""
    headers: Headers = ()
    trusted_proxies: Networks = ()


def load_webhook(entry: Entry, references: References, problems: Problems) -> Webhook:
    """Return what ``[webhook]`` says."""
    judge = misplaced_in("[webhook]", WebhookTable)
    resolved = references.resolve(entry)
    table = validate(WebhookTable, entry, resolved, problems, misplaced=judge)
    if table is None:
        return Webhook()
    headers = _headers(entry, resolved, table.headers, problems)
    return Webhook(path=table.path, headers=headers, trusted_proxies=table.trusted_proxies)


def _headers(
    entry: Entry, resolved: Mapping[str, Any], headers: Mapping[str, Iterable[SecretStr]], problems: Problems
) -> Headers:
    collected: dict[str, tuple[SecretStr, ...]] = {}
    for name, values in headers.items():
        kept = tuple(values)
        if not kept:
            found = "none of its values is set"
            problems.add(entry, ("headers", name), found, "Set at least one of them, or remove the header")
        if name.lower() in collected:
            problems.add(entry, ("headers", name), "the header stands twice", "Put its values into one list")
        if not is_name(name):
            found = f"{show(visible(name))} is no name of a header"
            problems.add(entry, ("headers", name), found, 'Write letters, digits and hyphens, such as "X-Webhook-Key"')
            continue
        _refuse_unsendable(entry, ("headers", name), resolved["headers"][name], problems)
        collected[name.lower()] = kept
    return tuple(collected.items())


def _refuse_unsendable(entry: Entry, path: Place, value: Any, problems: Problems, *, latin: bool = True) -> None:
    """Note secrets that no header can carry, without telling them; ``value`` is a resolved reference, or a list."""
    for secret in value if isinstance(value, list) else [value]:
        if not isinstance(secret, Looked) or secret.stand_in or (why := unsendable(secret, latin=latin)) is None:
            continue
        remedy = (
            "Write the secret alone, for a file with `printf %s 'SECRET' > FILE`; one line end at its end is allowed"
        )
        problems.add(entry, path, f"no header can carry the secret of `{secret.origin}`: it holds {why}", remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What the routes may ask of a declared web service; None is not known, because its table has mistakes."""

    form: str | None
    project: str | None
    account: str | None


def load_webservices(
    whole: Whole, references: References, problems: Problems
) -> tuple[dict[str, Webservice], list[Declared]]:
    """Return the web services by id, and what is declared, be it right or wrong."""
    loaded: dict[str, Webservice] = {}
    declared: list[Declared] = []
    known = set(whole.named["accounts"])
    entries = whole.named["webservices"]
    known |= {_implied(ident) for entry in entries.values() if isinstance(ident := entry.table.get("id"), str)}
    for name, entry in entries.items():
        judge = misplaced_in("[webservices.NAME]", WebserviceTable)
        resolved = references.resolve(entry)
        declared.append(_declared(resolved))
        table = validate(WebserviceTable, entry, resolved, problems, misplaced=judge, forgiven=references.forgiven)
        if table is None:
            continue
        if table.account is not None and table.account not in known:
            found = f'there is no account "{table.account}"'
            problems.add(entry, ("account",), found, suggest(table.account, known, kind="account"))
        if table.id in loaded:
            found = f"the id is also that of webservices.{loaded[table.id].name}"
            problems.add(entry, ("id",), found, "Each web service has an id of its own: correct or remove one")
            continue
        _refuse_unsendable(entry, ("password",), resolved.get("password"), problems, latin=False)
        if table.password is not None and not has_stand_in(resolved):  # too short a password is masked only so
            login = Login(f"{table.id}:{table.password.get_secret_value()}")
            references.secrets.append(login)
            references.learn([login])
        loaded[table.id] = Webservice(
            name=name,
            id=table.id,
            password=table.password,
            form=table.form,
            project=table.project,
            account=table.account or _implied(table.id),
            api=table.api,
            notifications=table.notifications,
            vars=plain(table.vars),
        )
    return loaded, declared


def _declared(table: Mapping[str, Any]) -> Declared:
    def known(key: str, otherwise: str | None = None) -> str | None:
        value = table.get(key, otherwise)
        return str(value) if isinstance(value, str) and not has_stand_in(value) else None

    ident = known("id")
    account = known("account", None if ident is None else _implied(ident))
    return Declared(form=known("form"), project=known("project", ""), account=account)


def _implied(ident: str) -> str:
    """Return the account that an id names: the text before the first ``$$``."""
    return ident.partition("$$")[0] or ident


def load_accounts(
    whole: Whole, webservices: Iterable[Webservice], references: References, problems: Problems
) -> dict[str, Account]:
    """Return the accounts: the declared ones, and those that web services imply."""
    entry = whole.single["doforms"]
    judge = misplaced_in("[doforms]", DoformsTable)
    defaults = validate(DoformsTable, entry, references.resolve(entry), problems, misplaced=judge) or DoformsTable()
    loaded = {}
    for name, declared in whole.named["accounts"].items():
        judge = misplaced_in("[accounts.NAME]", AccountTable)
        resolved = references.resolve(declared)
        table = validate(AccountTable, declared, resolved, problems, misplaced=judge)
        if table is not None:
            loaded[name] = _account(name, table, defaults, _headers(declared, resolved, table.headers, problems))
    for webservice in webservices:
        if webservice.account not in loaded:
            loaded[webservice.account] = _account(webservice.account, AccountTable(), defaults, ())
    return loaded


def _account(name: str, own: AccountTable, defaults: DoformsTable, headers: Headers) -> Account:
    fetch = defaults.fetch_retry.over(FETCH_RETRY)
    report = defaults.report_retry.over(REPORT_RETRY)
    return Account(
        name=name,
        api=own.api or defaults.api,
        notifications=own.notifications or (defaults.notifications if own.api is None else None),
        report=defaults.report if own.report is None else own.report,
        expected_fetch=defaults.expected_fetch if own.expected_fetch is None else own.expected_fetch,
        requests_per_minute=own.requests_per_minute or defaults.requests_per_minute,
        max_in_flight=own.max_in_flight or defaults.max_in_flight,
        fetch_retry=own.fetch_retry.over(fetch) if own.fetch_retry else fetch,
        report_retry=own.report_retry.over(report) if own.report_retry else report,
        attachment_retry=_attachment_retry(own, defaults, fetch),
        blob_path=own.blob_path or defaults.blob_path,
        largest_attachment=(defaults.largest_attachment if own.largest_attachment is None else own.largest_attachment),
        attachment_types=own.attachment_types or defaults.attachment_types,
        attachment_hosts=defaults.attachment_hosts if own.attachment_hosts is None else own.attachment_hosts,
        proxy=own.proxy or defaults.proxy,
        headers=headers,
    )


def _attachment_retry(own: AccountTable, defaults: DoformsTable, fetch: Retry) -> Retry:
    """Return ``attachment_retry``: the account's own over that of ``[doforms]``, over ``fetch_retry``."""
    below = own.fetch_retry.over(fetch) if own.fetch_retry else fetch
    retry = defaults.attachment_retry.over(below)
    return own.attachment_retry.over(retry) if own.attachment_retry else retry
