"""Removes files from the spool that belong to no attachment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from gateway.attachments.spool import Spool

_AT_ONCE = 200
"""Files that are looked up together."""


async def sweep(spool: Spool, belonging: Callable[[Sequence[str]], Awaitable[set[str]]]) -> int:
    """Remove what a deleted notification or a crash has left behind; returns how many files that were.

    ``belonging`` returns those of these names that belong to an attachment. The names are gone through a folder at a
    time, so that a spool of any size takes the same memory. Raises OSError.
    """
    removed = 0
    for folder in await asyncio.to_thread(spool.folders):
        names = await asyncio.to_thread(spool.names, folder)
        for some in (names[start : start + _AT_ONCE] for start in range(0, len(names), _AT_ONCE)):
            left = set(some) - await belonging(some)
            removed += await asyncio.to_thread(spool.remove, left)
    return removed
