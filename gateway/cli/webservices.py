"""``gateway webservices``: password state, quota, calls today."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import typer

from gateway.cli.loading import load_routes
from gateway.cli.options import ROUTES, AsJson, RoutesFile, store
from gateway.cli.output import fail, local, print_json, print_table
from gateway.config.diagnostics import suggest
from gateway.models import AlarmKind
from gateway.pauses import Cause, Kind
from gateway.store.engine.transaction_time import from_store, now
from gateway.store.operator import pauses
from gateway.store.work import alarms, call_counts
from gateway.store.work.call_counts import Counts

app = typer.Typer(help="Web services: state of their password and quota, calls today.", no_args_is_help=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A web service as a list shows it."""

    name: str
    id: str
    form: str
    project: str
    account: str
    state: str
    reason: str | None
    until: datetime | None
    """When it is tried again by itself."""
    calls_today: Mapping[str, Counts]
    """By kind: fetch, report, listing, download; since 00:00 UTC."""


@app.command("list")
def list_(routes: RoutesFile = ROUTES, json: AsJson = False) -> None:
    """List the web services, why calls in their name wait, and how many were made today (UTC)."""
    loaded = load_routes(routes, secrets=False)
    with store(routes) as connection:
        paused = {one.name: one for one in pauses.list_pauses(connection) if one.kind == Kind.WEBSERVICE}
        counted = call_counts.of_day(connection, now())
        waiting = {
            one.subject: one.kind
            for one in alarms.list_alarms(connection)
            if one.kind in (AlarmKind.DOFORMS_SILENT, AlarmKind.ACCOUNT_WAITS)
        }
    found = []
    for one in loaded.webservices.values():
        pause = paused.get(one.id)
        found.append(
            Listed(
                name=one.name,
                id=one.id,
                form=one.form,
                project=one.project,
                account=one.account,
                state="paused" if pause is not None else "waits" if one.account in waiting else "ready",
                reason=pause.reason if pause is not None else _waits(waiting.get(one.account)),
                until=None if pause is None else from_store(pause.until),
                calls_today=counted.get(one.id, {}),
            )
        )
    if json:
        print_json(found)
        return
    print_table(
        ("web service", "account", "form", "state, and the calls of today"),
        ([one.name, one.account, [one.form, one.project], _say(one)] for one in found),
        empty="There is none.",
    )


def _waits(alarm: str | None) -> str | None:
    return None if alarm is None else f"{alarm}: see `gateway alarms`"


def _say(one: Listed) -> list[str | None]:
    """Return the state and why; how many calls there were, what for, and what went wrong."""
    calls = one.calls_today
    again = None if one.until is None else f"tried again {local(one.until)}"
    kinds = ", ".join(f"{counts.calls} {kind}" for kind, counts in calls.items())
    wrong = {
        "answered 429": sum(counts.too_many for counts in calls.values()),
        "over quota": sum(counts.over_quota for counts in calls.values()),
        "failed": sum(counts.failed for counts in calls.values()),
    }
    went_wrong = ", ".join(f"{count} {what}" for what, count in wrong.items() if count)
    return [one.state, one.reason, again, kinds or "no call", went_wrong]


@app.command()
def resume(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name in the routes file.")],
    routes: RoutesFile = ROUTES,
) -> None:
    """Call doForms in its name again, after a refused password or a used-up quota."""
    known = {one.name: one.id for one in load_routes(routes, secrets=False).webservices.values()}
    if name not in known:
        raise fail(f"there is no web service {name!r}. {suggest(name, known, kind='web service')}")
    with store(routes, write=True) as connection:
        causes = {one.name: one.cause for one in pauses.list_pauses(connection) if one.kind == Kind.WEBSERVICE}
        was_paused = pauses.resume(connection, Kind.WEBSERVICE, known[name])
    if not was_paused:
        raise fail(f"the web service {name!r} is not paused; see `gateway webservices list`")
    typer.echo(f"{name} goes on. A running gateway notices within a second.")
    if causes.get(known[name]) == Cause.UNAUTHORISED:
        typer.echo(
            "It calls with the password that it knows: a new one it learns by `gateway reload` if that stands in a "
            "file, by a restart if in an environment variable."
        )
