"""The retry decision: how long to wait and when to give up, for deliveries, fetches, attachments and reports."""

from __future__ import annotations

import random
from dataclasses import dataclass

from gateway.doforms.failures import BadKey, Later, Misled
from gateway.errors import DoformsError
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


@dataclass(frozen=True, slots=True)
class NextAttempt:
    """What follows a failed attempt: another one after a wait, or none."""

    number: int
    """Attempts up to now."""
    counted: bool
    """Whether the failed one was an attempt by the settings of the retries."""
    wait: float
    """Seconds until the next one."""
    verdict: str | None
    """Why there is no next one; None: there is one."""


def next_attempt(
    retry: Retry, *, attempts: int, spent: float, jitter: float, counted: bool = True, wish: float | None = None
) -> NextAttempt:
    """Decide whether and when something is tried again: a delivery, a fetch, an attachment or a report.

    ``attempts`` were made before the failed one, which adds to them if it is ``counted``; ``spent`` seconds have gone
    by, those of the failed one with them. ``jitter`` in [0, 1) spreads the wait by a fifth either way. ``wish`` is the
    other side's ``Retry-After`` in seconds; it is honoured up to ``retry.max``.
    """
    number = attempts + int(counted)
    wait = _delay(retry, max(1, number), jitter=jitter, wish=wish)
    return NextAttempt(number, counted, wait, _gives_up(retry, number=number, spent=spent, wait=wait))


def after_call(retry: Retry, error: DoformsError, *, attempts: int, spent: float) -> NextAttempt:
    """Decide what follows a call to doForms that failed; the meaning of the numbers is that of `next_attempt`.

    "Too many requests" is no attempt: it says nothing about what was asked for.
    """
    later = error if isinstance(error, Later) else None
    counted = later is None or not later.too_many
    if isinstance(error, BadKey | Misled):
        return NextAttempt(attempts + int(counted), counted, 0.0, "refused")
    wish = None if later is None else later.retry_after
    jitter = random.random()  # nosec B311
    return next_attempt(retry, attempts=attempts, spent=spent, jitter=jitter, counted=counted, wish=wish)


def _delay(retry: Retry, number: int, *, jitter: float, wish: float | None) -> float:
    exponent = min(number - 1, 64)
    wait: float = min(retry.first * retry.factor**exponent, retry.max)
    wait *= 1 - _JITTER + 2 * _JITTER * jitter
    return max(wait, min(wish, retry.max)) if wish is not None else wait


def _gives_up(retry: Retry, *, number: int, spent: float, wait: float) -> str | None:
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
