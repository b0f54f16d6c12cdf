from __future__ import annotations

from gateway.calls.buckets import TokenBucket, Unlimited, destination_rate
from gateway.models import Rate
from tests.delivery.test_breaker import Clock


def test_without_a_rate_everything_may_go() -> None:
    assert Unlimited().take(1000) == 1000


def test_a_rate_allows_a_second_worth_at_once_and_then_its_pace() -> None:
    clock = Clock()
    bucket = TokenBucket(destination_rate(Rate(count=10, per=1.0)), clock)
    assert bucket.take(100) == 10
    assert bucket.take(1) == 0
    assert bucket.wait() == 0.1
    clock.seconds = 0.0625
    assert bucket.wait() == 0.0375
    clock.seconds = 0.5
    assert bucket.take(100) == 5


def test_a_rate_below_one_a_second_lets_one_go_at_a_time() -> None:
    clock = Clock()
    bucket = TokenBucket(destination_rate(Rate(count=30, per=60.0)), clock)
    assert bucket.take(5) == 1
    clock.seconds = 1.9
    assert bucket.take(5) == 0
    clock.seconds = 2.0
    assert bucket.take(5) == 1
