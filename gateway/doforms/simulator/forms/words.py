"""The words that records are made of."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from random import Random

PEOPLE = ("Ada", "Grace", "Edsger", "Barbara", "Søren Ødegård", "Zoë O'Neill", "李 明", "José Ñandú")
SITES = ("North pier", "Dock 4", "Warehouse 12", "Old mill", 'Hall "B"', "Depot; south", "Straße 9, Köln")
REMARKS = (
    "All in order.",
    "Come again next week.\nBring the long ladder.",
    "=cmd|' /C calc'!A0 is what somebody typed here",
    "Sehr rutschig \N{SNOWFLAKE} bei Frost",
    "<b>Loose</b> & rusty",
)
CUSTOMERS = ("Harbour Board", "Miller & Sons", "Nordlys AS", "City of Graz", "O'Connor's Bakery")
_BEGIN = date(2026, 1, 5)


def day(chance: Random) -> date:
    """Return a day."""
    return _BEGIN + timedelta(days=chance.randrange(300))


def clock(chance: Random) -> time:
    """Return a time of the day as somebody reads it from the wall."""
    return time(chance.randrange(6, 20), chance.choice((0, 15, 30, 45)))


def moment(chance: Random) -> datetime:
    """Return a day and a time, without a zone as forms have it."""
    return datetime.combine(day(chance), clock(chance))


def digits(chance: Random, whole: int, after: int) -> Decimal:
    """Return a number with exactly so many digits after the point: more than a float can hold, trailing zeros too."""
    return Decimal(f"{chance.randrange(10**whole)}.{chance.randrange(10**after):0{after}}")
