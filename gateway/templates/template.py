"""Templates and expressions of the routes file: compiled when it is loaded, evaluated for each delivery."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from gateway.destinations.options import TemplateMark, Unrendered
from gateway.errors import TemplateError
from gateway.mistakes import Place, mistakes
from gateway.templates.compiled import AsText, Expression, Items, Literal, Node, Table, Text
from gateway.templates.parse import Misspelt, is_one_expression, parsed
from gateway.templates.render import Plan

_SYNTAX = re.compile(r"\{\{|\{%|\{#")


def template_compiler(
    value: Any, mark: TemplateMark, rendered_type: Any, validate_rendered: Callable[[Any], Any]
) -> Unrendered:
    """Compile one template field; see `gateway.destinations.options.Compiler`.

    Raises:
        ValueError: templates in it are wrong (all of them are told), or a literal value does not fit the field.
    """
    builder = _Builder(mark, ("row",) if mark.per_row else ())
    node = builder.build(value, get_args(_bare(rendered_type))[0] if mark.per_row else rendered_type, ())
    if builder.wrong:
        raise mistakes(builder.wrong)
    if isinstance(node, Literal):
        validate_rendered([node.value] if mark.per_row else node.value)
    return node


class _Builder:
    """Builds the nodes of one field, and collects what is wrong in it."""

    def __init__(self, mark: TemplateMark, extra: Iterable[str]) -> None:
        self._mark = mark
        self._extra = extra
        self.wrong: list[tuple[Place, str, str]] = []

    def build(self, value: Any, kind: Any, path: Place) -> Node:
        """Return the node of a value that is to become the given type."""
        if self._mark.expression or isinstance(value, str):
            try:
                return self._expression(value) if self._mark.expression else self._text(value, kind)
            except TemplateError as error:
                self.wrong.append(
                    (path, *told(error, "Mend the template: each {{ needs its }}, each text in it its quotes"))
                )
                return Literal(None)
        if isinstance(value, Mapping):
            inner = _argument(kind, dict, 1)
            return Table({key: self.build(item, inner, (*path, key)) for key, item in value.items()})
        if isinstance(value, list):
            return self._list(value, _argument(kind, list, 0), path)
        return Literal(value)

    def _list(self, value: list[Any], inner: Any, path: Place) -> Node:
        kind = Any if inner is str else inner
        items = [self.build(item, kind, (*path, index)) for index, item in enumerate(value)]
        literal = all(isinstance(item, Literal) for item in items)
        return Literal(value) if literal else Items(items, text=inner is str)

    def _expression(self, value: Any) -> Node:
        if not isinstance(value, str):
            raise TemplateError("it must be a text with one bare expression, such as record.tables.findings")
        return _bare_expression(value, self._extra)

    def _text(self, value: str, kind: Any) -> Node:
        if not _SYNTAX.search(value):
            return Literal(value)
        sole = None if self._mark.html or self._mark.url else _sole_expression(value)
        if sole is None:
            return Text(value, self._mark, self._extra)
        node = Expression(value, sole, self._extra)
        return AsText(node) if _is_text(kind) else node


def _sole_expression(text: str) -> str | None:
    """Return the expression if the text is exactly one ``{{ … }}``."""
    stripped = text.strip()
    if not (stripped.startswith("{{") and stripped.endswith("}}")) or not is_one_expression(parsed(text, stripped)):
        return None
    inner = stripped[2:-2]
    if inner[:1] in ("-", "+"):  # right behind the braces it is about white space, anywhere else a sign
        inner = inner[1:]
    return inner.removesuffix("-").strip()


def compile_expression(text: str) -> Unrendered:
    """Compile a bare expression such as that of ``when``.

    Raises:
        TemplateError: it is no expression, or names something that does not exist.
    """
    return _bare_expression(text, ())


def _bare_expression(text: str, extra: Iterable[str]) -> Expression:
    if _SYNTAX.match(text.strip()):
        raise Misspelt(f"`{text}` stands in braces", "Write the expression alone: here it takes no braces")
    return Expression(text, text, extra)


def told(error: TemplateError, remedy: str) -> tuple[str, str]:
    """Return what was found and the remedy, which is the given one if the error has none of its own."""
    return (error.found, error.remedy) if isinstance(error, Misspelt) else (str(error), remedy)


def mentions(value: Any) -> frozenset[str]:
    """Return the names in scope that anything in a value (options, a condition, None) reads."""
    if isinstance(value, Node):
        return value.mentions
    if isinstance(value, Plan):
        return mentions(dict(value.fields)) | mentions(value.rows)
    if isinstance(value, BaseModel):
        return frozenset().union(*(mentions(getattr(value, name)) for name in type(value).model_fields))
    if isinstance(value, Mapping):
        return frozenset().union(*(mentions(item) for item in value.values()))
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return frozenset().union(*(mentions(item) for item in value))
    return frozenset()


@lru_cache(maxsize=1024)
def _members(kind: Any) -> tuple[Any, ...]:
    kind = _bare(kind)
    if get_origin(kind) in (Union, UnionType):
        return tuple(_bare(each) for each in get_args(kind) if each is not type(None))
    return (kind,)


def _bare(kind: Any) -> Any:
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return kind


def _is_text(kind: Any) -> bool:
    return _members(kind) == (str,)


def _argument(kind: Any, container: type, index: int) -> Any:
    """Return what a dict or list type holds; anything if it does not say."""
    fitting = [each for each in _members(kind) if (get_origin(each) or each) is container]
    arguments = get_args(fitting[0]) if len(fitting) == 1 else ()
    return _bare(arguments[index]) if len(arguments) > index else Any
