"""Filters and tests of templates: Jinja2's own, with the rules for null and the bounds."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import partial, wraps
from typing import Any

from jinja2 import pass_environment, pass_eval_context
from jinja2.environment import Environment
from jinja2.filters import FILTERS, make_attrgetter
from jinja2.nodes import EvalContext
from jinja2.runtime import Undefined
from jinja2.tests import TESTS

from gateway.errors import TemplateError
from gateway.templates.costs import pay_for_comparing, pay_for_filter, pay_for_test
from gateway.templates.render_limits import (
    check_filter,
    check_joined,
    check_operands,
    checked,
    rounds,
    settled,
    text_of,
)
from gateway.templates.work import CALL, STEP, is_counted, paid, size_of, spend, weigh
from gateway.text.json_text import to_json

_OF_NULL: Mapping[str, Any] = {"length": 0, "count": 0, "list": [], "items": []}
_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
}
_COMPARING = {
    **dict.fromkeys(("==", "eq", "equalto"), "eq"),
    **dict.fromkeys(("!=", "ne"), "ne"),
    **dict.fromkeys((">", "gt", "greaterthan"), "gt"),
    **dict.fromkeys((">=", "ge"), "gteq"),
    **dict.fromkeys(("<", "lt", "lessthan"), "lt"),
    **dict.fromkeys(("<=", "le"), "lteq"),
    "in": "in",
}
"""What Jinja2's tests that compare are called here."""


def alike(left: Any, right: Any) -> tuple[Any, Any]:
    """Make a decimal of a float that meets one: literals of templates are floats, numbers of records decimals."""
    if isinstance(left, Decimal) and isinstance(right, float):
        return left, Decimal(repr(right))
    if isinstance(left, float) and isinstance(right, Decimal):
        return Decimal(repr(left)), right
    return left, right


def holds(name: str, left: Any, right: Any) -> bool:
    """Compare; ordering against null is false, and null holds nothing."""
    for side in (left, right):
        if isinstance(side, Undefined):
            bool(side)  # raises what is undefined
    if name in ("in", "notin"):
        return _inside(left, right) == (name == "in")
    left, right = alike(left, right)
    pay_for_comparing(left, right)
    if name in ("eq", "ne"):
        return bool((left == right) == (name == "eq"))
    if left is None or right is None:
        return False
    try:
        return bool(_ORDERS[name](left, right))
    except TypeError:
        raise TemplateError(
            f"{_kind(left)} and {_kind(right)} cannot be compared: {left!r:.40} and {right!r:.40}"
        ) from None


def _inside(left: Any, right: Any) -> bool:
    if right is None or (left is None and isinstance(right, str)):
        return False
    spend(STEP + (weigh(left, right) if isinstance(right, str) else 0))
    if isinstance(right, (list, tuple)):
        return any(holds("eq", left, item) for item in right)
    return bool(left in right)


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "a text"
    return "a number" if isinstance(value, (int, float, Decimal)) else f"a {type(value).__name__}"


def fill(pattern: str, values: Any) -> str:
    """Fill the ``%`` of a pattern; null is empty there too."""
    check_operands("%", pattern, values)
    if isinstance(values, Mapping):
        return pattern % {key: _fillable(item) for key, item in values.items()}
    many = values if isinstance(values, tuple) else (values,)
    return pattern % tuple(_fillable(item) for item in many)


def _fillable(value: Any) -> Any:
    """Return what stands for a value where a pattern is filled: numbers stay, that they can be formatted."""
    return value if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) else text_of(value)


def _with_null(name: str, one: Callable[..., Any]) -> Callable[..., Any]:
    """Let null pass a filter by."""
    place = 1 if hasattr(one, "jinja_pass_arg") else 0

    @wraps(one)
    def filtered(*args: Any, **kwargs: Any) -> Any:
        if len(args) > place and args[place] is None:
            return _OF_NULL.get(name)
        check_filter(name, args[place:], kwargs)
        pay_for_filter(name, args[place:], kwargs)
        made = checked(one(*args, **kwargs))
        return paid(made, growing=name == "unique") if isinstance(made, Iterator) and is_counted() else made

    return filtered


