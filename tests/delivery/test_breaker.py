from __future__ import annotations

import pytest

from gateway.delivery.breaker import BreakerState
from gateway.models import Breaker


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def breaker(clock: Clock) -> BreakerState:
    return BreakerState(Breaker(failures=3, probe_after=30), clock)


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    state = breaker(Clock())
    assert [state.failed(whole=False) for _ in range(3)] == [False, False, True]
    assert state.is_open


def test_a_success_in_between_starts_the_count_anew() -> None:
    state = breaker(Clock())
    state.failed(whole=False)
    state.failed(whole=False)
    state.succeeded()
    assert not state.failed(whole=False)


def test_a_destination_that_is_down_as_a_whole_opens_it_at_once() -> None:
    state = breaker(Clock())
    assert state.failed(whole=True)
    assert state.capacity(10) == 0


def test_one_delivery_probes_when_the_time_has_come() -> None:
    clock = Clock()
    state = breaker(clock)
    state.failed(whole=True)
    clock.seconds = 29.9
    assert state.capacity(10) == 0
    clock.seconds = 30.0
    assert state.capacity(10) == 1
    state.start()
    assert state.capacity(10) == 0


def test_a_probe_that_works_closes_it() -> None:
    clock = Clock()
    state = breaker(clock)
    state.failed(whole=True)
    clock.seconds = 30.0
    state.start()
    assert state.succeeded()
    assert state.capacity(10) == 10


def test_one_that_opens_again_after_a_probe_had_closed_it_is_probed_again() -> None:
    clock = Clock()
    state = breaker(clock)
    for opened_at in (0.0, 30.0):
        state.failed(whole=True)
        clock.seconds = opened_at + 30.0
        assert state.capacity(10) == 1
        state.start()
        state.succeeded()
    assert state.capacity(10) == 10


def test_a_probe_that_fails_keeps_it_open_for_another_while() -> None:
    clock = Clock()
    state = breaker(clock)
    state.failed(whole=True)
    clock.seconds = 30.0
    state.start()
    assert not state.failed(whole=False)
    assert state.capacity(10) == 0
    assert state.probe_at == 60.0
    clock.seconds = 60.0
    assert state.capacity(10) == 1


def test_a_probe_that_ends_without_a_word_makes_room_for_another() -> None:
    clock = Clock()
    state = breaker(clock)
    state.failed(whole=True)
    clock.seconds = 30.0
    state.start()
    state.cancelled()
    assert state.capacity(10) == 1


@pytest.mark.parametrize(
    ("whole", "wish", "longest", "probed"),
    [
        (True, 75.0, 3600.0, 75.0),
        (True, 5.0, 3600.0, 5.0),
        (True, 0.0, 3600.0, 1.0),
        (True, 1e9, 3600.0, 3600.0),
        (True, 75.0, 0.1, 1.0),
        (True, None, 3600.0, 30.0),
        (False, 75.0, 3600.0, 75.0),
        (False, 5.0, 3600.0, 30.0),
        (False, None, 3600.0, 30.0),
    ],
)
def test_probe_goes_when_the_other_side_wishes_within_bounds(
    whole: bool, wish: float | None, longest: float, probed: float
) -> None:
    clock = Clock()
    state = breaker(clock)
    for _ in range(3):
        state.failed(whole=whole, wish=wish, longest=longest)
    clock.seconds = probed - 0.01
    assert state.capacity(10) == 0
    clock.seconds = probed
    assert state.capacity(10) == 1
