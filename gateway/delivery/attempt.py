"""One attempt: handing rendered deliveries to a destination under a time limit, and naming how it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import structlog

from gateway.delivery.settle import Attempted, Result
from gateway.destinations.destination import Delivery, Destination
from gateway.errors import DeliveryError, Misconfigured, Rejected, Unavailable, Uncertain
from gateway.log import Mask
from gateway.models import Receipt

log = structlog.get_logger(__name__)


def takes_many(destination: Destination[Any, Any]) -> bool:
    """Tell whether a destination sends several deliveries at once."""
    return type(destination).deliver_many is not Destination.deliver_many


async def attempt(
    destination: Destination[Any, Any], deliveries: Sequence[Delivery[Any]], *, timeout: float, mask: Mask
) -> list[Attempted]:
    """Send deliveries once, within ``timeout`` seconds; returns how each ended. Never raises but for cancellation."""
    started = time.monotonic()
    results: Sequence[Receipt | BaseException]
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            if len(deliveries) == 1:
                results = [await destination.deliver(deliveries[0])]
            else:
                results = await destination.deliver_many(deliveries)
                if len(results) != len(deliveries):
                    raise TypeError(f"deliver_many returned {len(results)} results for {len(deliveries)} deliveries")
    except Exception as error:
        late = Uncertain(f"no answer within its time limit of {timeout:g} s")
        results = [late if limit.expired() else error] * len(deliveries)
    duration = time.monotonic() - started
    return [_name(result, one, duration, mask) for result, one in zip(results, deliveries, strict=True)]


def _name(result: Receipt | BaseException, delivery: Delivery[Any], duration: float, mask: Mask) -> Attempted:
    if isinstance(result, Receipt):
        masked = Receipt(
            summary=mask.text(result.summary),
            details=mask.data(dict(result.details)),
            left_out=mask.data(dict(result.left_out)) if result.left_out else {},
        )
        return Attempted(result=Result.DELIVERED, receipt=masked, duration=duration)
    reason = mask.text(str(result) or type(result).__name__)
    match result:
        case Rejected():
            return Attempted(result=Result.REJECTED, reason=reason, duration=duration)
        case Unavailable():
            return Attempted(
                result=Result.UNAVAILABLE,
                reason=reason,
                retry_after=result.retry_after,
                whole=result.whole,
                duration=duration,
            )
        case Misconfigured():
            return Attempted(result=Result.MISCONFIGURED, reason=reason, duration=duration)
        case DeliveryError():
            return Attempted(result=Result.UNCERTAIN, reason=reason, duration=duration)
    log.error(
        "a plugin raised what it must not: this is a bug of the plugin",
        notification=delivery.notification.key,
        error=reason,
        exc_info=result,
    )
    return Attempted(result=Result.UNCERTAIN, reason=f"{type(result).__name__}: {reason}", duration=duration)
