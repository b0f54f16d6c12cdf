"""Templates and expressions of the routes file: compiled when it is loaded, evaluated for each delivery."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from jinja2 import TemplateError as JinjaError
from jinja2 import TemplateSyntaxError, nodes
from pydantic import BaseModel

from gateway.destinations.options import TemplateMark, Unrendered
from gateway.errors import TemplateError
from gateway.routing.names import NAMES, as_text
from gateway.routing.problems import nearest
from gateway.routing.sandbox import FAILURES, HTML, LARGEST, TEXT, URL, bounded

Names = Mapping[str, Any]
_SYNTAX = re.compile(r"\{\{|\{%|\{#")


class Node(Unrendered):
    """A part of a template value."""

    mentions: frozenset[str] = frozenset()
    """The names in scope that it reads; ``record.key`` alone is not a mention of ``record``: it needs no fetch."""

    @abstractmethod
    def evaluate(self, names: Names) -> Any:
        """Return the value; raises TemplateError."""


class Literal(Node):
    """A value without a template in it."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def evaluate(self, names: Names) -> Any:
        """Return it."""
        return self.value

    def peek(self) -> Any:
        """Return it."""
        return self.value


class _Source(Node):
    """What comes from one text of the file."""

    def __init__(self, source: str, tree: nodes.Template, extra: Iterable[str]) -> None:
        self.source = source
        self.mentions = _read(tree, source, extra)

    def peek(self) -> Any:
        """Return the ellipsis."""
        return ...

    def _guarded(self, call: Callable[[], Any]) -> Any:
        try:
            with bounded():
                return call()
        except TemplateError as error:
            raise TemplateError(f"`{self.source}`: {error}") from None
        except (JinjaError, *FAILURES) as error:
            raise TemplateError(f"`{self.source}`: {error or type(error).__name__}") from None


class Expression(_Source):
    """One expression that keeps its type."""

    def __init__(self, source: str, expression: str, extra: Iterable[str] = ()) -> None:
        tree = _parsed(source, "{{ " + expression + " }}")
        if len(tree.body) != 1 or not isinstance(tree.body[0], nodes.Output) or len(tree.body[0].nodes) != 1:
            raise TemplateError(f"`{source}` is not one expression")
        super().__init__(source, tree, extra)
        self._run = _compiled(source, lambda: TEXT.expression(tree))

    def evaluate(self, names: Names) -> Any:
        """Return the value with its type."""
        return self._guarded(lambda: _defined(self._run(names)))


class Text(_Source):
    """A text with templates in it."""

    def __init__(self, source: str, mark: TemplateMark, extra: Iterable[str] = ()) -> None:
        super().__init__(source, _parsed(source, source), extra)
        environment = HTML if mark.html else URL if mark.url else TEXT
        self._template = _compiled(source, lambda: environment.from_string(source))

    def evaluate(self, names: Names) -> str:
        """Return the text."""
        return str(self._guarded(lambda: "".join(self._pieces(names))))

    def _pieces(self, names: Names) -> Iterator[str]:
        size = 0
        for piece in self._template.generate(names):
            size += len(piece)
            if size > LARGEST:
                raise TemplateError(f"it builds more than {LARGEST} characters")
            yield piece


class AsText(Node):
    """An expression whose value is written as text."""

    def __init__(self, inner: Node) -> None:
        self._inner = inner
        self.mentions = inner.mentions

    def evaluate(self, names: Names) -> str:
        """Return the text; null is empty."""
        return str(as_text(self._inner.evaluate(names)))

    def peek(self) -> Any:
        """Return what the expression's peek gives."""
        return self._inner.peek()


class Table(Node):
    """A table whose values are nodes."""

    def __init__(self, items: Mapping[str, Node]) -> None:
        self.items = items
        self.mentions = frozenset().union(*(node.mentions for node in items.values()))

    def evaluate(self, names: Names) -> dict[str, Any]:
        """Return the table with its values."""
        return {key: node.evaluate(names) for key, node in self.items.items()}

    def peek(self) -> Any:
        """Return the table as far as it is literal."""
        return {key: node.peek() for key, node in self.items.items()}

    def subset(self, keys: Iterable[str]) -> Table:
        """Return the table with these keys only, so that the others are not rendered."""
        wanted = set(keys)
        return Table({key: node for key, node in self.items.items() if key in wanted})


class Items(Node):
    """A list whose items are nodes; lists in it are flattened and nulls vanish."""

    def __init__(self, items: Sequence[Node], *, text: bool) -> None:
        self._items = items
        self._text = text
        self.mentions = frozenset().union(*(node.mentions for node in items))

    def evaluate(self, names: Names) -> list[Any]:
        """Return the list."""
        flat = list(_flat(node.evaluate(names) for node in self._items))
        return [str(as_text(item)) for item in flat] if self._text else flat

    def peek(self) -> Any:
        """Return the list as far as it is literal."""
        return [node.peek() for node in self._items]


