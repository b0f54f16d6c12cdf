"""``gateway check --connect``: asks each plugin whether its destination is there and fits the deliveries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gateway.config.loaded import DestinationEntry, Routes
from gateway.destinations.contract import findings_of
from gateway.destinations.destination import Finding, Use
from gateway.destinations.faults import RAISED, describe_fault, is_ours, text_of
from gateway.destinations.limited import begun
from gateway.errors import DeliveryError

_WITHIN = 20.0
"""Seconds that one destination may take to be checked."""
_CLOSED_WITHIN = 5.0
"""Seconds that it may take to close again."""
_LET_GO_WITHIN = 2.0
"""Seconds beyond those, for one that blocks or goes on when it is cancelled."""


def look_at_all(
    loaded: Routes, *, within: float = _WITHIN, closed_within: float = _CLOSED_WITHIN
) -> dict[str, Sequence[Finding]]:
    """Look at every destination at the same time; returns what each found.

    Each is looked at in a thread with an event loop of its own: one that blocks holds up no other, and is left behind.
    """

    def look(entry: DestinationEntry) -> Sequence[Finding]:
        return asyncio.run(look_at(loaded, entry, within=within, closed_within=closed_within))

    looking = {name: begun(look, entry) for name, entry in loaded.destinations.items()}
    until = time.monotonic() + within + closed_within + _LET_GO_WITHIN
    found: dict[str, Sequence[Finding]] = {}
    for name, ended in looking.items():
        entry = loaded.destinations[name]
        try:
            findings, error = ended.result(max(0.0, until - time.monotonic()))
        except TimeoutError:
            findings, error = None, TimeoutError("it blocks, or goes on though its time is over")
        found[name] = findings if error is None else [_failed(entry, "look at it", error)]
    return found


async def look_at(
    loaded: Routes, entry: DestinationEntry, *, within: float = _WITHIN, closed_within: float = _CLOSED_WITHIN
) -> Sequence[Finding]:
    """Open a destination, have it checked and close it, in so many seconds; what its plugin raises is a finding too."""
    uses: list[Use[Any]] = [
        Use(route=spec.route, delivery=spec.name, options=spec.options)
        for route in loaded.routes
        for spec in route.deliveries
        if spec.destination == entry.name
    ]
    return [*await _check(entry, uses, within), *await _close(entry, closed_within)]


async def _check(entry: DestinationEntry, uses: Sequence[Use[Any]], within: float) -> Sequence[Finding]:
    limit = asyncio.timeout(within)
    try:
        async with limit:
            await entry.instance.open()
            return findings_of(await entry.instance.check(uses), "check")
    except DeliveryError as error:
        text = text_of(error) or type(error).__name__
        return [Finding(where="", found=text, remedy="Mend the destination's settings, or the other side")]
    except RAISED as error:
        if limit.expired():
            found = f"no answer within {within:g} s"
            return [Finding(where="", found=found, remedy="Look whether its address is right")]
        if is_ours(error):
            raise
        return [_failed(entry, "look at it", error)]


async def _close(entry: DestinationEntry, within: float) -> Sequence[Finding]:
    limit = asyncio.timeout(within)
    try:
        async with limit:
            await entry.instance.close()
    except RAISED as error:
        if not limit.expired() and is_ours(error):
            raise
        told = TimeoutError(f"no end within {within:g} s") if limit.expired() else error
        return [replace(_failed(entry, "close", told), error=False)]
    return []


def _failed(entry: DestinationEntry, what: str, error: BaseException) -> Finding:
    return Finding(
        where="",
        found=f"the plugin {entry.plugin} failed to {what}: {describe_fault(error)}",
        remedy="Mend the destination's settings, or the other side; if both are right, tell the author of the plugin",
    )
