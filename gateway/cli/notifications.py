"""``gateway notifications``: what came from doForms and what became of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection

from gateway.cli.loading import load_routes
from gateway.cli.names import check_names
from gateway.cli.notification import body_of, print_notification, record_of, told
from gateway.cli.options import (
    ROUTES,
    AsJson,
    Error,
    Limit,
    RoutesFile,
    Since,
    Until,
    choice_option,
    store,
)
from gateway.cli.orders import (
    Force,
    Overtaken,
    Refetch,
    Render,
    Why,
    Yes,
    ask,
    by,
    carry_out,
    in_steps,
    replaying,
    tell,
)
from gateway.cli.output import fail, print_json, print_raw, print_table
from gateway.delivery.rematch import rematch
from gateway.models import DeliveryState, Event
from gateway.store.causes import DROPPED
from gateway.store.drop import drop, drop_unmatched
from gateway.store.orders import AT_ONCE, Ordered
from gateway.store.queries import (
    BACKFILL,
    NOTIFICATION,
    find_candidates_of,
    find_notification_candidates,
    find_notifications,
    show_notification,
)
from gateway.store.replay import replay
from gateway.store.summaries import Candidate, NotificationFilter, NotificationSummary

app = typer.Typer(help="What came from doForms and what became of it.", no_args_is_help=True)


OfWebservice = Annotated[
    str | None, typer.Option("--webservice", help="Only of this web service (its name in the routes file).")
]
OfRecord = Annotated[str | None, typer.Option("--record", help="Only of the record with this key.", metavar="KEY")]
OfEvent = Annotated[Event | None, choice_option(Event, "--event", help="Only this event.")]
OfKind = Annotated[
    str | None,
    typer.Option(
        "--kind", help="Only what came (notification), or what was found by asking doForms (backfill).", metavar="KIND"
    ),
]
WithOutcome = Annotated[
    str | None, typer.Option("--outcome", help="Only with this outcome: completed, failed or open.")
]
IsUnmatched = Annotated[bool, typer.Option("--unmatched", help="Only those that no route matched.")]
HasRoute = Annotated[str | None, typer.Option("--route", help="Only with a delivery of this route.")]
HasDestination = Annotated[str | None, typer.Option("--destination", help="Only with a delivery to this destination.")]
HasState = Annotated[
    DeliveryState | None, choice_option(DeliveryState, "--state", help="Only with a delivery in this state.")
]
Which = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY]...", help="Notification keys; or options that say which.")
]


@app.command("list")
def list_(
    routes: RoutesFile = ROUTES,
    webservice: OfWebservice = None,
    record: OfRecord = None,
    event: OfEvent = None,
    kind: OfKind = None,
    outcome: WithOutcome = None,
    unmatched: IsUnmatched = False,
    route: HasRoute = None,
    destination: HasDestination = None,
    state: HasState = None,
    error: Error = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    json: AsJson = False,
) -> None:
    """List notifications, newest first."""
    wanted = NotificationFilter(
        webservice=webservice,
        record_key=record,
        event=event,
        kind=_known_kind(kind),
        outcome=_known_outcome(outcome),
        unmatched=unmatched,
        route=route,
        destination=destination,
        state=state,
        error=error,
        since=since,
        until=until,
        limit=limit,
    )
    with store(routes) as connection:
        if not (found := find_notifications(connection, wanted)):
            check_names(routes, connection, wanted)
    if json:
        print_json(found)
        return
    print_table(
        ("received", "event", "outcome", "notification"),
        ((one.received, one.event, one.outcome or "open", [one.key, _about(one), _became(one)]) for one in found),
        empty="No notification fits.",
    )


@app.command()
def show(
    key: Annotated[str, typer.Argument(help="The notification key, or the key of a record that came once.")],
    routes: RoutesFile = ROUTES,
    webservice: Annotated[str | None, typer.Option(help="Its web service, where two use the same key.")] = None,
    body: Annotated[
        bool, typer.Option("--body", help="Only the body as it came: the PAYLOAD.json of `gateway explain`.")
    ] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Only the record as it was fetched: what `gateway explain --record` takes.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Show everything about one notification: what came, what was fetched, each delivery, what doForms was told."""
    if body + record + json > 1:
        raise fail("--body, --record and --json print different things: give one of them", status=2)
    with store(routes) as connection:
        details = show_notification(connection, _one(connection, key, webservice, deleted=True))
    assert details is not None, "it was there a moment ago, in the same transaction"
    if json:
        print_json(details)
    elif body:
        print_raw(body_of(details))
    elif record:
        print_raw(record_of(details))
    else:
        print_notification(details)