def _flat(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        if isinstance(item, (list, tuple)):
            yield from _flat(item)
        elif item is not None:
            yield item


def template_compiler(
    value: Any, mark: TemplateMark, rendered_type: Any, validate_rendered: Callable[[Any], Any]
) -> Unrendered:
    """Compile one template field; see `gateway.destinations.options.Compiler`.

    Raises:
        ValueError: a template in it is wrong, or a literal value does not fit the field.
    """
    extra = ("row",) if mark.per_row else ()
    kind = get_args(_bare(rendered_type))[0] if mark.per_row else rendered_type
    try:
        if mark.expression:
            if not isinstance(value, str):
                raise TemplateError("it must be a text with one bare expression, such as record.tables.findings")
            return Expression(value, value, extra)
        node = _build(value, mark, kind, extra)
    except TemplateError as error:
        raise ValueError(f"{str(error).rstrip('.')}. Mend the template") from None
    if isinstance(node, Literal):
        validate_rendered([node.value] if mark.per_row else node.value)
    return node


def _build(value: Any, mark: TemplateMark, kind: Any, extra: Iterable[str]) -> Node:
    if isinstance(value, str):
        return _build_text(value, mark, kind, extra)
    if isinstance(value, Mapping):
        inner = _argument(kind, dict, 1)
        return Table({key: _build(item, mark, inner, extra) for key, item in value.items()})
    if isinstance(value, list):
        inner = _argument(kind, list, 0)
        items = [_build(item, mark, Any if inner is str else inner, extra) for item in value]
        literal = all(isinstance(item, Literal) for item in items)
        return Literal(value) if literal else Items(items, text=inner is str)
    return Literal(value)


def _build_text(value: str, mark: TemplateMark, kind: Any, extra: Iterable[str]) -> Node:
    if not _SYNTAX.search(value):
        return Literal(value)
    if mark.html or mark.url:
        return Text(value, mark, extra)
    sole = _sole_expression(value)
    if sole is None:
        return Text(value, mark, extra)
    node = Expression(value, sole, extra)
    return AsText(node) if _is_text(kind) else node


def _sole_expression(text: str) -> str | None:
    """Return the expression if the text is exactly one ``{{ … }}``."""
    stripped = text.strip()
    if not (stripped.startswith("{{") and stripped.endswith("}}")):
        return None
    tree = _parsed(text, stripped)
    sole = len(tree.body) == 1 and isinstance(tree.body[0], nodes.Output) and len(tree.body[0].nodes) == 1
    if not sole or isinstance(tree.body[0].nodes[0], nodes.TemplateData):  # type: ignore[attr-defined]
        return None
    return stripped[2:-2].strip().removeprefix("-").removesuffix("-").strip()


def compile_expression(text: str) -> Unrendered:
    """Compile a bare expression such as that of ``when``.

    Raises:
        TemplateError: it is no expression, or names something that does not exist.
    """
    return Expression(text, text)


def judge(when: Unrendered, names: Names) -> bool:
    """Tell whether a condition holds; null is false. Raises TemplateError."""
    assert isinstance(when, Node)
    return bool(when.evaluate(names))


def mentions(value: Any) -> frozenset[str]:
    """Return the names in scope that anything in a value (options, a condition, None) reads."""
    if isinstance(value, Node):
        return value.mentions
    if isinstance(value, BaseModel):
        return frozenset().union(*(mentions(getattr(value, name)) for name in type(value).model_fields))
    if isinstance(value, Mapping):
        return frozenset().union(*(mentions(item) for item in value.values()))
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return frozenset().union(*(mentions(item) for item in value))
    return frozenset()


def _defined(value: Any) -> Any:
    if hasattr(value, "_fail_with_undefined_error"):
        value._fail_with_undefined_error()
    return value


def _parsed(source: str, text: str) -> nodes.Template:
    return _compiled(source, lambda: TEXT.parse(text))  # type: ignore[no-any-return]


def _compiled(source: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except TemplateSyntaxError as error:
        raise TemplateError(f"`{source}` is not a template: {error.message}") from None
    except (JinjaError, RecursionError) as error:
        raise TemplateError(f"`{source}` is not a template: {error or 'nested too deep'}") from None


def _read(tree: nodes.Template, source: str, extra: Iterable[str]) -> frozenset[str]:
    """Return what is mentioned, after looking for misspelt names."""
    known = {*NAMES.keys() - {"row"}, *extra, *TEXT.globals}
    own = {node.name for node in tree.find_all(nodes.Name) if node.ctx in ("store", "param")}
    found: set[str] = set()
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        name, attribute = _chain(node)
        if name is None or name in own:
            continue
        allowed = NAMES.get(name)
        if allowed is not None and attribute is not None and attribute not in allowed:
            raise TemplateError(f"`{source}`: {_unknown(f'{name}.{attribute}', attribute, allowed, name)}")
    for node in tree.find_all(nodes.Name):
        if node.ctx != "load" or node.name in own:
            continue
        if node.name not in known:
            raise TemplateError(f"`{source}`: {_unknown(node.name, node.name, known, None)}")
        found.add(node.name)
    return frozenset(found & NAMES.keys()) - _only_keys(tree, found)


def _only_keys(tree: nodes.Template, found: set[str]) -> set[str]:
    counts = dict.fromkeys(found & {"record", "submission", "dispatch"}, 0)
    for node in tree.find_all(nodes.Name):
        if node.name in counts:
            counts[node.name] += 1
    for access in tree.find_all((nodes.Getattr, nodes.Getitem)):
        name, attribute = _chain(access)
        if name in counts and attribute == "key":
            counts[name] -= 1
    return {name for name, left in counts.items() if left == 0}


def _chain(node: nodes.Node) -> tuple[str | None, str | None]:
    """Return name and attribute of ``name.attribute`` or ``name["attribute"]``."""
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
        return node.node.name, node.attr
    if isinstance(node, nodes.Getitem) and isinstance(node.node, nodes.Name):
        return node.node.name, str(node.arg.value) if isinstance(node.arg, nodes.Const) else None
    return None, None


def _unknown(shown: str, name: str, allowed: Iterable[str], owner: str | None) -> str:
    close = nearest(name, sorted(allowed))
    prefix = f"{owner}." if owner else ""
    hint = f'. Did you mean "{prefix}{close}"?' if close else f". Known: {', '.join(sorted(allowed))}"
    return f"there is no `{shown}`{hint}"


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
