"""Lists what doForms received in a span of time, splitting listings that are full.

doForms lists at most `MOST` records, from a begin (inclusive) to an end (exclusive) of the time it received them. A
listing of so many may lack some, so its window is halved; only one that cannot be halved any more is paged by ``skip``.
At most one listing is held in memory.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.doforms.failures import NotAListing
from gateway.doforms.listing import MOST, ListedRecord

STEP = timedelta(milliseconds=1)
"""How finely doForms takes times; no window is shorter."""

Ask = Callable[[datetime, datetime, int], Awaitable[Sequence[ListedRecord]]]
"""Given begin, end and how many to skip: what doForms lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What doForms lists of a window: the whole, or a part of one that could not be split."""

    begin: datetime
    end: datetime
    records: Sequence[ListedRecord]
    last: bool
    """Whether the window is complete with it."""


def aligned(moment: datetime) -> datetime:
    """Return the last moment that doForms can be asked for and that is not later."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


async def walk(ask: Ask, begin: datetime, end: datetime) -> AsyncGenerator[Page, None]:
    """Yield what doForms received from ``begin`` to before ``end``, both `aligned`, the oldest windows first.

    Raises:
        NotAListing: the listings cannot be what they should be: windows or pages that share no record begin alike.
        Exception: whatever ``ask`` raises.
    """
    open_ = [(begin, end)] if begin < end else []
    last_first: str | None = None
    while open_:
        begin, end = open_.pop()
        found = await ask(begin, end, 0)
        if len(found) >= MOST and end - begin > STEP:
            middle = aligned(begin + (end - begin) / 2)
            open_ += [(middle, end), (begin, middle)]
            continue
        skip = 0
        while True:
            first = found[0].key if found else None
            if first is not None and first == last_first:
                raise NotAListing(
                    f"doForms lists the record {first} first from {begin} to {end}, skipping {skip}, as it did in the "
                    "listing before: it does not seem to heed what it is asked for"
                )
            last_first = first or last_first
            last = len(found) < MOST
            yield Page(begin=begin, end=end, records=found, last=last)
            if last:
                break
            skip += len(found)
            found = await ask(begin, end, skip)
