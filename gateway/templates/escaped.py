"""Templates for HTML: what is put in is escaped, and no template can switch that off for what a record holds."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import TemplateSyntaxError, nodes
from jinja2.filters import FILTERS
from jinja2.visitor import NodeTransformer

from gateway.errors import TemplateError
from gateway.templates.field_usage import taken_apart

_OWN = f"own {uuid.uuid4().hex}"
"""What ``safe`` is called where it stands behind the operator's own words; no template can name it."""
_REFUSED = (
    "`safe` lets what a record holds write HTML; it may stand behind a text and behind webservice.vars. Write the HTML "
    "into the template itself"
)


class Escaped(NodeTransformer):
    """Refuses what would put something into HTML as it is."""

    def visit_ScopedEvalContextModifier(self, node: nodes.ScopedEvalContextModifier) -> nodes.Node:  # noqa: N802
        """Refuse ``{% autoescape … %}`` that switches escaping off, or might."""
        for option in node.options:
            if option.key == "autoescape" and not (
                isinstance(option.value, nodes.Const) and option.value.value is True
            ):
                raise TemplateSyntaxError("escaping cannot be switched off in HTML: leave autoescape out", node.lineno)
        return self.generic_visit(node)

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:  # noqa: N802
        """Let ``safe`` stand only behind what the operator wrote."""
        self.generic_visit(node)
        if node.name == "safe":
            if node.node is None or not _is_own(node.node):
                raise TemplateSyntaxError(_REFUSED, node.lineno)
            node.name = _OWN
        return node


def _is_own(node: nodes.Expr) -> bool:
    if isinstance(node, (nodes.Const, nodes.TemplateData)):
        return True
    if isinstance(node, nodes.Concat):
        return all(map(_is_own, node.nodes))
    root, steps, subscripts = taken_apart(node) or ("", [], [])
    return root == "webservice" and steps[:1] == ["vars"] and not subscripts


def _refuses(value: Any) -> Any:
    """Refuse ``map('safe')``, and names of filters that come from elsewhere."""
    raise TemplateError(_REFUSED)


HTML_FILTERS: Mapping[str, Callable[..., Any]] = {"safe": _refuses, _OWN: FILTERS["safe"]}
"""Filters that are others in HTML."""