@app.command("replay")
def replay_(
    which: Which = None,
    routes: RoutesFile = ROUTES,
    webservice: OfWebservice = None,
    record: OfRecord = None,
    event: OfEvent = None,
    outcome: WithOutcome = None,
    unmatched: IsUnmatched = False,
    route: HasRoute = None,
    destination: HasDestination = None,
    state: HasState = None,
    error: Error = None,
    since: Since = None,
    until: Until = None,
    render: Render = False,
    refetch: Refetch = False,
    force: Force = False,
    overtaken: Overtaken = False,
    reason: Why = "",
    yes: Yes = False,
    json: AsJson = False,
) -> None:
    """Match unmatched notifications again with the routes file as it is now; of matched ones, send deliveries again.

    Sent again are the deliveries that fit, the dead ones if no state is given; see `gateway deliveries replay --help`.
    """
    wanted = NotificationFilter(
        webservice=webservice,
        record_key=record,
        event=event,
        outcome=_known_outcome(outcome),
        unmatched=unmatched,
        route=route,
        destination=destination,
        state=state,
        error=error,
        since=since,
        until=until,
        limit=None,
    )
    order = replaying(reason=reason, render=render, refetch=refetch, force=force, overtaken=overtaken)
    strangers, found = _chosen(routes, which or [], wanted, (DeliveryState.DEAD,), what="Replay", yes=yes)
    results: list[Ordered] = []
    if strangers:
        loaded = load_routes(routes, secrets=False)
        results += in_steps(routes, strangers, lambda connection, ids: rematch(connection, ids, loaded, order.by))
    results += carry_out(routes, found, lambda connection, ids: replay(connection, ids, order))
    tell(results, json=json)


@app.command("drop")
def drop_(
    which: Which = None,
    routes: RoutesFile = ROUTES,
    webservice: OfWebservice = None,
    record: OfRecord = None,
    event: OfEvent = None,
    outcome: WithOutcome = None,
    unmatched: IsUnmatched = False,
    route: HasRoute = None,
    destination: HasDestination = None,
    state: HasState = None,
    error: Error = None,
    since: Since = None,
    until: Until = None,
    reason: Why = "",
    yes: Yes = False,
    json: AsJson = False,
) -> None:
    """Give up notifications: unmatched ones, and the deliveries of others that wait or are dead.

    Named ones are given up whole; of those that fit, the deliveries that fit, the dead ones if no state is given.
    """
    wanted = NotificationFilter(
        webservice=webservice,
        record_key=record,
        event=event,
        outcome=_known_outcome(outcome),
        unmatched=unmatched,
        route=route,
        destination=destination,
        state=state,
        error=error,
        since=since,
        until=until,
        limit=None,
    )
    states = (DeliveryState.PENDING, DeliveryState.DEAD) if which else (DeliveryState.DEAD,)
    who = by(reason)
    strangers, found = _chosen(routes, which or [], wanted, states, what="Drop", yes=yes)
    results = in_steps(routes, strangers, lambda connection, ids: drop_unmatched(connection, ids, who))
    results += carry_out(routes, found, lambda connection, ids: drop(connection, ids, who))
    tell(results, json=json)


def _known_outcome(outcome: str | None) -> str | None:
    if outcome not in (None, "completed", "failed", "open"):
        raise fail(f"--outcome {outcome!r} is not known: completed, failed or open", status=2)
    return outcome


