"""Trying again: how long to wait, when to give up, and what is heard by whoever needs what is not there."""

from __future__ import annotations

from gateway.models import ReasonCode, Retry

_JITTER = 0.2


class Deferred(Exception):
    """Not there yet; ``until`` is in the store's time, ``in_line`` tells that nothing is wrong: others go first.

    ``code`` and ``subject`` say what is waited for, where something else may end that.
    """

    def __init__(
        self,
        until: int,
        reason: str,
        *,
        in_line: bool = False,
        code: ReasonCode | None = None,
        subject: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.until = until
        self.in_line = in_line
        self.code = code
        self.subject = subject


class GivenUp(Exception):
    """It could not be had, and is not tried again; ``code`` says what."""

    def __init__(self, reason: str, code: ReasonCode | None = None) -> None:
        super().__init__(reason)
        self.code = code


def delay(retry: Retry, number: int, *, jitter: float, wish: float | None = None) -> float:
    """Return the seconds to wait after attempt ``number`` (from 1).

    ``jitter`` in [0, 1) spreads the wait by a fifth either way. ``wish`` is the other side's ``Retry-After``; it is
    honoured up to ``retry.max``.
    """
    exponent = min(number - 1, 64)
    wait: float = min(retry.first * retry.factor**exponent, retry.max)
    wait *= 1 - _JITTER + 2 * _JITTER * jitter
    return max(wait, min(wish, retry.max)) if wish is not None else wait


def gives_up(retry: Retry, *, number: int, spent: float, wait: float) -> str | None:
    """Tell why there is no further attempt after ``number`` of them and ``spent`` seconds; None: there is one."""
    if retry.attempts is not None and number >= retry.attempts:
        return f"given up after {number} {'attempt' if number == 1 else 'attempts'}"
    if spent + wait > retry.give_up_after:
        return f"given up after {number} attempts in {_span(spent)}"
    return None


def describe_deaths(deaths: int, *, alone: bool) -> str:
    """Tell of processes that died, or stood still until their lease was over, while something was at work."""
    if deaths == 1:
        return "the gateway's process died, or lost its lease, while it was at work on this"
    last = ", the last time with no other suspect beside it" if alone else ""
    return f"the gateway's process died {deaths} times in a row while it was at work on this{last}"


def _span(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.1f}{unit}"
    return f"{seconds:.1f}s"
