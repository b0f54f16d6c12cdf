"""Bounds of one template: how long it may take, how often it may go round, how much it may build."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Context, Decimal, localcontext
from typing import Any

from jinja2.runtime import Undefined

from gateway.errors import TemplateError
from gateway.routing.names import Strict, as_text

SECONDS = 2.0
"""How long one value may take to render."""
LARGEST = 16 * 1024 * 1024
"""Characters that a value may build."""
ROUNDS = 1_000_000
"""Rounds of all loops of a value together, and items of one list."""

_WIDEST = 10_000
"""Columns, copies or digits that may be asked for by a number."""
_LARGEST_POWER = 4096
_LARGEST_NUMBER = 1_000_000
"""Bits of a power of whole numbers."""
_ROUNDS_BETWEEN = 64
_NUMBERS: tuple[Any, ...] = (int, float, Decimal)
_EXACT = Context(prec=1000)
"""More digits than forms hold: Python rounds sums and products of decimals to 28, which is for what never ends."""
_WIDTH = re.compile(r"%[^a-zA-Z%]*?(\d{4,}|\*)|\{[^{}]*:[^{}]*(\d{4,}|\{)")
_FORMATTED = re.compile(r"%|\{")
_PLAIN: tuple[type, ...] = (str, int, float, Decimal, type(None), datetime, date, time_of_day, timedelta, bytes)
_WIDE_FILTERS = frozenset({"batch", "center", "indent", "slice", "tojson", "truncate", "wordwrap"})
_WIDE_METHODS = frozenset({"center", "ljust", "rjust", "zfill"})


@dataclass(slots=True)
class _Budget:
    until: float
    rounds: int = ROUNDS
    characters: int = LARGEST


_budget: ContextVar[_Budget | None] = ContextVar("what is left for the value being rendered", default=None)


@contextmanager
def bounded() -> Iterator[None]:
    """Bound what is rendered inside; decimals are calculated with there without losing a digit."""
    token = _budget.set(_Budget(until=time.monotonic() + SECONDS))
    try:
        with localcontext(_EXACT):
            yield
    finally:
        _budget.reset(token)


def check_time() -> None:
    """Break off what takes too long."""
    budget = _budget.get()
    if budget is not None and time.monotonic() > budget.until:
        raise TemplateError(f"it takes longer than {SECONDS:g} s")


def rounds(value: Any, written: int = 0) -> Iterator[Any]:
    """Go through a value, each round paid for with what it writes; null has no items."""
    budget = _budget.get()
    for number, item in enumerate(() if value is None else value):
        if number % _ROUNDS_BETWEEN == 0:
            check_time()
        if budget is not None:
            budget.rounds -= 1
            if budget.rounds < 0:
                raise TemplateError(f"its loops go round more than {ROUNDS} times")
            _spend(written)
        yield item


def limited(numbers: range) -> range:
    """Return a range, if there may be as many rounds."""
    if len(numbers) > ROUNDS:
        raise TemplateError(f"its loops go round more than {ROUNDS} times")
    return numbers


def _spend(characters: int) -> None:
    budget = _budget.get()
    if budget is not None:
        budget.characters -= characters
        if budget.characters < 0:
            raise TemplateError(f"it builds more than {LARGEST} characters")


def write(value: Any) -> str:
    """Return what is written for a value, paid for."""
    text = text_of(value)
    _spend(len(text))
    return text


def text_of(value: Any) -> str:
    """Return a value as text."""
    return as_text(value if isinstance(value, str) else settled(value))


def settled(value: Any) -> Any:
    """Return a value as plain data: what was to be gone through becomes lists; it must not be too large."""
    if value is None or isinstance(value, (int, float, Decimal)) or (isinstance(value, str) and len(value) <= LARGEST):
        return value
    left = LARGEST

    def settle(inner: Any) -> Any:
        nonlocal left
        left -= len(inner) if isinstance(inner, (str, bytes)) else 1
        if left < 0:
            raise TemplateError(f"it builds more than {LARGEST} characters or items")
        if isinstance(inner, _PLAIN):
            return inner
        check_time()
        if isinstance(inner, Strict) and inner.text is not None:
            return inner.text
        if isinstance(inner, Mapping):
            return {str(key): settle(item) for key, item in inner.items()}
        if isinstance(inner, Undefined):
            str(inner)  # raises what is undefined
        if callable(inner):
            raise TemplateError("it gives a method or function: write () behind its name to call it")
        if isinstance(inner, Iterable):
            return [settle(item) for item in rounds(inner)]
        raise TemplateError(f"it gives a {type(inner).__name__}, which is no value")

    return settle(value)


def checked(value: Any) -> Any:
    """Return what a step of a template has built, if it is not too large."""
    if isinstance(value, (str, list, tuple)):
        _check_length(value, len(value))
    return value


def _check_length(kind: Any, length: int) -> None:
    if isinstance(kind, str) and length > LARGEST:
        raise TemplateError(f"it builds more than {LARGEST} characters")
    if not isinstance(kind, str) and length > ROUNDS:
        raise TemplateError(f"it builds a list of more than {ROUNDS} items")


def check_operands(name: str, left: Any, right: Any) -> None:
    """Refuse a calculation whose result would be too large, before it is made."""
    check_time()
    if name == "**":
        _check_power(left, right)
    elif name == "*":
        for sized, times in ((left, right), (right, left)):
            if isinstance(sized, (str, list, tuple)) and isinstance(times, int):
                _check_length(sized, len(sized) * times)
    elif name == "+" and isinstance(left, (str, list, tuple)) and isinstance(right, (str, list, tuple)):
        _check_length(left, len(left) + len(right))
    elif name == "%" and isinstance(left, str):
        values = right.values() if isinstance(right, Mapping) else right if isinstance(right, tuple) else (right,)
        check_filled(left, values)


def _check_power(left: Any, right: Any) -> None:
    if isinstance(right, _NUMBERS) and abs(right) > _LARGEST_POWER:
        raise TemplateError(f"the power {right} is too large")
    if isinstance(left, int) and left.bit_length() * max(1, int(right)) > _LARGEST_NUMBER:
        raise TemplateError("the power is too large")


def check_filled(pattern: str, values: Iterable[Any]) -> None:
    """Refuse to fill in ``%`` or ``{}`` of a pattern what would become too large."""
    if _WIDTH.search(pattern):
        raise TemplateError("a width in it is too large")
    longest = max((len(text_of(value)) for value in values), default=0)
    _check_length(pattern, len(pattern) + longest * len(_FORMATTED.findall(pattern)))


def check_filter(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Refuse a filter whose result would be too large; the first argument is the value."""
    check_time()
    if name in _WIDE_FILTERS:
        _check_widths((*args[1:], *kwargs.values()))
    if name == "indent" and args:
        lines = text_of(args[0]).count("\n") + 1
        _check_length("", lines * max((_width(one) for one in (*args[1:], *kwargs.values())), default=4))
    if name == "replace" and len(args) >= 3:
        _check_replaced(text_of(args[0]), args[1], args[2])


def check_method(function: Any, args: tuple[Any, ...]) -> None:
    """Refuse a method of a text whose result would be too large."""
    owner = getattr(function, "__self__", None)
    if not isinstance(owner, str):
        return
    name = function.__name__
    if name in _WIDE_METHODS:
        _check_widths(args)
    elif name == "replace" and len(args) >= 2:
        _check_replaced(owner, args[0], args[1])
    elif name == "join" and args and isinstance(args[0], (list, tuple)):
        check_joined(owner, args[0])


def check_joined(separator: str, items: Iterable[Any]) -> None:
    """Refuse to join texts to one that is too large."""
    _check_length("", sum(len(separator) + len(text_of(item)) for item in items))


def _check_replaced(text: str, old: Any, new: Any) -> None:
    if isinstance(old, str) and isinstance(new, str):
        _check_length(text, len(text) + text.count(old) * len(new))


def _check_widths(numbers: Iterable[Any]) -> None:
    if any(isinstance(number, int) and number > _WIDEST for number in numbers):
        raise TemplateError(f"a width or number of copies is larger than {_WIDEST}")


def _width(value: Any) -> int:
    return len(value) if isinstance(value, str) else value if isinstance(value, int) else 0
