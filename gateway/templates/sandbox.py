"""Jinja2 as ops know it from Ansible, in a sandbox, with the rules for null and the bounds that the gateway needs.

Null (an unanswered question) stays null through attributes, arithmetic and filters, is empty in a text, and compares
false. Time, the size of what is built and the number of rounds are bounded, so that no template can stop the gateway.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from decimal import localcontext
from typing import Any
from urllib.parse import quote

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.environment import TemplateExpression
from jinja2.runtime import Context, Undefined, markup_join
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from gateway.errors import TemplateError
from gateway.templates.costs import counted_nodes, pay_for_call, pay_for_numbers
from gateway.templates.escaped import HTML_FILTERS, Escaped
from gateway.templates.filters import FILTERS_WITH_NULL, TESTS_WITH_NULL, alike, fill, holds
from gateway.templates.render_limits import (
    check_filled,
    check_joined,
    check_method,
    check_operands,
    checked,
    limited,
    text_of,
    write,
)
from gateway.templates.values import Strict
from gateway.templates.work import CALL, STEP, spend

_REFUSED = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.Macro, nodes.CallBlock, nodes.Block)
_NEVER_ENDING = frozenset({"/", "**"})
_DIGITS = 28
"""Digits of a quotient or power that may never end."""
_UNBOUNDED = frozenset({"encode", "expandtabs", "format_map", "to_bytes", "translate"})
"""Methods whose results could grow without bound."""


class _Generator(CodeGenerator):
    """Joins with ``~`` by the gateway's rules for texts."""

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> str:
        """Calculate nothing while compiling: that would be bounded by nobody."""
        if not isinstance(node, (nodes.TemplateData, nodes.Const)):
            raise nodes.Impossible
        return super()._output_child_to_const(node, frame, finalize)

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:  # noqa: N802
        if not isinstance(node.arg, nodes.Slice):
            super().visit_Getitem(node, frame)
            return
        self.write("environment.sliced(")
        self.visit(node.node, frame)
        for part in (node.arg.start, node.arg.stop, node.arg.step):
            self.write(", ")
            self.visit(part or nodes.Const(None), frame)
        self.write(")")

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
        written = sum(len(text.data) for text in node.find_all(nodes.TemplateData))
        steps = counted_nodes(node.find_all(nodes.Node))
        paid = [nodes.Const(written), nodes.Const(steps)]
        node.iter = nodes.Filter(node.iter, "rounds", paid, [], None, None, lineno=node.lineno)
        return node


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment in which all templates and expressions are compiled."""

    code_generator_class = _Generator
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})
    intercepted_unops = frozenset({"-", "+"})

    def __init__(self, *, autoescape: bool = False, url: bool = False) -> None:
        put_in: Callable[[Any], Any] = _encoded if url else write
        super().__init__(
            undefined=StrictUndefined,
            autoescape=autoescape,
            finalize=put_in,
            keep_trailing_newline=True,
            optimized=False,  # it would calculate while compiling
        )
        self._escapes = autoescape
        self.filters = {**FILTERS_WITH_NULL, **(HTML_FILTERS if autoescape else {})}
        self.tests = dict(TESTS_WITH_NULL)
        self.globals = {"dict": dict, "namespace": self.globals["namespace"], "range": self._range}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for refused in tree.find_all(_REFUSED):
            raise TemplateSyntaxError("includes, blocks and macros are not available", refused.lineno)
        if self._escapes:
            tree = Escaped().visit(tree)
        return _Rules().visit(tree)  # type: ignore[no-any-return]

    def expression(self, tree: nodes.Template) -> TemplateExpression:
        """Compile the one expression of a parsed ``{{ … }}``; what it does not know stays undefined."""
        [output] = tree.body
        assert isinstance(output, nodes.Output), "the caller looked"
        body: list[nodes.Node] = [nodes.Assign(nodes.Name("result", "store"), output.nodes[0], lineno=1)]
        template = self.from_string(nodes.Template(body, lineno=1))
        return TemplateExpression(template, undefined_to_none=False)

    def _range(self, *numbers: Any) -> range:
        return limited(range(*(int(number) for number in numbers)))

    def sliced(self, obj: Any, start: Any, stop: Any, step: Any) -> Any:
        """Return a part of a text or list."""
        if isinstance(obj, Sized):
            spend(STEP + len(obj))
        return obj[start:stop:step]

    _range.is_paid_for = True  # type: ignore[attr-defined]

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Look an item up; in null and in what a form holds, what is not there is null."""
        return self._found(obj, argument, super().getitem)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Look an attribute up: an item of that name wins, so that a question named ``items`` is found."""
        return self._found(obj, attribute, super().getattr)

    def _found(self, obj: Any, name: Any, otherwise: Callable[[Any, Any], Any]) -> Any:
        spend(STEP)
        if obj is None:
            return None
        if isinstance(obj, Strict):
            if name not in obj:
                return self.undefined(f"there is no {name!r} here; there are {', '.join(obj) or 'none'}")
            return obj[name]
        if isinstance(obj, Mapping):
            return obj.get(name) if isinstance(name, (str, int)) else None
        if isinstance(obj, (list, tuple)) and isinstance(name, int):
            return obj[name] if -len(obj) <= name < len(obj) else None
        if isinstance(obj, str) and name == "format":
            return _formatting(obj, otherwise(obj, name))
        return otherwise(obj, name)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Refuse also what could grow without bound."""
        return attr not in _UNBOUNDED and super().is_safe_attribute(obj, attr, value)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Call a method."""
        if __obj is None:
            raise TemplateError("null cannot be called: write answers without (), and name and value of each as |items")
        check_method(__obj, args)
        pay_for_call(__obj, args, kwargs)
        return checked(super().call(__context, __obj, *args, **kwargs))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Calculate: with null the result is null, with decimals it is exact, and it does not grow without bound."""
        if left is None or right is None:
            return None
        if isinstance(left, Undefined) or isinstance(right, Undefined):
            return super().call_binop(context, operator, left, right)
        left, right = alike(left, right)
        check_operands(operator, left, right)
        pay_for_numbers(operator, left, right)
        if operator == "%" and isinstance(left, str):
            return checked(fill(left, right))
        if operator in _NEVER_ENDING:
            with localcontext(prec=_DIGITS):
                return super().call_binop(context, operator, left, right)
        return super().call_binop(context, operator, left, right)

    def call_unop(self, context: Any, operator: str, argument: Any) -> Any:
        """Negate; null stays null."""
        return None if argument is None else super().call_unop(context, operator, argument)

    def compared(self, left: Any, *pairs: tuple[str, Any]) -> bool:
        """Compare, in a chain as Python does; ordering against null is false, and null holds nothing."""
        for name, right in pairs:
            if not holds(name, left, right):
                return False
            left = right
        return True

    compared.is_paid_for = True  # type: ignore[attr-defined]

    def joined(self, parts: tuple[Any, ...]) -> str:
        """Join texts with ``~``."""
        spend(STEP * len(parts))
        texts = [text_of(part) for part in parts]
        check_joined("", texts)
        return markup_join(texts)


def _formatting(pattern: str, fill_in: Callable[..., str]) -> Callable[..., str]:
    def formatted(*args: Any, **kwargs: Any) -> str:
        spend(CALL)
        check_filled(pattern, (*args, *kwargs.values()))
        return fill_in(*map(_shown, args), **{name: _shown(value) for name, value in kwargs.items()})

    formatted.is_paid_for = True  # type: ignore[attr-defined]
    return formatted


def _shown(value: Any) -> Any:
    return text_of(value) if value is None or isinstance(value, bool) else value


def _encoded(value: Any) -> str:
    return quote(write(value), safe="") or EMPTY


EMPTY = "\0"
"""What stands in a path for a value that is empty; encoded values cannot hold it."""
TEXT = Sandbox()
HTML = Sandbox(autoescape=True)
URL = Sandbox(url=True)
FAILURES = (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError)
"""What Python raises where a template asks for something impossible."""
