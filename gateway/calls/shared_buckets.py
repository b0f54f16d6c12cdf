"""Token buckets that several processes share through the store."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable

import structlog

from gateway.calls.buckets import Bucket, BucketRate, TokenBucket, Unlimited, destination_rate
from gateway.config.loaded import DestinationEntry
from gateway.store.engine import rates
from gateway.store.store import Store

log = structlog.get_logger(__name__)

_GOOD_FOR = 1.0
"""Seconds after which permissions that were not used are given up: saved, they would add up to a burst."""
_BUNDLE = 0.25
"""Seconds whose permissions are drawn at once where many wait."""
_REST = 0.1
"""Seconds after which, on average, a bucket that draws bundles draws again when there were too few."""
_LOOK_AGAIN = 0.05
_AFTER_ERROR = 1.0

Draw = Callable[[int], Awaitable[tuple[int, float]]]
"""Takes up to so many permissions for this process; returns how many there were, and the seconds until another."""


class SharedTokenBucket:
    """Permissions drawn from the store when they are wanted; ``on_more`` is called when some have come.

    ``clock`` returns seconds that only ever rise. ``each``: seconds in which another permission comes. ``bundle``: so
    many are drawn at once where so many wait.
    """

    def __init__(
        self,
        draw: Draw,
        *,
        clock: Callable[[], float],
        on_more: Callable[[], None],
        each: float = math.inf,
        bundle: int = 0,
    ) -> None:
        self._draw = draw
        self._clock = clock
        self._on_more = on_more
        self._each = each
        self._bundle = bundle
        self._stopped_until = 0.0
        self._permits = 0
        self._good_until = 0.0
        self._draw_at = 0.0
        self._drawing: asyncio.Task[None] | None = None

    def take(self, wanted: int, *, backlog: int = 0) -> int:
        """Take up to so many permissions to send; returns how many were at hand, and has more drawn if none was."""
        if wanted <= 0:
            return 0
        moment = self._clock()
        taken = min(wanted, self._permits) if moment < self._good_until else 0
        self._permits -= taken
        if taken == 0 and self._drawing is None and moment >= self._draw_at:
            self._drawing = asyncio.create_task(self._get(max(wanted, min(backlog, self._bundle))))
        return taken

    def wait(self) -> float:
        """Return the seconds until it is worth while to ask again."""
        return _LOOK_AGAIN if self._drawing is not None else max(0.0, self._draw_at - self._clock())

    def stopped(self) -> float:
        """Return the seconds for which nothing is to be had because somebody was told so (`rates.stop`); or 0."""
        return max(0.0, self._stopped_until - self._clock())

    async def _get(self, wanted: int) -> None:
        asked_at = self._clock()
        try:
            self._permits, wait = await self._draw(wanted)
        except Exception as error:
            log.warning("no permission to send could be drawn from the store", error=str(error))
            self._permits, wait = 0, _AFTER_ERROR
        self._good_until = asked_at + _GOOD_FOR
        if wait > 2 * self._each:  # more than the rate explains
            self._stopped_until = self._clock() + wait
        rest = _REST * random.uniform(0.5, 1.5) if self._bundle else 0.0  # nosec B311 # by chance: nobody always comes second
        self._draw_at = self._clock() + (max(wait, rest) if self._permits < wanted else 0.0)
        self._drawing = None
        if self._permits:
            self._on_more()


def shared_bucket(
    store: Store, name: str, rate: BucketRate, *, on_more: Callable[[], None], bundles: bool = False
) -> SharedTokenBucket:
    """Return the bucket that all processes share under this name; ``bundles`` spares the store."""

    async def draw(wanted: int) -> tuple[int, float]:
        return await store.write(lambda c: rates.draw(c, name, wanted, per_second=rate.per_second, burst=rate.burst))

    bundle = math.ceil(rate.per_second * _BUNDLE) if bundles else 0
    return SharedTokenBucket(draw, clock=time.monotonic, on_more=on_more, each=1 / rate.per_second, bundle=bundle)


def bucket_of(store: Store, entry: DestinationEntry, *, on_more: Callable[[], None]) -> Bucket:
    """Return the bucket of a destination: of this process, or of all that share the store."""
    if entry.rate is None:
        return Unlimited()
    rate = destination_rate(entry.rate)
    if not store.database.shared:
        return TokenBucket(rate, time.monotonic)
    return shared_bucket(store, f"destination {entry.name}", rate, on_more=on_more)
