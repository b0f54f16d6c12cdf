"""Throttled log lines: the first at once, then one a second with a count, and none is lost from the count."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.log.limit import LogLimit


@dataclass
class Later:
    """Time that is moved by hand."""

    now: float = 0.0
    calls: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def __call__(self, seconds: float, call: Callable[[], None]) -> None:
        self.calls.append((self.now + seconds, call))

    def until(self, moment: float) -> None:
        while due := [one for one in self.calls if one[0] <= moment]:
            first = min(due, key=lambda one: one[0])
            self.calls.remove(first)
            self.now = first[0]
            first[1]()
        self.now = moment


def test_a_lone_event_is_logged_at_once_and_again_after_its_second() -> None:
    later = Later()
    limit = LogLimit(later=later)
    with capture_logs() as logged:
        for moment in (0.0, 5.0, 9.0):
            later.until(moment)
            limit.warning("refused", client="a")
    assert logged == [{"event": "refused", "client": "a", "log_level": "warning"}] * 3


def test_what_follows_within_a_second_is_told_once_with_its_count_and_the_last_details() -> None:
    later = Later()
    limit = LogLimit(later=later)
    with capture_logs() as logged:
        for number in range(100):
            limit.warning("refused", client=f"c{number}")
        limit.warning("another", client="x")
        later.until(10.0)
    assert [(line["event"], line["client"], line.get("count")) for line in logged] == [
        ("refused", "c0", None),
        ("another", "x", None),
        ("refused", "c99", 99),
    ]
    assert later.calls == []


@given(st.lists(st.floats(min_value=0.0, max_value=0.7), max_size=200))
def test_no_event_is_lost_from_the_counts_and_lines_are_a_second_apart(gaps: list[float]) -> None:
    later = Later()
    limit = LogLimit(later=later)
    at: list[float] = []

    class Log:
        count = 0

        def warning(self, event: str, **details: int) -> None:
            at.append(later.now)
            self.count += details.get("count", 1)

    log = Log()
    limit._log = log
    for gap in gaps:
        later.until(later.now + gap)
        limit.warning("refused")
    later.until(later.now + 5.0)
    assert log.count == len(gaps)
    assert all(second - first >= 1.0 - 1e-9 for first, second in itertools.pairwise(at))


async def test_it_goes_by_the_running_loop_by_default() -> None:
    with capture_logs() as logged:
        limit = LogLimit(every=0.05)
        for _ in range(5):
            limit.warning("refused")
        await asyncio.sleep(0.3)
    assert [line.get("count") for line in logged] == [None, 4]
