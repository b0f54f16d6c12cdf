"""``gateway notifications replay`` and ``drop``: orders for notifications, unmatched or with their deliveries."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.bulk_actions import (
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
from gateway.cli.check_names import check_names
from gateway.cli.filter_options import choosing
from gateway.cli.loading import load_routes
from gateway.cli.notification_filters import CHOOSE, check_words, the_one
from gateway.cli.options import ROUTES, AsJson, RoutesFile, store
from gateway.cli.output import fail
from gateway.intake.rematch import rematch
from gateway.models import DeliveryState, ReasonCode
from gateway.store.operator.actions import AT_ONCE, ActionResult
from gateway.store.operator.drop import drop, drop_unmatched
from gateway.store.operator.queries import find_candidates_of, find_notification_candidates
from gateway.store.operator.replay import replay
from gateway.store.operator.views import Candidate, NotificationFilter

_CHOOSE = {name: option for name, option in CHOOSE.items() if name != "kind"}

Which = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY]...", help="Notification keys; or options that say which.")
]


@choosing(_CHOOSE)
def replay_(
    which: Which = None,
    routes: RoutesFile = ROUTES,
    *,
    wanted: NotificationFilter,
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
    check_words(wanted)
    order = replaying(reason=reason, render=render, refetch=refetch, force=force, overtaken=overtaken)
    strangers, found = _chosen(routes, which or [], wanted, (DeliveryState.DEAD,), what="Replay", yes=yes)
    results: list[ActionResult] = []
    if strangers:
        loaded = load_routes(routes, secrets=False)
        results += in_steps(routes, strangers, lambda connection, ids: rematch(connection, ids, loaded, order.by))
    results += carry_out(routes, found, lambda connection, ids: replay(connection, ids, order))
    tell(results, json=json)


@choosing(_CHOOSE)
def drop_(
    which: Which = None,
    routes: RoutesFile = ROUTES,
    *,
    wanted: NotificationFilter,
    reason: Why = "",
    yes: Yes = False,
    json: AsJson = False,
) -> None:
    """Give up notifications: unmatched ones, and the deliveries of others that wait or are dead.

    Named ones are given up whole; of those that fit, the deliveries that fit, the dead ones if no state is given.
    """
    check_words(wanted)
    states = (DeliveryState.PENDING, DeliveryState.DEAD) if which else (DeliveryState.DEAD,)
    who = by(reason)
    strangers, found = _chosen(routes, which or [], wanted, states, what="Drop", yes=yes)
    results = in_steps(routes, strangers, lambda connection, ids: drop_unmatched(connection, ids, who))
    results += carry_out(routes, found, lambda connection, ids: drop(connection, ids, who))
    tell(results, json=json)


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
    wanted = replace(wanted, limit=None)
    fits = replace(wanted, webservice=None, state=None) != NotificationFilter(limit=None)
    if which and fits:
        raise fail("keys and options that choose were both given: name keys, or choose by options", status=2)
    if not which and wanted == NotificationFilter(limit=None):
        raise fail("nothing says which notifications: name keys, or choose by options such as --unmatched", status=2)
    with store(routes) as connection:
        if which:
            ids = [the_one(connection, key, wanted.webservice) for key in which]
            noted = find_notification_candidates(connection, NotificationFilter(limit=None), ids=ids)
        else:
            noted = find_notification_candidates(connection, wanted)
            if not noted:
                check_names(routes, connection, wanted)
        strangers = [one for one in noted if not one.matched and (which or one.code != ReasonCode.DROPPED)]
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
