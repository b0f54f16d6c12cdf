"""Explains to a person why a delivery waits, and what to do about a dead one.

What stands in the way of one that waits comes before the reason of its last attempt.
"""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.cli.output import local
from gateway.models import DeliveryState, ReasonCode
from gateway.store.operator.views import DeliverySummary


def obstacle(one: DeliverySummary) -> str | None:
    """Say what a delivery waits for, other than its next attempt; None: nothing is in its way, or it has ended."""
    if one.behind is not None:
        return _behind(one.behind, one.behind_state)
    if one.begun is not None:
        return f"its attempt of {local(one.begun)} has no known end yet"
    if one.pause is not None:
        return f"the destination {one.destination} is paused: {one.pause}"
    return None


def _behind(id_: int, state: str | None) -> str:
    if state == DeliveryState.DEAD:
        return (
            f"it waits behind delivery {id_}, which is dead: its order is strict, so that this one goes on when that "
            "one is replayed or dropped"
        )
    return f"it waits behind delivery {id_}, an earlier one of the same record: see why that one waits"


def when(one: DeliverySummary) -> tuple[str, datetime] | None:
    """Return what to call the time of the next attempt, and that; None: there is none, or something is in its way."""
    if one.due is None or obstacle(one) is not None:
        return None
    return ("due since" if one.due <= datetime.now(UTC) else "next"), one.due


def tries(one: DeliverySummary) -> str | None:
    """Say how often it was tried, and when it is next."""
    count = f"{one.attempts} {'attempt' if one.attempts == 1 else 'attempts'}"
    if (due := when(one)) is None:
        return count if one.attempts > 1 else None
    return f"{f'{count}, ' if one.attempts else ''}{due[0]} {local(due[1])}"


def to_do(one: DeliverySummary) -> str | None:
    """Say what a person does about a dead delivery; None: it is not dead."""
    if one.state != DeliveryState.DEAD:
        return None
    again = f"`gateway deliveries replay {one.id}`"
    if one.in_doubt:
        return f"look at {one.destination}: if it is there, `gateway deliveries drop {one.id}`; if not, {again}"
    if one.reason_code == ReasonCode.GIVEN_UP:
        return f"mend {one.destination}, then {again}: it goes as it was, under its old key"
    if one.reason_code == ReasonCode.RECORD_NOT_FETCHED:
        return f"look for the record at doForms; once it is handed out, {again} fetches it again"
    if one.reason_code == ReasonCode.ATTACHMENT_MISSING:
        return f"mend the cause, then {again} downloads them again"
    return f"mend the route or {one.destination}, then {again}: it is rendered anew, under a new key"
