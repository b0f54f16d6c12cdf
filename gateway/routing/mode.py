"""Mode: whether a notification is quick enough to be answered with its outcome, and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gateway.config.durations import say_duration
from gateway.config.loaded import Account, DeliverySpec, Route
from gateway.models import Event, Mode

_DOWNLOADS = 5.0
"""Seconds that the attachments of a record are expected to take: longer than doForms waits for an answer."""


def choose(
    matching: Sequence[Route],
    deliveries: Sequence[DeliverySpec],
    account: Account,
    answer_within: float,
    *,
    event: Event | None = None,
    disabled: Collection[str] = (),
) -> tuple[Mode, str]:
    """Choose the mode by what is known before anything runs, with the reason for a person.

    ``event`` is needed to know that a delete fetches nothing; ``disabled`` names destinations whose deliveries wait.
    What only the running gateway knows (an occupied lane, an open breaker, a pause) may still delay.
    """
    if not matching:
        return Mode.DELAYED, "no route matches"
    counting = [spec for spec in deliveries if spec.required]
    if not counting:
        return Mode.IMMEDIATE, "none of its deliveries counts, so it is completed at once"
    for route in matching:
        if route.mode == "delayed":
            return Mode.DELAYED, f'route {route.name} is mode = "delayed"'
    for spec in counting:
        if spec.destination in disabled:
            return Mode.DELAYED, f"destination {spec.destination} is disabled, so its deliveries wait"
    compared = [(expected_latency(route, account, event=event), route) for route in matching if route.mode == "auto"]
    if not compared:
        return Mode.IMMEDIATE, f'{_routes(matching)} mode = "immediate"'
    expected, slowest = max(compared, key=lambda pair: pair[0])
    reason = f"expected {say_duration(expected)}, at most {say_duration(answer_within)}"
    if expected <= answer_within:
        return Mode.IMMEDIATE, reason
    return Mode.DELAYED, f"{reason} (route {slowest.name})"


def expected_latency(route: Route, account: Account, *, event: Event | None = None) -> float:
    """Return how many seconds a route usually takes until its deliveries that count have ended."""
    counting = [spec for spec in route.deliveries if spec.required]
    if not counting:
        return 0.0
    if route.expected_latency is not None:
        return route.expected_latency
    # The fetch comes before any delivery, so one that does not count but needs the record makes the others wait too.
    fetched = event is not Event.DELETE and any(spec.needs for spec in route.deliveries)
    downloads = 0.0 if event is Event.DELETE else _DOWNLOADS
    slowest = max(spec.expected_latency + (downloads if spec.attachments else 0.0) for spec in counting)
    return round((account.expected_fetch if fetched else 0.0) + slowest, 6)


def _routes(matching: Sequence[Route]) -> str:
    names = ", ".join(route.name for route in matching)
    return f"route {names} is" if len(matching) == 1 else f"routes {names} are"
