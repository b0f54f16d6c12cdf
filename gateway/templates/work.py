"""Bounds the work of a rendering in the event loop.

A unit is about a hundredth of a microsecond for a character that is copied, and up to that of a step of Python for all
else. Whatever a template does is counted before it is done; what nobody can count is not done here.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from jinja2.runtime import Undefined

from gateway.templates.values import Strict

HERE = 400_000
"""Units of one delivery that are rendered in the event loop: at most some 50 ms."""
STEP = 20
"""Units of looking up, comparing or calculating."""
CALL = 60
"""Units of a filter, a test or a method."""
_ITEM = 4
_FREE = (float, bool, type(None), datetime, date, time, timedelta, Undefined, Iterator)
"""Each step of an iterator is paid for when it is made."""


class TooMuchHere(Exception):
    """The rendering needs more than may be done beside other work; nothing has come of it yet."""


@dataclass(slots=True)
class _Allowance:
    units: int


_allowance: ContextVar[_Allowance | None] = ContextVar("the work that may still be done here", default=None)


@contextmanager
def counted(units: int = HERE) -> Iterator[None]:
    """Count what is rendered inside; raises TooMuchHere where it needs more than so many units."""
    token = _allowance.set(_Allowance(units))
    try:
        yield
    finally:
        _allowance.reset(token)


def is_counted() -> bool:
    """Tell whether the work is counted."""
    return _allowance.get() is not None


def spend(units: int) -> None:
    """Pay for what is done next."""
    allowance = _allowance.get()
    if allowance is not None:
        allowance.units -= units
        if allowance.units < 0:
            raise TooMuchHere


def weigh(*values: Any) -> int:
    """Return the characters and items of values and of what is in them; raises TooMuchHere beyond what is left.

    What stands in several places counts in each of them, as whoever goes through it meets it there.
    """
    allowance = _allowance.get()
    left = HERE if allowance is None else allowance.units
    weight, pending = 0, [iter(values)]
    while pending:
        for value in pending[-1]:
            if isinstance(value, str):
                weight += len(value) + 1
            elif (inner := _inside(value)) is None:
                weight += _ITEM + size_of(value)
            else:
                weight += _ITEM
                pending.append(iter(inner))
                break
            if weight > left:
                raise TooMuchHere
        else:
            pending.pop()
        if weight + len(pending) > left:
            raise TooMuchHere
    return weight


def size_of(value: Any) -> int:
    """Return about how many bytes a value without others in it has."""
    if isinstance(value, int):
        return value.bit_length() >> 3
    if isinstance(value, Decimal):
        return value.__sizeof__() + (abs(value.adjusted()) if value.is_finite() else 0)
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, range):
        return len(value)
    if isinstance(value, _FREE):
        return 0
    raise TooMuchHere  # nobody knows what going through it costs


def _inside(value: Any) -> Iterable[Any] | None:
    if isinstance(value, (list, tuple, set, frozenset, KeysView, ValuesView, ItemsView)):
        return value
    if isinstance(value, Strict):
        return [value.text] if value.text is not None else _pairs(dict(value))
    return _pairs(value) if isinstance(value, Mapping) else None


def _pairs(table: Mapping[Any, Any]) -> Iterator[Any]:
    for key, item in table.items():
        yield key
        yield item


def paid(items: Iterator[Any], *, growing: bool = False) -> Iterator[Any]:
    """Go through what is made step by step, each step paid for; ``growing``: by what came before, too."""
    for number, item in enumerate(items):
        spend(STEP + (number >> 2 if growing else 0))
        yield item
