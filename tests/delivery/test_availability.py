"""How a destination stands: one answer for whoever asks."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.delivery.availability import Availability, DestinationStatus, availability
from gateway.delivery.breaker import BreakerState
from gateway.models import Breaker


def pipeline(*, down: bool = False, **more: Any) -> Any:
    breaker = BreakerState(Breaker(), time.monotonic)
    if down:
        breaker.failed(whole=True)
    entry = SimpleNamespace(enabled=True)
    values = {"entry": entry, "breaker": breaker, "opened": True, "unopened": None, "capacity": 5}
    return SimpleNamespace(**(values | more))


def look(found: Any, *, paused: str | None = None, probing: bool = False, stopping: bool = False) -> Availability:
    pauses: Any = SimpleNamespace(reason=lambda *_: paused, probing=lambda *_: probing)
    return availability("table", found, pauses, stopping=stopping)


@pytest.mark.parametrize(
    ("found", "more", "status", "reason", "capacity"),
    [
        (pipeline(), {}, DestinationStatus.READY, None, 5),
        (pipeline(), {"probing": True}, DestinationStatus.PROBING, None, 1),
        (pipeline(capacity=0), {"probing": True}, DestinationStatus.PROBING, None, 0),
        (pipeline(), {"paused": "moved"}, DestinationStatus.PAUSED, "the destination table is paused: moved", 0),
        (pipeline(down=True), {"paused": "moved"}, DestinationStatus.PAUSED, "the destination table is paused", 0),
        (pipeline(down=True, capacity=1), {}, DestinationStatus.DOWN, "the destination table is down since", 1),
        (pipeline(opened=False), {}, DestinationStatus.OPENING, "the destination table is not open yet", 0),
        (pipeline(opened=False, unopened="no route"), {}, DestinationStatus.OPENING, "is not open yet: no route", 0),
        (None, {}, DestinationStatus.NOT_LOADED, "the destination table is not loaded", 0),
        (pipeline(entry=SimpleNamespace(enabled=False)), {}, DestinationStatus.DISABLED, "is switched off", 0),
        (pipeline(), {"stopping": True}, DestinationStatus.STOPPING, "the gateway is being stopped", 0),
    ],
)
def test_destination_stands_in_one_way_with_its_reason_and_its_capacity(
    found: Any, more: dict[str, Any], status: DestinationStatus, reason: str | None, capacity: int
) -> None:
    told = look(found, **more)
    assert (told.status, told.capacity) == (status, capacity)
    assert told.reason is None if reason is None else reason in (told.reason or "")


def test_destination_that_is_down_says_when_it_is_tried() -> None:
    told = look(pipeline(down=True)).reason or ""
    assert ", next try " in told
    due = pipeline(down=True)
    due.breaker._probe_at = time.monotonic() - 1
    assert (look(due).reason or "").endswith("next try with the next delivery")
