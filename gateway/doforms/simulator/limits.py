"""The limits of the simulated doForms: calls a minute and at once for an account, reads a day for a web service."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from email.utils import format_datetime

from gateway.doforms.simulator.conditions import AccountLimit, Conditions


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to a call that is over a limit."""

    status: int
    text: str
    headers: dict[str, str] = field(default_factory=dict)


def account_of(webservice: str) -> str:
    """Return the account of a web service: the text before the first ``$$`` of its id."""
    return webservice.partition("$$")[0]


class Gate:
    """Counts the calls that are let through, and refuses what is too much; ``clock`` gives seconds since 1970."""

    def __init__(self, conditions: Conditions, *, clock: Callable[[], float] = time.time) -> None:
        self._conditions = conditions
        self._clock = clock
        self.under_way: Counter[str] = Counter()
        """Calls of each account."""
        self.refused: Counter[int] = Counter()
        """Refusals by their status."""
        self._recent: defaultdict[str, deque[float]] = defaultdict(deque)
        self._reads: Counter[tuple[str, date]] = Counter()

    @contextmanager
    def call(self, webservice: str, method: str) -> Iterator[Refusal | None]:
        """Let a call through while the block runs, or tell why not."""
        account = account_of(webservice)
        refusal = self._over_limit(account) or self._over_quota(webservice, method)
        if refusal is not None:
            self.refused[refusal.status] += 1
            yield refusal
            return
        self.under_way[account] += 1
        try:
            yield None
        finally:
            self.under_way[account] -= 1

    def reset(self) -> None:
        """Count anew."""
        for counts in (self.refused, self._recent, self._reads):
            counts.clear()

    def counted(self, account: str) -> int:
        """Return how many calls of an account count into its limit now."""
        limit = self._conditions.limit or AccountLimit()
        return len(self._of_this_minute(account, limit))

    def _over_limit(self, account: str) -> Refusal | None:
        limit = self._conditions.limit
        recent = self._of_this_minute(account, limit or AccountLimit())
        now = self._clock()
        if limit is not None and self.under_way[account] >= limit.in_flight:
            return _too_many(limit, now, 1.0, f"more than {limit.in_flight} calls at once")
        if limit is not None and len(recent) >= limit.a_minute:
            free = (recent[0] if limit.window == "sliding" else now // limit.minute * limit.minute) + limit.minute
            return _too_many(limit, now, free - now, f"more than {limit.a_minute} calls a minute")
        recent.append(now)
        return None

    def _of_this_minute(self, account: str, limit: AccountLimit) -> deque[float]:
        now, recent = self._clock(), self._recent[account]
        begin = now - limit.minute if limit.window == "sliding" else now // limit.minute * limit.minute
        while recent and recent[0] < begin:
            recent.popleft()
        return recent

    def _over_quota(self, webservice: str, method: str) -> Refusal | None:
        today = webservice, datetime.fromtimestamp(self._clock(), UTC).date()
        quota = self._conditions.quota
        if method != "GET":
            return None
        if quota is not None and self._reads[today] >= quota.calls:
            return Refusal(quota.status, quota.text)
        self._reads[today] += 1
        return None


def _too_many(limit: AccountLimit, now: float, wait: float, why: str) -> Refusal:
    if limit.retry_after == "none":
        headers = {}
    elif limit.retry_after == "date":  # a date has whole seconds
        moment = datetime.fromtimestamp(math.ceil(now + wait), UTC)
        headers = {"Retry-After": format_datetime(moment, usegmt=True)}
    else:
        headers = {"Retry-After": str(max(1, math.ceil(wait)))}
    return Refusal(429, f"too many requests: {why}", headers)
