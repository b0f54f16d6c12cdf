"""What a failed call to doForms comes to, by the settings of its retries."""

from __future__ import annotations

import pytest

from gateway.doforms.failures import Gone, Later
from gateway.models import Retry
from gateway.records.failures import next_attempt

RETRY = Retry(first=10.0, factor=3.0, max=200.0, give_up_after=3600.0)
FAILED = Later("doForms answered 503", status=503)
BUSY = Later("doForms answered 429", status=429)


@pytest.mark.parametrize(("attempts", "wait"), [(0, 10.0), (1, 30.0), (2, 90.0), (3, 200.0), (30, 200.0)])
def test_the_wait_grows_with_each_attempt_up_to_the_longest(attempts: int, wait: float) -> None:
    judged = next_attempt(RETRY, FAILED, attempts=attempts, spent=0.0)
    assert (judged.counted, judged.number, judged.verdict) == (True, attempts + 1, None)
    assert judged.wait == pytest.approx(wait, rel=0.21)


@pytest.mark.parametrize(("attempts", "wait"), [(0, 10.0), (1, 10.0), (2, 30.0)])
def test_too_many_requests_are_no_attempt_and_wait_as_the_attempt_before_them(attempts: int, wait: float) -> None:
    judged = next_attempt(RETRY, BUSY, attempts=attempts, spent=0.0)
    assert (judged.counted, judged.number, judged.verdict) == (False, attempts, None)
    assert judged.wait == pytest.approx(wait, rel=0.21)


def test_it_is_not_asked_again_sooner_than_doforms_wishes() -> None:
    wished = Later("doForms answered 503", status=503, retry_after=120.0)
    assert next_attempt(RETRY, wished, attempts=0, spent=0.0).wait >= 120.0


def test_what_is_no_matter_of_time_is_an_attempt_too() -> None:
    judged = next_attempt(RETRY, Gone("doForms answered 404"), attempts=1, spent=0.0)
    assert (judged.counted, judged.number) == (True, 2)


def test_it_is_given_up_once_its_time_or_its_attempts_are_spent() -> None:
    assert next_attempt(RETRY, FAILED, attempts=0, spent=3600.0).verdict is not None
    few = Retry(first=10.0, attempts=2)
    assert next_attempt(few, FAILED, attempts=0, spent=0.0).verdict is None
    assert next_attempt(few, FAILED, attempts=1, spent=0.0).verdict is not None
