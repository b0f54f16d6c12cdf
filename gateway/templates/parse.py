"""Parsing templates: their syntax, and the names that they mention."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from jinja2 import TemplateAssertionError, TemplateSyntaxError, nodes
from jinja2 import TemplateError as JinjaError

from gateway.errors import TemplateError
from gateway.mistakes import nearest
from gateway.templates.render_limits import bounded
from gateway.templates.sandbox import TEXT
from gateway.templates.values import NAMES

_NO_SUCH = re.compile(r"No (filter|test) named '([^']*)'")


class Misspelt(TemplateError):
    """A template that is not right as it is written, with the remedy."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(f"{found}. {remedy}")
        self.found = found
        self.remedy = remedy


def parsed(source: str, text: str) -> nodes.Template:
    """Parse a text; an error quotes the source."""
    return compiled(source, lambda: TEXT.parse(text))  # type: ignore[no-any-return]


def compiled(source: str, call: Callable[[], Any]) -> Any:
    """Parse or compile, with Jinja2's errors turned into ours."""
    try:
        with bounded():  # constants are calculated while compiling
            return call()
    except TemplateAssertionError as error:  # of those that templates may hold only a filter or test is not there
        raise _no_such(source, error) from None
    except TemplateSyntaxError as error:
        raise TemplateError(f"`{source}` is not a template: {error.message}") from None
    except (JinjaError, RecursionError) as error:
        raise TemplateError(f"`{source}` is not a template: {str(error) or 'nested too deep'}") from None


def _no_such(source: str, error: TemplateAssertionError) -> TemplateError:
    """Return the error of a filter or test that is not there, with the nearest name or else all of them."""
    found = f"`{source}` is not a template: {error.message}"
    named = _NO_SUCH.match(error.message or "")
    if named is None:
        return TemplateError(found)
    kind, name = named.groups()
    known = sorted(TEXT.filters if kind == "filter" else TEXT.tests)
    close = nearest(name, known)
    return Misspelt(found.rstrip("."), f"Did you mean `{close}`?" if close else f"Each {kind}: {', '.join(known)}")


def is_one_expression(tree: nodes.Template) -> bool:
    """Tell whether a parsed text is exactly one ``{{ … }}``."""
    [output] = tree.body if len(tree.body) == 1 else [None]
    return (
        isinstance(output, nodes.Output)
        and len(output.nodes) == 1
        and not isinstance(output.nodes[0], nodes.TemplateData)
    )


def attributes(tree: nodes.Template) -> tuple[str, ...]:
    """Return the names of an expression that is nothing but ``name.attribute.attribute``; else nothing."""
    [output] = tree.body
    assert isinstance(output, nodes.Output)
    [node] = output.nodes
    found: list[str] = []
    while isinstance(node, nodes.Getattr):
        found.insert(0, node.attr)
        node = node.node
    return (node.name, *found) if isinstance(node, nodes.Name) and node.name in NAMES else ()


def mentioned(tree: nodes.Template, source: str, extra: Iterable[str]) -> frozenset[str]:
    """Return the names in scope that a parsed text reads, after looking for misspelt ones.

    Raises:
        Misspelt: a name or an attribute does not exist.
    """
    known = {*NAMES.keys() - {"row"}, *extra, *TEXT.globals}
    own = {node.name for node in tree.find_all(nodes.Name) if node.ctx in ("store", "param")}
    if tree.find(nodes.For):
        own.add("loop")
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        name, attribute = _chain(node)
        allowed = None if name is None or name in own else NAMES.get(name)
        if allowed is not None and attribute is not None and attribute not in allowed:
            raise _misspelt(source, f"{name}.{attribute}", attribute, allowed, owner=f"{name}.")
    found = {node.name for node in tree.find_all(nodes.Name) if node.ctx == "load"} - own
    for name in sorted(found - known):
        raise _misspelt(source, name, name, known)
    return frozenset(found & NAMES.keys()) - _only_keys(tree, found)


def _only_keys(tree: nodes.Template, found: set[str]) -> set[str]:
    """Return the records of which only the key is read: that needs no fetch."""
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


def _misspelt(source: str, shown: str, name: str, allowed: Iterable[str], *, owner: str = "") -> Misspelt:
    close = nearest(name, sorted(allowed))
    hint = f"Did you mean `{owner}{close}`? " if close else ""
    known = ", ".join(f"`{owner}{each}`" for each in sorted(allowed))
    return Misspelt(f"`{source}`: there is no `{shown}`", f"{hint}Known: {known}")
