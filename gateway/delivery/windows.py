"""Windows of receive time: which ones a record is looked for in, and how a listing of one is read to its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.doforms.failures import Later, Refused
from gateway.doforms.listing import MOST, ListedRecord
from gateway.models import Notification

_AROUND = timedelta(minutes=15)
"""How far doForms' clock and ours may be apart, and a record's receipt and its notification."""
_MINUTE = timedelta(minutes=1)
_SHORTEST = timedelta(seconds=1)
"""A window that is not split any more."""
_MOST_CALLS = 50
"""Listings made to look for one record: those of 50,000 records."""

ListPage = Callable[["Window", int], Awaitable[Sequence[ListedRecord]]]
"""Given a window and how many of its records to skip: the next records."""


@dataclass(frozen=True, slots=True)
class Window:
    """From ``begin`` to before ``end``."""

    begin: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.begin:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"

    def halves(self) -> tuple[Window, Window]:
        """Split it."""
        middle = self.begin + (self.end - self.begin) / 2
        return Window(self.begin, middle), Window(middle, self.end)


def windows_of(notification: Notification) -> tuple[Window, ...]:
    """Return where a notification's record is looked for: around the time of both, or of each if they are far apart.

    Whole minutes, so that many notifications of one moment look in the same place.
    """
    created = notification.created or notification.received
    early, late = min(created, notification.received), max(created, notification.received)
    if late - early <= 2 * _AROUND:
        return (_around(early, late),)
    return _around(created, created), _around(notification.received, notification.received)


def _around(early: datetime, late: datetime) -> Window:
    begin, end = early - _AROUND, late + _AROUND + _MINUTE
    return Window(begin.replace(second=0, microsecond=0), end.replace(second=0, microsecond=0))


async def pages(windows: Sequence[Window], list_page: ListPage) -> AsyncIterator[Sequence[ListedRecord]]:
    """Yield the pages of all windows; one whose pages cannot be turned is split while it is full.

    Raises:
        Later: there are more pages than are looked at for one record.
    """
    calls, to_do = 0, list(reversed(windows))
    while to_do:
        window = to_do.pop()
        page: Sequence[ListedRecord] = ()
        skip = 0
        while skip == 0 or len(page) == MOST:
            if calls == _MOST_CALLS:
                raise Later(f"after {calls} listings the records received from {window} had not all been looked at")
            calls += 1
            following = await _turn(window, skip, list_page)
            if following is None or (following and following == page):
                if window.end - window.begin > _SHORTEST:
                    to_do += reversed(window.halves())
                break
            yield following
            page, skip = following, skip + MOST


async def _turn(window: Window, skip: int, list_page: ListPage) -> Sequence[ListedRecord] | None:
    """Return a page; None: so many records cannot be skipped."""
    try:
        return await list_page(window, skip)
    except Refused:
        if skip == 0:
            raise
        return None
