"""Where a program looks into a sentence that it wrote for people."""

from __future__ import annotations

import ast
from collections.abc import Iterator

SENTENCES = ("reason", "receipt", "verdict", "why")
"""How columns, fields and variables that hold sentences are called at their end."""
_WORDS = """
like not_like ilike not_ilike regexp_match startswith istartswith endswith iendswith contains icontains
find rfind index partition rpartition split
"""
LOOKS = frozenset(_WORDS.split())
"""Methods of texts and columns that look for words."""


def looks(tree: ast.AST, function: str = "") -> Iterator[tuple[str, int]]:
    """Yield the function and the line of each look into a sentence: by a method, by ``in`` or by ``==``."""
    for node in ast.iter_child_nodes(tree):
        inside = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
        if _looks(node):
            yield inside, node.lineno  # type: ignore[attr-defined]
        yield from looks(node, inside)


def _looks(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in LOOKS and _is_sentence(node.func.value)
    if isinstance(node, ast.Compare):
        return any(
            _is_sentence(side)
            if isinstance(operator, ast.In | ast.NotIn)
            else isinstance(operator, ast.Eq | ast.NotEq) and (_is_text(side) and _is_sentence(node.left))
            for operator, side in zip(node.ops, node.comparators, strict=True)
        )
    return False


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _is_sentence(node: ast.AST) -> bool:
    if isinstance(node, ast.BoolOp):
        return any(_is_sentence(value) for value in node.values)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _is_sentence(node.func.value)
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.endswith(SENTENCES)
