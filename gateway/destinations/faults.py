"""What plugins do that they must not: how it is caught, and how it is told."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.destinations.destination import Delivery, Destination

RAISED = (Exception, SystemExit)
"""What is caught wherever a plugin is called: a library that calls ``sys.exit`` must not end the gateway."""


def say_fault(error: BaseException) -> str:
    """Name an exception by its type, as its text alone can be empty or a mere ``'key'``; a group with all in it."""
    try:
        text = str(error)
    except RAISED:
        text = ""
    told = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, BaseExceptionGroup):
        return f"{told}: {'; '.join(map(say_fault, error.exceptions))}"
    return told


def preview_of(destination: Destination[Any, Any], delivery: Delivery[Any]) -> str:
    """Return what a plugin shows of a delivery.

    Raises:
        TypeError: it is no text. Whatever else the plugin raises, too.
    """
    shown = destination.preview(delivery)
    if not isinstance(shown, str):
        raise TypeError(f"preview() returned {say_kind(shown)} instead of a text")
    return shown


def say_kind(value: object) -> str:
    """Name what kind of thing a plugin returned."""
    return "None" if value is None else f"{type(value).__name__} {value!r:.80}"


def is_cancelled() -> bool:
    """Tell a cancellation of the task that calls a plugin from one that the plugin raised of itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
