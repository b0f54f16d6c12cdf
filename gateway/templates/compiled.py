"""Compiled templates: what a value of the routes file is made of until it is rendered."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import TemplateError as JinjaError
from jinja2 import nodes

from gateway.destinations.options import TemplateMark, Unrendered
from gateway.errors import TemplateError
from gateway.templates.addresses import harmless
from gateway.templates.attachment_usage import reads_content
from gateway.templates.costs import counted_nodes
from gateway.templates.field_usage import Asked, asked
from gateway.templates.parse import attributes, compiled, is_one_expression, mentioned, parsed
from gateway.templates.render_limits import bounded, settled, text_of
from gateway.templates.sandbox import EMPTY, FAILURES, HTML, TEXT, URL
from gateway.templates.work import CALL, spend

Names = Mapping[str, Any]
_COMPILED = 2000
"""Templates that a process which only renders keeps compiled."""


class Node(Unrendered):
    """A part of a template value."""

    mentions: frozenset[str] = frozenset()
    """The names in scope that it reads; ``record.key`` alone is not a mention of ``record``: it needs no fetch."""
    asked: frozenset[Asked] = frozenset()
    """The questions that it asks for itself; of those in it `parts`."""

    def parts(self) -> Iterable[tuple[str | int, Node]]:
        """Return the nodes that it is made of, by their places."""
        return ()

    @abstractmethod
    def evaluate(self, names: Names) -> Any:
        """Return the value; raises TemplateError."""


class Literal(Node):
    """A value without a template in it."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def evaluate(self, names: Names) -> Any:
        """Return it; of a list or table a copy, as what is rendered may be changed by whoever gets it."""
        return fresh(self.value)

    def peek(self) -> Any:
        """Return it."""
        return self.value


class _Source(Node):
    """What comes from one text of the file."""

    def __init__(self, source: str, tree: nodes.Template, extra: Iterable[str]) -> None:
        self.source = source
        self.mentions = mentioned(tree, source, extra)
        if reads_content(tree, source):
            self.mentions |= {"attachments"}
        self.asked = asked(tree)
        self._extra = tuple(extra)
        self._steps = counted_nodes(tree.find_all(nodes.Node)) + (len(source) >> 2)

    def peek(self) -> Any:
        """Return the ellipsis."""
        return ...

    def _guarded(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except TemplateError as error:
            raise TemplateError(f"`{self.source}`: {error}") from None
        except (JinjaError, *FAILURES) as error:
            raise TemplateError(f"`{self.source}`: {str(error) or type(error).__name__}") from None


class Expression(_Source):
    """One expression that keeps its type."""

    def __init__(self, source: str, expression: str, extra: Iterable[str] = ()) -> None:
        tree = parsed(source, "{{ " + expression + " }}")
        if not is_one_expression(tree):
            raise TemplateError(f"`{source}` is not one expression")
        super().__init__(source, tree, extra)
        self._expression = expression
        self._path = attributes(tree)
        self._run = compiled(source, lambda: TEXT.expression(tree))

    def __reduce__(self) -> tuple[Any, ...]:
        """Go to another process as text."""
        return _expression, (self.source, self._expression, self._extra)

    def evaluate(self, names: Names) -> Any:
        """Return the value with its type."""
        spend(self._steps)
        if self._path:
            return self._guarded(lambda: settled(self._looked_up(names)))
        with bounded():
            return self._guarded(lambda: settled(self._run(names)))

    def _looked_up(self, names: Names) -> Any:
        """Follow ``record.fields.site`` as Jinja2 would, without what it sets up for each evaluation."""
        root, *rest = self._path
        value = names.get(root)
        for attribute in rest:
            value = TEXT.getattr(value, attribute)
        return value


class Text(_Source):
    """A text with templates in it."""

    def __init__(self, source: str, mark: TemplateMark, extra: Iterable[str] = ()) -> None:
        super().__init__(source, parsed(source, source), extra)
        self._mark = mark
        environment = HTML if mark.html else URL if mark.url else TEXT
        self._template = compiled(source, lambda: environment.from_string(source))

    def __reduce__(self) -> tuple[Any, ...]:
        """Go to another process as text."""
        return _text, (self.source, self._mark, self._extra)

    def evaluate(self, names: Names) -> str:
        """Return the text."""
        spend(self._steps)
        with bounded():
            text = str(self._guarded(lambda: "".join(self._template.generate(names))))
        if self._mark.html:
            spend(CALL + 2 * len(text))
            return harmless(text, self.source)
        return self._whole_path(text) if self._mark.url else text

    def _whole_path(self, text: str) -> str:
        """Return a path; one that lacks a whole segment would lead elsewhere, to the list instead of the thing."""
        if any(piece and not piece.strip(EMPTY) for piece in text.partition("?")[0].split("/")):
            raise TemplateError(f"`{self.source}`: a part of the path is empty, as its value is null or an empty text")
        return text.replace(EMPTY, "")


@lru_cache(maxsize=_COMPILED)
def _expression(source: str, expression: str, extra: tuple[str, ...]) -> Expression:
    return Expression(source, expression, extra)


@lru_cache(maxsize=_COMPILED)
def _text(source: str, mark: TemplateMark, extra: tuple[str, ...]) -> Text:
    return Text(source, mark, extra)


class AsText(Node):
    """An expression whose value is written as text."""

    def __init__(self, inner: Node) -> None:
        self._inner = inner
        self.mentions = inner.mentions
        self.asked = inner.asked

    def evaluate(self, names: Names) -> str:
        """Return the text; null is empty."""
        return str(text_of(self._inner.evaluate(names)))

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

    def parts(self) -> Iterable[tuple[str, Node]]:
        """Return its values by their keys."""
        return self.items.items()

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
        items = list(flat(node.evaluate(names) for node in self._items))
        return [str(text_of(item)) for item in items] if self._text else items

    def peek(self) -> Any:
        """Return the list as far as it is literal."""
        return [node.peek() for node in self._items]

    def parts(self) -> Iterable[tuple[int, Node]]:
        """Return its items by their numbers."""
        return enumerate(self._items)


def fresh(value: Any) -> Any:
    """Return a copy of a value with lists and tables in it that nobody else has."""
    if isinstance(value, dict):
        return {key: fresh(item) for key, item in value.items()}
    if isinstance(value, list):
        return [fresh(item) for item in value]
    return value


def flat(items: Iterable[Any]) -> Iterator[Any]:
    """Yield what is in a list and in the lists inside of it, without nulls."""
    for item in items:
        if isinstance(item, (list, tuple)):
            yield from flat(item)
        elif item is not None:
            yield item
