"""The completeness of a period: what doForms received, what is kept, and where it went."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from gateway.config.loaded import Webservice
from gateway.models import DeliveryState
from gateway.reconcile.backfill import Backfill, NotListed
from gateway.store.operator import completeness
from gateway.store.store import Store

LIMITS = "Edits and deletes cannot be seen this way: doForms lists what it received, not what was changed or deleted."
_SHOWN = 100
"""Keys that are told one by one."""


@dataclass(slots=True, kw_only=True)
class Completeness:
    """The books of one web service; as data, as ``--json`` prints it."""

    webservice: str
    since: datetime
    until: datetime
    listed: int = 0
    """Records that doForms says it received in the period."""
    kept: int = 0
    """Those of them of which there is a notification here, or was."""
    unmatched: int = 0
    """Those of them of which no route has taken any notification."""
    missing: int = 0
    missing_keys: list[str] = field(default_factory=list)
    """The first ones."""
    destinations: dict[str, dict[str, int]] = field(default_factory=dict)
    """Destination -> state -> records."""
    doubts: list[str] = field(default_factory=list)
    """Why what doForms lists cannot be all."""
    problem: str | None = None
    """Why the books could not be made up to the end."""
    complete: bool = False
    verdict: str = ""


async def balance(
    backfill: Backfill,
    store: Store,
    webservice: Webservice,
    since: datetime,
    until: datetime,
    *,
    closed: datetime,
    on_progress: Callable[[datetime], None] = lambda upto: None,
) -> Completeness:
    """Make the books of a web service for what doForms received from ``since`` to before ``until``.

    After ``closed`` something may still be on its way, so that books which go on after it are never complete.
    """
    made = Completeness(webservice=webservice.name, since=since, until=until)
    made.problem = backfill.obstacle(webservice)
    if made.problem is None:
        try:
            async with aclosing(backfill.compare(webservice, since, until)) as windows:
                async for window in windows:
                    keys = [record.key for record in window.listed]
                    _add(made, *await store.read(lambda c, of=keys: _count(c, webservice.account, of)))  # type: ignore[misc]
                    made.listed += len(keys)
                    made.missing += len(window.unknown)
                    made.missing_keys += [one.key for one in window.unknown][: _SHOWN - len(made.missing_keys)]
                    made.doubts += [] if window.doubt is None else [window.doubt.text]
                    on_progress(window.end)
        except NotListed as error:
            made.problem = str(error)
    made.kept = made.listed - made.missing
    open_ = _open(made, closed)
    made.complete = not open_
    made.verdict = f"complete for new records up to {_say(until)}" if made.complete else f"not complete: {open_}"
    return made


def _count(connection: Connection, account: str, keys: Collection[str]) -> tuple[dict[str, dict[str, int]], int]:
    counts = completeness.count_records(connection, account, keys)
    return counts, completeness.count_unmatched(connection, account, keys)


def _add(made: Completeness, counts: dict[str, dict[str, int]], unmatched: int) -> None:
    made.unmatched += unmatched
    for destination, states in counts.items():
        of = made.destinations.setdefault(destination, {})
        for state, count in states.items():
            of[state] = of.get(state, 0) + count


def _open(made: Completeness, closed: datetime) -> str:
    """Say what stands in the way of being complete; empty: nothing."""
    said = [made.problem] if made.problem else []
    if made.missing:
        said.append(f"{made.missing} of {made.listed} records that doForms lists are missing here")
    if made.unmatched:
        said.append(f"{made.unmatched} were taken by no route (`gateway notifications list --unmatched`)")
    for state in (DeliveryState.PENDING.value, DeliveryState.DEAD.value):
        count = sum(of.get(state, 0) for of in made.destinations.values())
        said += [f"{count} {state}"] if count else []
    if made.doubts:
        said.append("doForms does not list all records that it told of")
    if made.until > closed:
        said.append(f"what doForms received after {_say(closed)} (`grace`) may not be here yet")
    return "; ".join(said)


def _say(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
