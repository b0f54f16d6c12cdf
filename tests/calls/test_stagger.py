"""Lines of those that look again later: one after the other, and never for hours."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

from gateway.calls.stagger import LONGEST, Stagger
from gateway.store.engine.transaction_time import SECOND, micros
from gateway.store.store import Store


class _Clock:
    def __init__(self) -> None:
        self.moment = 1_000_000 * SECOND

    def now(self) -> int:
        return self.moment


def lines() -> tuple[Stagger, _Clock]:
    clock = _Clock()
    return Stagger(cast(Store, clock)), clock


def test_they_look_one_after_the_other_the_first_after_the_wait() -> None:
    made, clock = lines()
    turns = [made.next("a", 2.0, 600) - clock.moment for _ in range(5)]
    assert turns == [micros(2.0 + number / 10) for number in range(5)]
    assert made.next("b", 2.0, 600) - clock.moment == micros(2.0)


def test_a_line_that_has_ended_begins_anew() -> None:
    made, clock = lines()
    for _ in range(100):
        made.next("a", 2.0, 60)
    made.end("a")
    assert made.next("a", 2.0, 60) - clock.moment == micros(2.0)


def test_tens_of_thousands_wait_no_longer_than_a_line_is_and_never_look_in_a_crowd() -> None:
    made, clock = lines()
    turns = [made.next("a", 2.0, 600) - clock.moment for _ in range(50_000)]
    assert max(turns) <= micros(2.0 + LONGEST)
    assert all(turn >= micros(2.0) for turn in turns)
    in_order = sorted(turns)
    assert all(later - earlier <= SECOND for earlier, later in pairwise(in_order))
    a_second = [sum(at // SECOND == second for at in in_order) for second in (100, 400, 600, 899)]
    assert max(a_second) < 15 * 10, "fifty thousand at ten a second, in a line of nine thousand turns"
