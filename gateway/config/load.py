"""Loading the routes file: read, merge, validate, and either a whole `Routes` or every problem at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pydantic_core import PydanticCustomError

from gateway.config.diagnostics import Entry, Problems
from gateway.config.lint import misplaced_in
from gateway.config.load_accounts import load_accounts, load_webhook, load_webservices
from gateway.config.load_destinations import Registry, load_destinations, refuse_reserved_names
from gateway.config.load_reconcile import load_reconcile
from gateway.config.load_routes import RouteLoader
from gateway.config.loaded import Routes
from gateway.config.merge import Whole, check_shared, combine
from gateway.config.read import read
from gateway.config.references import References, has_stand_in
from gateway.config.schema import GatewayTable
from gateway.config.store_url import spool_folder, store_url, with_password
from gateway.config.validate import validate
from gateway.destinations.destination import Context
from gateway.destinations.options import Resolved

__all__ = ["Registry", "load", "names_in", "refuse_reserved_names", "store_of"]


def load(
    file: Path,
    registry: Registry,
    *,
    make_context: Callable[[str], Context],
    environ: Mapping[str, str] = os.environ,
    secrets: bool = True,
    calls: bool = False,
    learn: Callable[[Iterable[str]], None] = lambda secrets: None,
) -> Routes:
    """Load the routes file and what it includes.

    ``secrets=False`` looks no reference up, but for that of the store where it is set: stand-ins take the place of the
    values, and a destination that cannot be built from them is left out. ``calls=True`` looks up what calls to doForms
    need all the same: the references of accounts and web services. ``learn`` is told each secret when it is looked up,
    before a plugin gets it.

    Raises:
        RoutesFileError: with every problem at once, in file order.
        PluginError: a plugin cannot be used.
    """
    problems = Problems()
    whole = combine(read(file, problems), problems)
    check_shared(whole.named["shared"], problems)
    references = References(environ, problems, look_up=secrets, learn=learn)
    gateway, store = _gateway(whole, environ, references, problems)
    webhook = load_webhook(whole.single["webhook"], references, problems)
    calling = References(environ, problems, learn=learn) if calls and not secrets else references
    webservices, declared = load_webservices(whole, calling, problems)
    accounts = load_accounts(whole, webservices.values(), calling, problems)
    reconcile = load_reconcile(whole, references, problems)
    destinations = load_destinations(whole.named["destinations"], registry, references, make_context, problems)
    routes = RouteLoader(whole, destinations, declared, problems).load()
    looked_up = tuple(dict.fromkeys([*references.secrets, *calling.secrets]))
    problems.raise_any(looked_up)
    return Routes(
        file=file,
        store=store,
        answer_within=gateway.answer_within,
        unmatched=gateway.unmatched,
        retention=gateway.retention,
        timezone=gateway.timezone,
        backlog_limit=gateway.backlog_limit,
        min_free_disk=gateway.min_free_disk,
        spool=spool_folder(gateway.spool, store=store, entry_folder=whole.single["gateway"].folder, file=file),
        shutdown_grace=gateway.shutdown_grace,
        lease=gateway.lease,
        path=webhook.path,
        headers=webhook.headers,
        trusted_proxies=webhook.trusted_proxies,
        accounts=accounts,
        webservices=webservices,
        reconcile=reconcile,
        destinations={name: each.entry for name, each in destinations.items() if each.entry is not None},
        routes=routes,
        secrets=looked_up,
        secret_files=tuple(dict.fromkeys([*references.files, *calling.files])),
    )


def store_of(file: Path, *, environ: Mapping[str, str] = os.environ) -> str:
    """Read only where the store is, for commands that need nothing else of the routes file.

    Raises:
        RoutesFileError: the file cannot be read, or its ``[gateway]`` table has problems.
    """
    return _alone(file, environ)[2]


def spool_folder_of(file: Path, *, environ: Mapping[str, str] = os.environ) -> Path:
    """Read only where the folder for attachments is; raises what `store_of` raises."""
    whole, gateway, store = _alone(file, environ)
    return spool_folder(gateway.spool, store=store, entry_folder=whole.single["gateway"].folder, file=file)


def names_in(file: Path) -> tuple[set[str], set[str]]:
    """Read only the names of the routes and of the destinations, for commands that need no plugin.

    Raises:
        RoutesFileError: the file cannot be read or put together; other mistakes in it do not matter.
    """
    problems = Problems()
    whole = combine(read(file, problems), problems)
    problems.raise_any()
    named = (entry.table.get("name") for entry in whole.routes)
    return {name for name in named if isinstance(name, str)}, {*whole.named["destinations"]}


def _alone(file: Path, environ: Mapping[str, str]) -> tuple[Whole, GatewayTable, str]:
    """Read ``[gateway]`` and nothing else."""
    problems = Problems()
    whole = combine(read(file, Problems()), Problems())
    references = References(environ, problems)
    gateway, store = _gateway(whole, environ, references, problems)
    problems.raise_any(references.secrets)
    return whole, gateway, store


def _gateway(
    whole: Whole, environ: Mapping[str, str], references: References, problems: Problems
) -> tuple[GatewayTable, str]:
    """Return ``[gateway]`` and the store's URL; an empty URL stands for one that was not looked up."""
    entry = whole.single["gateway"]
    table = references.resolve(entry)
    if has_stand_in(table.get("store")) and not references.look_up:
        table["store"] = _store_if_set(entry, environ, references) or table["store"]
    gateway = validate(GatewayTable, entry, table, problems, misplaced=misplaced_in("[gateway]", GatewayTable))
    text = table.get("store", GatewayTable().store)
    store = ""
    if isinstance(text, str) and text.strip() and not has_stand_in(text):
        try:
            store = store_url(text, entry.folder)
            if gateway is not None and gateway.store_password is not None:
                store = with_password(store, gateway.store_password.get_secret_value())
        except PydanticCustomError as error:
            context = error.context or {}
            place = ("store_password",) if store else ("store",)
            problems.add(entry, place, str(context["found"]), str(context["remedy"]))
    return gateway or GatewayTable(), store


def _store_if_set(entry: Entry, environ: Mapping[str, str], references: References) -> Resolved | None:
    looking = References(environ, Problems())
    resolved = looking.resolve(entry).get("store")
    if not isinstance(resolved, Resolved) or has_stand_in(resolved):
        return None
    references.secrets.extend(looking.secrets)
    return resolved