def _default(value: Any, default_value: Any = "", boolean: bool = False) -> Any:
    missing = value is None or isinstance(value, Undefined) or (boolean and not value)
    return default_value if missing else value


def _tojson(value: Any, indent: int | None = None) -> str:
    check_filter("tojson", (value, indent), {})
    if is_counted():
        spend(CALL + 4 * weigh(value) * (1 + (indent or 0)))
    return to_json(settled(value), indent=indent)


def _format(pattern: Any, *args: Any, **kwargs: Any) -> str:
    return fill(text_of(pattern), kwargs or args)


@pass_eval_context
def _join(context: EvalContext, value: Any, d: str = "", attribute: str | int | None = None) -> Any:
    items = value if attribute is None else map(make_attrgetter(context.environment, attribute), value)
    texts = [text_of(item) for item in rounds(items) if item is not None]
    check_joined(d, texts)
    return FILTERS["join"](context, texts, d)


@pass_environment
def _sum(environment: Environment, iterable: Any, attribute: str | int | None = None, start: Any = 0) -> Any:
    total = start
    for item in _answered(environment, iterable, attribute):
        number = item if attribute is None else make_attrgetter(environment, attribute)(item)
        total, number = alike(total, number)
        check_operands("+", total, number)
        spend(STEP + sum(size_of(one) for one in (total, number) if isinstance(one, (int, Decimal))))
        total = total + number
    return total


def _outermost(name: str) -> Callable[..., Any]:
    """Make ``max`` or ``min``; of nothing it is null."""

    @pass_environment
    def found(environment: Environment, value: Any, case_sensitive: bool = False, attribute: Any = None) -> Any:
        items = _answered(environment, value, attribute)
        return FILTERS[name](environment, items, case_sensitive, attribute) if items else None

    return found


def _answered(environment: Environment, items: Any, attribute: str | int | None) -> list[Any]:
    """Return the items without those that are null: rows in which a question was not answered count for nothing."""
    if attribute is None:
        return [item for item in rounds(items) if item is not None]
    return [item for item in rounds(items) if make_attrgetter(environment, attribute)(item) is not None]


def _center(value: Any, width: int = 80) -> str:
    return text_of(value).center(width)


_OWN: Mapping[str, Callable[..., Any]] = {
    "center": _center,
    "join": _join,
    "format": _format,
    "sum": _sum,
    "max": _outermost("max"),
    "min": _outermost("min"),
}
FILTERS_WITH_NULL: Mapping[str, Callable[..., Any]] = {
    **{name: _with_null(name, _OWN.get(name, one)) for name, one in FILTERS.items()},
    "rounds": rounds,
    "default": _default,
    "d": _default,
    "tojson": _tojson,
    "string": text_of,
}


def _bounded_test(name: str, one: Any) -> Callable[..., Any]:
    place = 1 if hasattr(one, "jinja_pass_arg") else 0

    @wraps(one)
    def tested(*args: Any, **kwargs: Any) -> Any:
        if name in _OF_NUMBERS and isinstance(args[0], str):
            raise TemplateError(f"`{name}` is a test of numbers, and {args[0]!r:.40} is a text")
        pay_for_test((*args[place:], *kwargs.values()))
        return one(*args, **kwargs)

    return tested


_OF_NUMBERS = frozenset({"odd", "even", "divisibleby"})
"""Of a text Python would fill in the ``%`` of it."""
TESTS_WITH_NULL: Mapping[str, Callable[..., Any]] = {
    **{name: _bounded_test(name, one) for name, one in TESTS.items()},
    **{name: partial(holds, comparison) for name, comparison in _COMPARING.items()},
}
