"""Bounds of one template: how long it may take, how often it may go round, how much it may build.

They break off what can be broken off, with a clear text. What cannot, as one step of Python takes too long, either is
counted before it is done (`gateway.templates.work`) or runs in a process that can be ended.
"""

from __future__ import annotations

import math
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
from gateway.templates.values import Strict, as_text
from gateway.templates.work import STEP, is_counted, size_of, spend

SECONDS = 2.0
"""How long one value may take to render, of the processor's time."""
LARGEST = 16 * 1024 * 1024
"""Characters that a value may build."""
ROUNDS = 1_000_000
"""Rounds of all loops of a value together, and items of one list."""

_COLUMNS = 999
_WIDEST = 10_000
"""Columns, copies or digits that may be asked for by a number."""
_LARGEST_POWER = 4096
_LARGEST_NUMBER = 1_000_000
"""Bits of a power or product of whole numbers."""
_ROUNDS_BETWEEN = 64
_NUMBERS: tuple[Any, ...] = (int, float, Decimal)
_EXACT = Context(prec=1000)
"""More digits than forms hold: Python rounds sums and products of decimals to 28, which is for what never ends."""
_WIDTH = re.compile(r"[-#0 +]*+(?:\d{4,}|\*|\d*+\.(?:\d{4,}|\*))")
"""What stands behind a ``%`` and its ``(key)`` that asks for more than 999 columns, or for as many as a value says."""
_BRACES = re.compile(r"\{[^{}]*:[^{}]*(\d{4,}|\{)")
_BRACKET = re.compile(r"[()]")
_THREE_DIGITS = re.compile(r"[0-9]{3}")
_FORMATTED = re.compile(r"%|\{")
_PLAIN: tuple[type, ...] = (str, int, float, Decimal, type(None), datetime, date, time_of_day, timedelta, bytes)
_WIDE_FILTERS = frozenset({"batch", "center", "indent", "round", "slice", "tojson", "truncate", "wordwrap"})
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
    token = _budget.set(_Budget(until=math.inf if is_counted() else time.thread_time() + SECONDS))
    try:
        with localcontext(_EXACT):
            yield
    finally:
        _budget.reset(token)


def check_time() -> None:
    """Break off what takes too long."""
    budget = _budget.get()
    if budget is not None and budget.until < math.inf and time.thread_time() > budget.until:
        raise TemplateError(f"it takes longer than {SECONDS:g} s")


def rounds(value: Any, written: int = 0, steps: int = 0) -> Iterator[Any]:
    """Go through a value, each round paid for with what it writes and does; null has no items."""
    budget = _budget.get()
    for number, item in enumerate(() if value is None else value):
        if number % _ROUNDS_BETWEEN == 0:
            check_time()
        if budget is not None:
            budget.rounds -= 1
            if budget.rounds < 0:
                raise TemplateError(f"its loops go round more than {ROUNDS} times")
            _build(written)
        spend(STEP + steps + (written >> 2))
        yield item


def limited(numbers: range) -> range:
    """Return a range, if there may be as many rounds."""
    if len(numbers) > ROUNDS:
        raise TemplateError(f"its loops go round more than {ROUNDS} times")
    return numbers


def _build(characters: int) -> None:
    budget = _budget.get()
    if budget is not None:
        budget.characters -= characters
        if budget.characters < 0:
            raise TemplateError(f"it builds more than {LARGEST} characters")


def write(value: Any) -> str:
    """Return what is written for a value, paid for."""
    text = text_of(value)
    _build(len(text))
    spend(STEP + (len(text) >> 2))
    return text


def text_of(value: Any) -> str:
    """Return a value as text."""
    return as_text(value if isinstance(value, str) else settled(value))


def settled(value: Any) -> Any:
    """Return a value as plain data: what was to be gone through becomes lists; it must not be too large."""
    if value is None or isinstance(value, (int, float, Decimal)) or (isinstance(value, str) and len(value) <= LARGEST):
        spend(len(value) >> 2 if isinstance(value, str) else size_of(value))
        return value
    left = LARGEST

    def settle(inner: Any) -> Any:
        nonlocal left
        left -= len(inner) if isinstance(inner, (str, bytes)) else 1
        spend(STEP + (len(inner) >> 2 if isinstance(inner, (str, bytes)) else _size(inner)))
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


def _size(inner: Any) -> int:
    return size_of(inner) if isinstance(inner, (int, Decimal)) else 0


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
    spend(length >> 2 if isinstance(kind, str) else length)


def check_operands(name: str, left: Any, right: Any) -> None:
    """Refuse a calculation whose result would be too large, before it is made."""
    check_time()
    if name == "**":
        _check_power(left, right)
    elif name == "*":
        _check_product(left, right)
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
    bits = left.bit_length() * max(1, abs(int(right))) if isinstance(left, int) else 0
    if bits > _LARGEST_NUMBER:
        raise TemplateError("the power is too large")
    spend(bits >> 1)


def _check_product(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > _LARGEST_NUMBER:
        raise TemplateError("the product is too large")


def check_filled(pattern: str, values: Iterable[Any]) -> None:
    """Refuse to fill in ``%`` or ``{}`` of a pattern what would become too large."""
    spend(len(pattern))
    if _BRACES.search(pattern) or any(_WIDTH.match(pattern, place) for place in _conversions(pattern)):
        raise TemplateError("a width in it is too large")
    longest = max((len(text_of(value)) for value in values), default=0)
    widest = _COLUMNS if _THREE_DIGITS.search(pattern) else _COLUMNS // 10
    _check_length(pattern, len(pattern) + max(longest, widest) * len(_FORMATTED.findall(pattern)))


def _conversions(pattern: str) -> Iterator[int]:
    """Yield where flags and width of each ``%`` stand: behind its key, whose brackets Python counts."""
    place = pattern.find("%")
    while place >= 0:
        place += 1
        if pattern.startswith("(", place):
            place = _behind_key(pattern, place)
        yield place
        place = pattern.find("%", place + 1 if pattern.startswith("%", place) else place)


def _behind_key(pattern: str, place: int) -> int:
    depth = 0
    for bracket in _BRACKET.finditer(pattern, place):
        depth += 1 if bracket[0] == "(" else -1
        if depth == 0:
            return bracket.end()
    return len(pattern)


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
    widest = max((abs(number) for number in numbers if isinstance(number, int)), default=0)
    if widest > _WIDEST:
        raise TemplateError(f"a width or number of copies is larger than {_WIDEST}")
    spend(widest)


def _width(value: Any) -> int:
    return len(value) if isinstance(value, str) else value if isinstance(value, int) else 0
