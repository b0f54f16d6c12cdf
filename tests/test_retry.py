"""Whether and when something is tried again, by the settings of its retries."""

from __future__ import annotations

import pytest

from gateway.doforms.failures import Gone, Later
from gateway.models import Retry
from gateway.retry import NextAttempt, after_call, next_attempt

RETRY = Retry(first=10.0, factor=3.0, max=200.0, give_up_after=3600.0)
FAILED = Later("doForms answered 503", status=503)
BUSY = Later("doForms answered 429", status=429)


def following(retry: Retry, number: int, *, spent: float = 0.0, jitter: float = 0.5, **more: float) -> NextAttempt:
    """Return what follows the attempt of this number, from 1."""
    return next_attempt(retry, attempts=number - 1, spent=spent, jitter=jitter, **more)


def test_waits_grow_by_the_factor_up_to_the_longest() -> None:
    retry = Retry(first=5, factor=3, max=100)
    assert [following(retry, number).wait for number in range(1, 6)] == [5, 15, 45, 100, 100]


def test_jitter_spreads_a_wait_by_a_fifth_either_way() -> None:
    assert following(Retry(first=10), 1, jitter=0.0).wait == pytest.approx(8)
    assert following(Retry(first=10), 1, jitter=1.0).wait == pytest.approx(12)


def test_a_thousandth_wait_does_not_overflow() -> None:
    assert following(Retry(max=60), 100_000).wait == 60


def test_retry_after_is_honoured_within_bounds() -> None:
    retry = Retry(first=5, max=100)
    assert following(retry, 1, wish=40).wait == 40
    assert following(retry, 1, wish=1).wait == 5
    assert following(retry, 1, wish=10**9).wait == 100


def test_it_gives_up_when_the_next_attempt_would_come_too_late() -> None:
    retry = Retry(first=50, factor=1, give_up_after=100)
    assert following(retry, 3, spent=50).verdict is None
    assert following(retry, 3, spent=51).verdict == "given up after 3 attempts in 51.0s"


def test_attempts_limit_only_if_set() -> None:
    assert following(Retry(), 10_000).verdict is None
    assert following(Retry(attempts=1), 1).verdict == "given up after 1 attempt"


@pytest.mark.parametrize(
    ("spent", "told"),
    [(59.94, "59.9s"), (60, "1.0m"), (3599, "60.0m"), (3600, "1.0h"), (86399, "24.0h"), (86400, "1.0d")],
)
def test_the_time_that_attempts_took_is_told_in_a_unit_that_fits(spent: float, told: str) -> None:
    assert following(Retry(give_up_after=10), 2, spent=spent).verdict == f"given up after 2 attempts in {told}"


def test_what_is_not_counted_is_no_attempt_and_waits_as_the_one_before() -> None:
    after = next_attempt(Retry(first=5, factor=3), attempts=2, spent=0.0, jitter=0.5, counted=False)
    assert (after.number, after.wait, after.counted) == (2, 15, False)


@pytest.mark.parametrize(("attempts", "wait"), [(0, 10.0), (1, 30.0), (2, 90.0), (3, 200.0), (30, 200.0)])
def test_the_wait_grows_with_each_attempt_up_to_the_longest(attempts: int, wait: float) -> None:
    after = after_call(RETRY, FAILED, attempts=attempts, spent=0.0)
    assert (after.counted, after.number, after.verdict) == (True, attempts + 1, None)
    assert after.wait == pytest.approx(wait, rel=0.21)


@pytest.mark.parametrize(("attempts", "wait"), [(0, 10.0), (1, 10.0), (2, 30.0)])
def test_too_many_requests_are_no_attempt_and_wait_as_the_attempt_before_them(attempts: int, wait: float) -> None:
    after = after_call(RETRY, BUSY, attempts=attempts, spent=0.0)
    assert (after.counted, after.number, after.verdict) == (False, attempts, None)
    assert after.wait == pytest.approx(wait, rel=0.21)


def test_it_is_not_asked_again_sooner_than_doforms_wishes() -> None:
    wished = Later("doForms answered 503", status=503, retry_after=120.0)
    assert after_call(RETRY, wished, attempts=0, spent=0.0).wait >= 120.0


def test_what_is_no_matter_of_time_is_an_attempt_too() -> None:
    after = after_call(RETRY, Gone("doForms answered 404"), attempts=1, spent=0.0)
    assert (after.counted, after.number) == (True, 2)


def test_it_is_given_up_once_its_time_or_its_attempts_are_spent() -> None:
    assert after_call(RETRY, FAILED, attempts=0, spent=3600.0).verdict is not None
    few = Retry(first=10.0, attempts=2)
    assert after_call(few, FAILED, attempts=0, spent=0.0).verdict is None
    assert after_call(few, FAILED, attempts=1, spent=0.0).verdict is not None
