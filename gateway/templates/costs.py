"""The most that filters, tests and methods of templates can cost; see `gateway.templates.work`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from decimal import Decimal
from typing import Any

from jinja2.runtime import LoopContext
from jinja2.utils import Namespace

from gateway.templates.work import CALL, STEP, TooMuchHere, is_counted, size_of, spend, weigh

_LIGHT_FILTERS = frozenset(
    {"attr", "batch", "count", "d", "default", "first", "items", "last", "length", "list", "map", "random", "reject"}
    | {"rejectattr", "reverse", "rounds", "select", "selectattr", "slice"}
)
"""Those that look at no item, or step by step."""
_LINEAR_FILTERS = frozenset(
    {"abs", "capitalize", "center", "e", "escape", "filesizeformat", "float", "forceescape", "format", "indent", "int"}
    | {"join", "lower", "replace", "round", "safe", "string", "sum", "title", "trim", "truncate", "upper"}
    | {"urlencode", "wordcount", "xmlattr"}
)
"""Those that go through what they are given a few times."""
_ORDERING_FILTERS = frozenset({"dictsort", "groupby", "max", "min", "sort"})
"""Those that compare an item with some twenty others."""
_LIGHT_METHODS = frozenset(
    {"adjusted", "bit_length", "date", "get", "is_finite", "is_integer", "is_nan", "is_signed", "is_zero", "items"}
    | {"isocalendar", "isoformat", "isoweekday", "keys", "time", "timestamp", "timetz", "total_seconds", "tzname"}
    | {"utcoffset", "values", "weekday", "astimezone"}
)
_LINEAR_METHODS = frozenset(
    {"capitalize", "casefold", "center", "count", "endswith", "find", "format", "index", "isalnum", "isalpha"}
    | {"isascii", "isdecimal", "isdigit", "islower", "isnumeric", "isprintable", "isspace", "istitle", "isupper"}
    | {"join", "ljust", "lower", "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rjust", "rstrip"}
    | {"split", "splitlines", "startswith", "strip", "swapcase", "title", "upper", "zfill"}
)
_BACKWARDS = frozenset({"rfind", "rindex", "rpartition", "rsplit"})
"""Python looks for a text from its end by trying each place."""
_UNLISTED = 300
_WORD = 64
_STEPS_TO_TEXT = 256
"""How much longer the text of a time can be than its pattern."""


def pay_for_filter(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Pay for a filter; of one that is not listed it is assumed that it compares each character with each other."""
    if not is_counted():
        return
    if name in _LIGHT_FILTERS:
        spend(CALL + (len(args[0]) if args and isinstance(args[0], Sized) else 0))
        return
    weight = weigh(*args, *kwargs.values())
    if name in _LINEAR_FILTERS:
        spend(CALL + 4 * weight)
    elif name in _ORDERING_FILTERS:
        spend(CALL + 20 * weight)
    elif name == "tojson":
        spend(CALL + 4 * weight)
    else:
        spend(_UNLISTED + weight * weight // 4)


def pay_for_test(args: tuple[Any, ...]) -> None:
    """Pay for a test."""
    if is_counted():
        spend(CALL + weigh(*args))


def pay_for_call(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Pay for a method; raises TooMuchHere for one whose costs nobody knows."""
    if not is_counted():
        return
    name, owner = getattr(function, "__name__", ""), getattr(function, "__self__", None)
    if getattr(function, "is_paid_for", False):
        spend(CALL)
        return
    if function is dict:  # keys can be made to collide
        spend(CALL + weigh(*args, *kwargs.values()) ** 2 // 4)
        return
    if function is Namespace or isinstance(owner, LoopContext):
        spend(CALL + weigh(*args, *kwargs.values()))
        return
    if name in _LIGHT_METHODS and not isinstance(owner, str):
        spend(CALL + weigh(*args, *kwargs.values()))
        return
    weight = weigh(owner, *args, *kwargs.values())
    if name == "strftime":
        spend(CALL + _STEPS_TO_TEXT * weight)
    elif name in _LINEAR_METHODS:
        spend(CALL + 4 * weight)
    elif name in _BACKWARDS:
        spend(CALL + weigh(owner) * (1 + max((len(one) for one in args if isinstance(one, str)), default=0)))
    elif name == "replace":
        spend(CALL + weight)
    else:
        raise TooMuchHere


def pay_for_numbers(operator: str, left: Any, right: Any) -> None:
    """Pay for calculating with whole numbers or decimals, by how many digits they have."""
    words = [size_of(side) // 8 + 1 for side in (left, right) if isinstance(side, (int, Decimal))]
    if len(words) < 2 or operator in "+-":  # one of them is small
        spend(STEP + sum(words) * max(words, default=0) // _WORD)
    else:
        spend(STEP + words[0] * words[1] // 4)


def pay_for_comparing(left: Any, right: Any) -> None:
    """Pay for comparing two values, or for looking for one in a text."""
    if isinstance(left, str) and isinstance(right, str):
        spend(STEP + (len(left) + len(right) >> 3))
    elif isinstance(left, (int, Decimal)) and isinstance(right, (int, Decimal)):
        pay_for_numbers("==", left, right)
    elif isinstance(left, (list, tuple, dict)) and isinstance(right, (list, tuple, dict)):
        spend(STEP + 2 * weigh(left, right))
    else:
        spend(STEP + (weigh(left, right) if _may_be_large(left) and _may_be_large(right) else 0))


def _may_be_large(value: Any) -> bool:
    return value is not None and not isinstance(value, (str, int, float, Decimal))


def counted_nodes(found: Iterable[Any]) -> int:
    """Return what the parts of a template cost each time that it is gone through."""
    return STEP // 4 * sum(1 for _ in found)
