"""What becomes of a delivery whose process died."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.loaded import DeliverySpec
from gateway.delivery.deaths import settle_cut_short
from gateway.models import DeliveryState, OnDoubt, Order, Repeatable, Retry
from gateway.retry import describe_deaths, next_attempt
from gateway.store.engine.transaction_time import SECOND
from gateway.store.work.queue import Due, Settlement
from tests.delivery.test_settle import DUE, MOMENT, repeatable

SAFE = repeatable(Repeatable.YES)
LEFT = replace(DUE, left_by="dead-1")


def settle(due: Due, spec: DeliverySpec = SAFE) -> Settlement:
    return settle_cut_short(due, spec, moment=MOMENT, jitter=0.5)


def with_retry(**retry: float) -> DeliverySpec:
    return replace(SAFE, retry=Retry(**retry))  # type: ignore[arg-type]


def test_first_death_before_anything_began_costs_no_time() -> None:
    found = settle(LEFT, with_retry(attempts=1))
    assert (found.state, found.due_at, found.spent, found.result) == (DeliveryState.PENDING, MOMENT, 0, "")
    assert found.cut_short


def test_attempt_that_was_cut_short_waits_like_any_uncertain_one() -> None:
    found = settle(replace(LEFT, in_doubt=True, attempts=1))
    assert (found.state, found.due_at, found.spent) == (DeliveryState.PENDING, MOMENT + 5 * SECOND, 5 * SECOND)
    assert found.result == "uncertain"


def test_second_death_waits_though_nothing_had_begun() -> None:
    assert settle(replace(LEFT, deaths=1)).due_at == MOMENT + 15 * SECOND


@pytest.mark.parametrize(("attempts", "deaths"), [(1, 2), (2, 2), (3, 2), (4, 3), (30, 29)])
def test_death_of_one_that_was_alone_ends_by_attempts(attempts: int, deaths: int) -> None:
    spec = with_retry(attempts=attempts)
    before = replace(LEFT, alone=True, in_doubt=True, attempts=deaths, deaths=deaths - 1)
    last = replace(before, attempts=deaths + 1, deaths=deaths)
    if attempts > deaths:
        assert settle(before, spec).state is DeliveryState.PENDING
    found = settle(last, spec)
    assert found.state is DeliveryState.DEAD
    assert found.reason == f"given up after {deaths + 1} attempts: {describe_deaths(deaths + 1, alone=True)}"


def test_death_of_one_that_was_alone_ends_by_give_up_after() -> None:
    due = replace(LEFT, alone=True, in_doubt=True, attempts=3, deaths=2, spent=50 * SECOND)
    assert settle(due, with_retry(give_up_after=60.0)).state is DeliveryState.DEAD
    assert settle(due, with_retry(give_up_after=600.0)).state is DeliveryState.PENDING


def test_death_where_no_repeat_is_safe_is_in_doubt() -> None:
    due = replace(LEFT, in_doubt=True, attempts=1)
    found = settle(due, replace(repeatable(Repeatable.NO), order=Order.STRICT))
    assert (found.state, found.doubt, found.blocks) == (DeliveryState.DEAD, True, True)
    allowed = replace(repeatable(Repeatable.NO), on_doubt=OnDoubt.RETRY)
    assert settle(due, allowed).state is DeliveryState.PENDING
    assert settle(LEFT, repeatable(Repeatable.NO)).state is DeliveryState.PENDING, "nothing had been sent"


@given(
    deaths=st.integers(0, 100),
    attempts=st.integers(0, 100),
    limit=st.none() | st.integers(1, 50),
    spent=st.integers(0, 10**7),
    begun=st.booleans(),
)
def test_death_in_company_gives_nothing_up(
    deaths: int, attempts: int, limit: int | None, spent: int, begun: bool
) -> None:
    spec = replace(SAFE, retry=Retry(attempts=limit))
    due = replace(LEFT, deaths=deaths, attempts=attempts, spent=spent * SECOND, in_doubt=begun)
    found = settle(due, spec)
    assert (found.state, found.cut_short) == (DeliveryState.PENDING, True)
    assert found.due_at - MOMENT <= spec.retry.max * 1.2 * SECOND
    if deaths or begun:
        expected = next_attempt(
            spec.retry, attempts=max(attempts, deaths + 1), spent=0.0, jitter=0.5, counted=False
        ).wait
        assert found.due_at - MOMENT == pytest.approx(expected * SECOND)
