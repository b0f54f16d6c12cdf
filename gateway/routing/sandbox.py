"""Jinja2 as ops know it from Ansible, in a sandbox, with the rules for null and the bounds that the gateway needs.

Null (an unanswered question) stays null through attributes, arithmetic and filters, is empty in a text, and compares
false. Time, the size of what is built and the number of rounds are bounded, so that no template can stop the gateway.
"""

from __future__ import annotations

import operator
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from functools import wraps
from typing import Any
from urllib.parse import quote

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.environment import TemplateExpression
from jinja2.filters import FILTERS
from jinja2.runtime import Undefined, markup_join
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

from gateway.errors import TemplateError
from gateway.json_text import to_json
from gateway.routing.names import Strict, as_text

SECONDS = 2.0
"""How long one value may take to render."""
LARGEST = 16 * 1024 * 1024
"""Characters or items that an expression may build."""
_NUMBERS: tuple[Any, ...] = (int, float, Decimal)
_LARGEST_POWER = 4096
_LARGEST_NUMBER = 1_000_000
"""Bits of a power of whole numbers."""
_ROUNDS_BETWEEN = 64
_REFUSED = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.Macro, nodes.CallBlock, nodes.Block)
_OF_NULL: Mapping[str, Any] = {"length": 0, "count": 0, "list": [], "items": []}
_KEEPS_NULL = {"default", "d", "tojson"}
_WIDTH = re.compile(r"%[^a-zA-Z%]*?(\d{4,})|%[^a-zA-Z%]*\*")

_until: ContextVar[float] = ContextVar("the moment at which rendering is broken off")


@contextmanager
def bounded() -> Iterator[None]:
    """Bound the time of what is rendered inside."""
    token = _until.set(time.monotonic() + SECONDS)
    try:
        yield
    finally:
        _until.reset(token)


def _check_time() -> None:
    if time.monotonic() > _until.get(float("inf")):
        raise TemplateError(f"it takes longer than {SECONDS:g} s")


class _Generator(CodeGenerator):
    """Joins with ``~`` by the gateway's rules for texts."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 - jinja2's name
        self.write("environment.joined((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


class _Rules(NodeTransformer):
    """Rewrites what Jinja2 would do with Python's rules."""

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        pairs = [nodes.Tuple([nodes.Const(one.op), one.expr], "load", lineno=node.lineno) for one in node.ops]
        compare = nodes.EnvironmentAttribute("compared", lineno=node.lineno)
        return nodes.Call(compare, [node.expr, *pairs], [], None, None, lineno=node.lineno)

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if node.recursive:
            raise TemplateSyntaxError("recursive loops are not available", node.lineno)
        node.iter = nodes.Filter(node.iter, "rounds", [], [], None, None, lineno=node.lineno)
        return node


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment in which all templates and expressions are compiled."""

    code_generator_class = _Generator
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})
    intercepted_unops = frozenset({"-", "+"})

    def __init__(self, *, autoescape: bool = False, url: bool = False) -> None:
        put_in: Callable[[Any], Any] = _encoded if url else as_text
        super().__init__(undefined=StrictUndefined, autoescape=autoescape, finalize=put_in, keep_trailing_newline=True)
        self.filters = {name: _with_null(name, one) for name, one in FILTERS.items()}
        self.filters |= {"rounds": _rounds, "default": _default, "d": _default, "tojson": _tojson}
        self.filters |= {"string": as_text, "center": _center}
        self.filters.pop("format", None)
        self.globals = {"dict": dict, "namespace": self.globals["namespace"], "range": self._range}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for refused in tree.find_all(_REFUSED):
            raise TemplateSyntaxError("includes, blocks and macros are not available", refused.lineno)
        return _Rules().visit(tree)  # type: ignore[no-any-return]

    def expression(self, tree: nodes.Template) -> TemplateExpression:
        """Compile the one expression of a parsed ``{{ … }}``; what it does not know stays undefined."""
        [output] = tree.body
        assert isinstance(output, nodes.Output), "the caller looked"
        body: list[nodes.Node] = [nodes.Assign(nodes.Name("result", "store"), output.nodes[0], lineno=1)]
        template = self.from_string(nodes.Template(body, lineno=1))
        return TemplateExpression(template, undefined_to_none=False)

    def _range(self, *numbers: Any) -> Iterator[int]:
        return _rounds(range(*(int(number) for number in numbers)))

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Look an item up; in null and in what a form holds, what is not there is null."""
        return self._found(obj, argument, super().getitem)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look an attribute up: an item of that name wins, so that a question named ``items`` is found."""
        return self._found(obj, attribute, super().getattr)

    def _found(self, obj: Any, name: Any, otherwise: Callable[[Any, Any], Any]) -> Any:
        if obj is None:
            return None
        if isinstance(obj, Strict):
            if name not in obj:
                return self.undefined(f"there is no {name!r} here; there are {', '.join(obj)}")
            return obj[name]
        if isinstance(obj, Mapping):
            return obj.get(name) if isinstance(name, (str, int)) else None
        if isinstance(obj, (list, tuple)) and isinstance(name, int):
            return obj[name] if -len(obj) <= name < len(obj) else None
        return otherwise(obj, name)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Calculate: with null the result is null, with decimals it is exact, and it does not grow without bound."""
        if left is None or right is None:
            return None
        if isinstance(left, Undefined) or isinstance(right, Undefined):
            return super().call_binop(context, operator, left, right)
        left, right = _alike(left, right)
        _check_size(operator, left, right)
        _check_time()
        return super().call_binop(context, operator, left, right)

    def call_unop(self, context: Any, operator: str, argument: Any) -> Any:
        """Negate; null stays null."""
        return None if argument is None else super().call_unop(context, operator, argument)

    def compared(self, left: Any, *pairs: tuple[str, Any]) -> bool:
        """Compare, in a chain as Python does; ordering against null is false, and null holds nothing."""
        for name, right in pairs:
            if not _holds(name, *_alike(left, right)):
                return False
            left = right
        return True

    def joined(self, parts: tuple[Any, ...]) -> str:
        """Join texts with ``~``."""
        return markup_join(as_text(part) for part in parts)


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    """Make a decimal of a float that meets one: literals of templates are floats, numbers of records decimals."""
    if isinstance(left, Decimal) and isinstance(right, float):
        return left, Decimal(repr(right))
    if isinstance(left, float) and isinstance(right, Decimal):
        return Decimal(repr(left)), right
    return left, right


