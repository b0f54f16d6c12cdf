"""What is met often is told once in a while, with a count."""

from __future__ import annotations

import asyncio

from gateway.tally import Tally


async def test_what_is_met_often_is_told_at_once_and_then_with_a_count() -> None:
    told: list[tuple[str, int, str]] = []
    tally = Tally(lambda *one: told.append(one), every=0.05)
    for number in range(1000):
        tally.met("a", f"{number}")
    tally.met("b", "other")
    assert told == [("a", 1, "0"), ("b", 1, "other")]
    await asyncio.sleep(0.3)
    assert told[2:] == [("a", 999, "999")]
    tally.met("a", "again")
    assert told[3:] == [("a", 1, "again")]


async def test_what_was_counted_last_is_told_at_the_end() -> None:
    told: list[tuple[str, int, str]] = []
    tally = Tally(lambda *one: told.append(one), every=60.0)
    for _ in range(3):
        tally.met("a", "text")
    tally.finish()
    assert told == [("a", 1, "text"), ("a", 2, "text")]
