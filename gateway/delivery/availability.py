"""The status of a destination: one answer for receiving, the worker, health and the lists."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import structlog

from gateway.config.loaded import DestinationEntry
from gateway.delivery.background import BackgroundTasks
from gateway.delivery.breaker import BreakerState
from gateway.delivery.pipeline import Pipeline
from gateway.delivery.settle import Attempted, Result
from gateway.pauses import Cause, Kind, Pauses

log = structlog.get_logger(__name__)


class DestinationStatus(StrEnum):
    """How a destination stands in this process."""

    READY = "ready"
    """It takes deliveries."""
    OPENING = "opening"
    """It is not open yet; that is tried again and again."""
    PROBING = "probing"
    """The time of a pause is over: one delivery shows whether its cause is."""
    DOWN = "down"
    """Its breaker is open: one delivery at a time shows whether it is back."""
    PAUSED = "paused"
    """It waits for a person, or for a time."""
    DISABLED = "switched off"
    """``enabled = false``."""
    STOPPING = "stopping"
    """The gateway is being stopped."""
    NOT_LOADED = "not loaded"
    """It is not in the routes file."""


@dataclass(frozen=True, slots=True)
class Availability:
    """How a destination stands, why it takes nothing now (None: it does), and how many deliveries it may be given."""

    status: DestinationStatus
    reason: str | None = None
    capacity: int = 0


def availability(name: str, pipeline: Pipeline | None, pauses: Pauses, *, stopping: bool) -> Availability:
    """Return how a destination stands."""
    if stopping:
        return Availability(DestinationStatus.STOPPING, "the gateway is being stopped")
    if pipeline is None:
        return Availability(DestinationStatus.NOT_LOADED, f"the destination {name} is not loaded")
    if not pipeline.entry.enabled:
        return Availability(DestinationStatus.DISABLED, f"the destination {name} is switched off")
    if (why := pauses.reason(Kind.DESTINATION, name)) is not None:
        return Availability(DestinationStatus.PAUSED, f"the destination {name} is paused: {why}")
    if pipeline.breaker.is_open:
        return Availability(
            DestinationStatus.DOWN, f"the destination {name} is down{_times(pipeline)}", pipeline.capacity
        )
    if not pipeline.opened:
        why = ": ".join(part for part in (f"the destination {name} is not open yet", pipeline.unopened) if part)
        return Availability(DestinationStatus.OPENING, why)
    if pauses.probing(Kind.DESTINATION, name):
        return Availability(DestinationStatus.PROBING, None, min(pipeline.capacity, 1))
    return Availability(DestinationStatus.READY, None, pipeline.capacity)


def _times(pipeline: Pipeline) -> str:
    breaker, now = pipeline.breaker, time.monotonic()
    if breaker.open_since is None or breaker.probe_at is None:
        return ""
    times = (breaker.open_since, breaker.probe_at)
    since, following = (datetime.now(UTC) + timedelta(seconds=at - now) for at in times)
    tried = f"next try {following:%H:%M:%S}" if breaker.probe_at > now else "next try with the next delivery"
    return f" since {since:%Y-%m-%d %H:%M:%S} UTC, {tried}"


class DestinationResults:
    """Draws from the ends of attempts what they say of a destination as a whole, and notes it for lists.

    What it writes to the store nobody waits for.
    """

    def __init__(self, pauses: Pauses) -> None:
        self._pauses = pauses
        self.background = BackgroundTasks("how a destination stands could not be written")

    def note(self, entry: DestinationEntry, breaker: BreakerState, results: Sequence[Attempted]) -> None:
        """Note what attempts say that ended together."""
        name = entry.name
        down = [attempted for attempted in results if attempted.result is Result.UNAVAILABLE]
        wrong = next((attempted for attempted in results if attempted.result is Result.MISCONFIGURED), None)
        if wrong is not None:
            breaker.cancelled()
            reason = wrong.reason or "misconfigured"
            self.background.spawn(self._pauses.pause(Kind.DESTINATION, name, reason, cause=Cause.MISCONFIGURED))
        elif len(down) < len(results):
            if breaker.succeeded():
                log.info("destination is back", destination=name)
            if self._pauses.is_down(name):
                self.background.spawn(self._pauses.is_back(name))
        else:
            for attempted in down:
                if breaker.failed(whole=attempted.whole, wish=attempted.retry_after, longest=entry.retry.max):
                    log.warning("destination is down: breaker open", destination=name, reason=attempted.reason)
            if breaker.probe_at is not None:
                wait = max(0.0, breaker.probe_at - time.monotonic())
                self.background.spawn(self._pauses.down(name, down[-1].reason or "", next_in=wait))