def _holds(name: str, left: Any, right: Any) -> bool:
    for side in (left, right):
        if isinstance(side, Undefined):
            bool(side)  # raises what is undefined
    if name in ("in", "notin"):
        inside = right is not None and left in right
        return inside == (name == "in")
    if name in ("eq", "ne"):
        return bool((left == right) == (name == "eq"))
    if left is None or right is None:
        return False
    orders = {"lt": operator.lt, "lteq": operator.le, "gt": operator.gt, "gteq": operator.ge}
    try:
        return bool(orders[name](left, right))
    except TypeError:
        raise TemplateError(
            f"{_kind(left)} and {_kind(right)} cannot be compared: {left!r:.40} and {right!r:.40}"
        ) from None


def _kind(value: Any) -> str:
    return "a number" if isinstance(value, _NUMBERS) else f"a {type(value).__name__}"


def _check_size(name: str, left: Any, right: Any) -> None:
    sized = (str, list, tuple)
    if name == "**":
        if isinstance(right, _NUMBERS) and abs(right) > _LARGEST_POWER:
            raise TemplateError(f"the power {right} is too large")
        if isinstance(left, int) and left.bit_length() * max(1, int(right)) > _LARGEST_NUMBER:
            raise TemplateError("the power is too large")
    elif name == "*":
        pairs: tuple[tuple[Any, Any], ...] = ((left, right), (right, left))
        for text, times in pairs:
            if isinstance(text, sized) and isinstance(times, int):
                _check_length(len(text) * times)
    elif name == "+" and isinstance(left, (str, list)) and isinstance(right, (str, list)):
        _check_length(len(left) + len(right))
    elif name == "%" and isinstance(left, str) and _WIDTH.search(left):
        raise TemplateError("a width in it is too large")


def _check_length(length: int) -> None:
    if length > LARGEST:
        raise TemplateError(f"it builds more than {LARGEST} characters or items")


def _rounds(value: Any) -> Iterator[Any]:
    """Go through a value, looking at the clock from time to time; null has no items."""
    for number, item in enumerate(() if value is None else value):
        if number % _ROUNDS_BETWEEN == 0:
            _check_time()
        yield item


def _with_null(name: str, one: Callable[..., Any]) -> Callable[..., Any]:
    """Let null pass a filter by."""
    place = 1 if hasattr(one, "jinja_pass_arg") else 0

    @wraps(one)
    def filtered(*args: Any, **kwargs: Any) -> Any:
        _check_time()
        if len(args) > place and args[place] is None:
            return _OF_NULL.get(name)
        return one(*args, **kwargs)

    return filtered


def _default(value: Any, default_value: Any = "", boolean: bool = False) -> Any:
    missing = value is None or isinstance(value, Undefined) or (boolean and not value)
    return default_value if missing else value


def _tojson(value: Any, indent: int | None = None) -> str:
    return Markup(to_json(value, indent=indent))


def _center(value: Any, width: int = 80) -> str:
    if width > LARGEST:
        raise TemplateError("the width is too large")
    return as_text(value).center(width)


def _encoded(value: Any) -> str:
    return quote(as_text(value), safe="")


TEXT = Sandbox()
HTML = Sandbox(autoescape=True)
URL = Sandbox(url=True)
FAILURES = (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError)
"""What Python raises where a template asks for something impossible."""
