"""Dates and times, as ISO 8601 writes them: https://en.wikipedia.org/wiki/ISO_8601, calendar dates only."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import Any

from sqlalchemy import DateTime, Time

from gateway_database.numbers import BLANKS

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}"
_CLOCK = r"(?:[01][0-9]|2[0-3])(?::?[0-5][0-9](?::?[0-5][0-9](?:[.,][0-9]+)?)?)?"
_ZONE = r"(?:Z|z|[+-][0-9]{2}(?::?[0-9]{2})?)"
_MOMENT = re.compile(rf"(?:{_DATE})(?:[Tt ]{_CLOCK} ?{_ZONE}?)?")
_TIME = re.compile(rf"{_CLOCK}{_ZONE}?")


def day(value: Any) -> date:
    """Return the day as written.

    Raises:
        ValueError: there is no such day, or it is none.
    """
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else _read(value).date()


def moment(kind: DateTime | Time, value: Any) -> datetime | time:
    """Return a time; one with a zone goes as UTC into a column without, one without counts as UTC.

    Raises:
        ValueError: there is no such time, or it is none.
    """
    if isinstance(kind, Time):
        return _clock(value, with_zone=kind.timezone)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    found = value if isinstance(value, datetime) else _read(value)
    try:
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError:
        raise ValueError("in UTC it lies outside of the years 1 to 9999") from None
    return found if kind.timezone else found.replace(tzinfo=None)


def _clock(value: Any, *, with_zone: bool) -> time:
    if isinstance(value, datetime):
        value = value.timetz()
    if not isinstance(value, time):
        text = str(value).strip(BLANKS)
        if not isinstance(value, str) or not _TIME.fullmatch(text):
            raise ValueError("it is not written as 08:15 or 08:15:00")
        value = time.fromisoformat(text.upper())
    found: time = value
    return found if with_zone else found.replace(tzinfo=None)


def _read(value: Any) -> datetime:
    text = str(value).strip(BLANKS)
    if not isinstance(value, str) or not _MOMENT.fullmatch(text):
        raise ValueError("it is not written as 2026-01-31 or 2026-01-31T08:15:00Z")
    try:
        return datetime.fromisoformat(_without_blank(text).upper())
    except ValueError:
        raise ValueError("there is no such day or time") from None


def _without_blank(text: str) -> str:
    """Leave out a blank before the zone, as in `2026-01-31 08:15:00 Z`."""
    head, _, tail = text.rpartition(" ")
    return head + tail if head and not tail[:1].isdigit() else text
