"""Finds which attachment values a template needs that only a download tells."""

from __future__ import annotations

from jinja2 import nodes

from gateway.templates.field_usage import RECORDS, taken_apart
from gateway.templates.parse import Misspelt

_DEPTHS = {"record": 2, "submission": 2, "dispatch": 2, "row": 1}
"""How many names lead from these to a question: what stands behind it is a property of its answer."""


def reads_content(tree: nodes.Template, source: str) -> bool:
    """Tell whether a parsed text reads checksum or size of an attachment.

    Raises:
        Misspelt: it does so by ``submission`` or ``dispatch``.
    """
    found = False
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        root, steps, _ = taken_apart(node) or ("", [], [])
        if not _is_content(root, steps, by_attribute=isinstance(node, nodes.Getattr)):
            continue
        found = True
        if root in RECORDS - {"record"}:
            raise Misspelt(
                f"`{source}`: attachments are those of `record`, and nothing is downloaded for `{root}` beside it",
                f"Write `record`, in a route for whose events it is the {root}",
            )
    return found


def _is_content(root: str, steps: list[str | None], *, by_attribute: bool) -> bool:
    behind = steps[_DEPTHS.get(root, 0) :]
    if not behind or root == "attachments":
        return False
    # Of an answer that is an object with a size of its own, it can be read as ["size"].
    return behind[-1] == "sha256" or (behind == ["size"] and by_attribute and root in _DEPTHS)
