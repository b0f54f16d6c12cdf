"""Makes one attempt: hands deliveries to a destination under a time limit and classifies how it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from gateway.delivery.attempts.classify import Classifier
from gateway.delivery.settle import Attempted
from gateway.destinations.destination import Delivery, Destination
from gateway.destinations.faults import RAISED, describe_type, is_ours
from gateway.errors import Uncertain
from gateway.http import ends_within

_OVERDUE = 10.0
"""Seconds that a plugin gets to end after its time limit, before it is told that it hangs."""


def takes_many(destination: Destination[Any, Any]) -> bool:
    """Tell whether a destination sends several deliveries at once."""
    return type(destination).deliver_many is not Destination.deliver_many


async def attempt(
    destination: Destination[Any, Any],
    deliveries: Sequence[Delivery[Any]],
    *,
    timeout: float,
    classifier: Classifier,
    overdue: float = _OVERDUE,
) -> list[Attempted]:
    """Send deliveries once, within ``timeout`` seconds; returns how each ended. Never raises but for cancellation.

    A plugin that goes on ``overdue`` seconds after that is told in the log.
    """
    started = time.monotonic()
    hanging = asyncio.get_running_loop().call_later(timeout + overdue, classifier.hangs, deliveries, timeout)
    results: Sequence[object]
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            with ends_within(timeout):
                results = await _send(destination, deliveries)
    except RAISED as error:
        if is_ours(error):
            raise
        late = Uncertain(f"no answer within its time limit of {timeout:g} s")
        results = [late if limit.expired() else error] * len(deliveries)
    finally:
        hanging.cancel()
    duration = time.monotonic() - started
    return [
        classifier.classify(result, delivery, duration) for result, delivery in zip(results, deliveries, strict=True)
    ]


async def _send(destination: Destination[Any, Any], deliveries: Sequence[Delivery[Any]]) -> Sequence[object]:
    if len(deliveries) == 1:
        return [await destination.deliver(deliveries[0])]
    results: object = await destination.deliver_many(deliveries)
    if not isinstance(results, list | tuple):
        raise TypeError(f"deliver_many returned {describe_type(results)} instead of a list of receipts and errors")
    given = list(results)
    if len(given) != len(deliveries):
        raise TypeError(f"deliver_many returned {len(given)} results for {len(deliveries)} deliveries")
    return given
