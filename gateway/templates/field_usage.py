"""Finds which questions of a form a template asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jinja2 import nodes

RECORDS = frozenset({"record", "submission", "dispatch"})
_ABOUT = frozenset({"key", "id"})
_BY_NAME = frozenset({"fields", "tables", "paths"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that a template asks for: ``record.fields.site``, or ``row.finding`` of the rows of a table."""

    record: str
    """``record``, ``submission``, ``dispatch``, or ``row``."""
    by: str = ""
    """``fields``, ``tables`` or ``paths``; empty for a column of a row."""
    name: str | None = None
    """None: all of them, or whichever turns out when it is rendered."""


def asked(tree: nodes.Template) -> frozenset[Asked]:
    """Return what a parsed text asks for; ``record.key`` and ``record.id`` are no questions."""
    own = {node.name for node in tree.find_all(nodes.Name) if node.ctx in ("store", "param")}
    return frozenset(_in(tree, own))


def _in(node: nodes.Node, own: set[str]) -> Iterator[Asked]:
    chain = taken_apart(node)
    if chain is None:
        for child in node.iter_child_nodes():
            yield from _in(child, own)
        return
    root, steps, subscripts = chain
    if root not in own:
        yield from _of(root, steps)
    for subscript in subscripts:
        yield from _in(subscript, own)


def _of(root: str, steps: list[str | None]) -> Iterator[Asked]:
    """Yield what ``root`` followed by these attributes asks for; None stands for one that is not known yet."""
    if root == "row":
        yield Asked("row", "", steps[0] if steps else None)
    elif root in RECORDS:
        first, *rest = steps or [None]
        if first in _BY_NAME:
            yield Asked(root, first, rest[0] if rest else None)
        elif first not in _ABOUT:
            yield Asked(root)


def taken_apart(node: nodes.Node) -> tuple[str, list[str | None], list[nodes.Node]] | None:
    """Take ``name.a["b"].get("c")`` apart: the name, what is asked of it, and the other expressions in between."""
    steps: list[str | None] = []
    others: list[nodes.Node] = []
    while True:
        if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr):
            others += [*node.args[1:], *node.kwargs]
            if node.node.attr == "get" and node.args:
                steps.append(_constant(node.args[0], others))
            else:  # .items(), .values(), …
                steps.append(None)
                others += node.args
            node = node.node.node
        elif isinstance(node, nodes.Getattr):
            steps.append(node.attr)
            node = node.node
        elif isinstance(node, nodes.Getitem):
            steps.append(_constant(node.arg, others))
            node = node.node
        elif isinstance(node, nodes.Name):
            return node.name, steps[::-1], others
        else:
            return None


def _constant(node: nodes.Node, others: list[nodes.Node]) -> str | None:
    if isinstance(node, nodes.Const):
        return str(node.value)
    others.append(node)
    return None
