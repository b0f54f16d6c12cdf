"""Renders a delivery: in this process while that is little work, else elsewhere."""

from __future__ import annotations

import pickle  # nosec B403
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.errors import TemplateError
from gateway.templates.compiled import Node
from gateway.templates.render import Plan, carry_out, pin
from gateway.templates.work import counted

LARGEST_RENDERED = 64 * 1024 * 1024
"""Bytes of what is rendered for one delivery, as it is kept."""


@dataclass(slots=True, kw_only=True)
class Task:
    """What is to be judged and rendered for a delivery."""

    conditions: tuple[tuple[Node, str], ...]
    """Each with what is told where it is false; they are judged in this order."""
    plan: Plan | None
    """None: only the conditions are judged."""
    names: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """A condition is false, so nothing is rendered."""

    reason: str


@dataclass(slots=True)
class Rendered:
    """The options as plain data, and as they are kept; of one of them the other follows."""

    data: dict[str, Any] | None
    kept: bytes


def work_off(task: Task) -> Refused | Rendered:
    """Judge and render.

    Raises:
        TemplateError: a template cannot be evaluated for this record, or what it gives cannot be kept.
        TooMuchHere: the work is counted, and this is too much.
    """
    for condition, reason in task.conditions:
        if not condition.evaluate(task.names):
            return Refused(reason)
    if task.plan is None:
        return Rendered({}, b"{}")
    data = carry_out(task.plan, task.names)
    kept = pin(data)
    if len(kept) > LARGEST_RENDERED:
        raise TemplateError(f"what was rendered has {len(kept)} bytes; at most {LARGEST_RENDERED} are kept")
    return Rendered(data, kept)


def work_off_here(task: Task) -> Refused | Rendered:
    """Judge and render beside other work.

    Raises:
        TemplateError: a template cannot be evaluated for this record, or what it gives cannot be kept.
        TooMuchHere: it needs more work than may be done here.
    """
    with counted():
        return work_off(task)


def packed(task: Task) -> bytes:
    """Write a task down for another process.

    Raises:
        TemplateError: the record is nested too deep for that.
    """
    try:
        return pickle.dumps((task.conditions, task.plan, dict(task.names)), protocol=pickle.HIGHEST_PROTOCOL)
    except RecursionError:
        raise TemplateError("the record is nested too deep to be rendered") from None


def unpacked(written: bytes) -> Task:
    """Read back what `packed` wrote."""
    conditions, plan, names = pickle.loads(written)  # nosec B301 # from the process that started this one
    return Task(conditions=conditions, plan=plan, names=names)
