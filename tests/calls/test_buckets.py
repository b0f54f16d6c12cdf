from __future__ import annotations

from gateway.calls.buckets import Pace
from gateway.models import Rate
from tests.delivery.test_breaker import Clock


def test_without_a_rate_everything_may_go() -> None:
    assert Pace(None, Clock()).take(1000) == 1000


def test_a_rate_allows_a_second_worth_at_once_and_then_its_pace() -> None:
    clock = Clock()
    pace = Pace(Rate(count=10, per=1.0), clock)
    assert pace.take(100) == 10
    assert pace.take(1) == 0
    assert pace.wait() == 0.1
    clock.seconds = 0.0625
    assert pace.wait() == 0.0375
    clock.seconds = 0.5
    assert pace.take(100) == 5


def test_a_rate_below_one_a_second_lets_one_go_at_a_time() -> None:
    clock = Clock()
    pace = Pace(Rate(count=30, per=60.0), clock)
    assert pace.take(5) == 1
    clock.seconds = 1.9
    assert pace.take(5) == 0
    clock.seconds = 2.0
    assert pace.take(5) == 1


def test_what_was_not_used_can_be_given_back() -> None:
    pace = Pace(Rate(count=10, per=1.0), Clock())
    pace.take(10)
    pace.give_back(4)
    assert pace.take(10) == 4