def _known_kind(kind: str | None) -> str | None:
    if kind not in (None, NOTIFICATION, BACKFILL):
        raise fail(f"--kind {kind!r} is not known: {NOTIFICATION} or {BACKFILL}", status=2)
    return kind


def _one(connection: Connection, key: str, webservice: str | None, *, deleted: bool = False) -> int:
    """Return the id of the notification with this key, or of the only one of the record with this key."""
    found = find_notifications(connection, NotificationFilter(key=key, webservice=webservice, deleted=deleted))
    if len(found) > 1:
        names = ", ".join(one.webservice or one.webservice_id for one in found)
        raise fail(f"several web services have sent the key {key!r}: {names}. Add --webservice NAME", status=2)
    if not found:
        found = find_notifications(connection, NotificationFilter(record_key=key, webservice=webservice))
        if len(found) > 1:
            raise fail(
                f"several notifications speak of the record {key!r}: `gateway notifications list --record {key}`"
            )
    if not found:
        raise fail(f"no notification with the key {key!r} is in the store; see `gateway notifications list`")
    return found[0].id


def _chosen(
    routes: Path,
    which: Sequence[str],
    wanted: NotificationFilter,
    states: Collection[DeliveryState],
    *,
    what: str,
    yes: bool,
) -> tuple[list[list[int]], list[Candidate]]:
    """Return the unmatched notifications, in steps, and the deliveries of matched ones that an order concerns."""
    fits = replace(wanted, webservice=None, state=None) != NotificationFilter(limit=None)
    if which and fits:
        raise fail("keys and options that choose were both given: name keys, or choose by options", status=2)
    if not which and wanted == NotificationFilter(limit=None):
        raise fail("nothing says which notifications: name keys, or choose by options such as --unmatched", status=2)
    with store(routes) as connection:
        if which:
            ids = [_one(connection, key, wanted.webservice) for key in which]
            noted = find_notification_candidates(connection, NotificationFilter(limit=None), ids=ids)
        else:
            noted = find_notification_candidates(connection, wanted)
            if not noted:
                check_names(routes, connection, wanted)
        strangers = [one for one in noted if not one.matched and (which or not one.reason.startswith(DROPPED))]
        matched = [one.id for one in noted if one.matched]
        found = [each for part in _steps(matched) for each in find_candidates_of(connection, part)]
    found = [each for each in found if _is_wanted(each, wanted, states)]
    if not strangers and not found:
        either = " or ".join(states) if wanted.state is None else wanted.state
        raise fail(f"there is nothing to do: no notification that fits is unmatched or has a delivery that is {either}")
    if not which:
        ask(what, found, more=[("", "unmatched", one.reason) for one in strangers], yes=yes)
    return _steps([one.id for one in strangers]), found


def _is_wanted(one: Candidate, wanted: NotificationFilter, states: Collection[DeliveryState]) -> bool:
    """Tell whether an order for notifications concerns this delivery of theirs."""
    return (
        (one.state in states if wanted.state is None else one.state == wanted.state)
        and wanted.route in (None, one.route)
        and wanted.destination in (None, one.destination)
        and (wanted.error is None or wanted.error.lower() in (one.reason or "").lower())
    )


def _steps(ids: Sequence[int]) -> list[list[int]]:
    return [list(ids[start : start + AT_ONCE]) for start in range(0, len(ids), AT_ONCE)]


def _about(one: NotificationSummary) -> str:
    form = one.form or one.webservice_id
    about = f"{form}, record {one.record_key}" if one.record_key else form
    return f"{about} (backfill)" if one.kind == BACKFILL else about


def _became(one: NotificationSummary) -> str:
    deliveries = ", ".join(f"{count} {state}" for state, count in one.deliveries.items())
    became = (deliveries or "no delivery") if one.matched else f"unmatched: {one.mode_reason}"
    return f"{became}; {how}" if (how := told(one)) else became
