"""Catches whatever a plugin raises, and describes it."""

from __future__ import annotations

import asyncio
import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gateway.destinations.destination import Delivery, Destination

RAISED = BaseException
"""What is caught wherever a plugin is called.

A library that calls ``sys.exit``, a panic of code in another language, a ``KeyboardInterrupt`` or a cancellation of its
own: none of them may end the gateway. Where the call is awaited, ask `is_ours` first.
"""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C of a person, as `telling_interrupts_apart` raises it; any other ``KeyboardInterrupt`` is a plugin's."""


@contextmanager
def telling_interrupts_apart() -> Iterator[None]:
    """Raise `Interrupted` at Ctrl-C while this thread calls plugins, unless something else hears it."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt(number: int, frame: object) -> None:
    raise Interrupted


_LONGEST = 20_000
"""Characters of a text of a plugin that are looked at, before it is masked and cut to what is kept."""
_IN_A_GROUP = 10
"""Errors of a group that are told, and groups within groups."""
_TRACEBACK_LINES = 200
_TRACEBACK_LINE = 2000


def is_ours(error: BaseException) -> bool:
    """Tell a cancellation of the task that awaits a plugin, or its end with the loop, from what the plugin raised."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return True  # no loop runs any more: a coroutine that was left behind is being closed
    if isinstance(error, asyncio.CancelledError):
        return task is not None and task.cancelling() > 0
    return isinstance(error, GeneratorExit) and task is None


def shorten(text: str, most: int = _LONGEST) -> str:
    """Cut a text between two words: the half of a secret could not be masked any more."""
    if len(text) <= most:
        return text
    words = text[:most].rsplit(None, 1)
    kept = f"{words[0]} " if len(words) == 2 else ""
    return f"{kept}… ({len(text)} characters)"


def text_of(value: object) -> str:
    """Return the text of what a plugin made, whatever its ``__str__`` does; never raises, never very long."""
    try:
        text = str(value)
        if type(text) is not str:  # a subclass, with methods of its own
            text = str.__getitem__(text, slice(None))
        return shorten(text)
    except RAISED as error:
        return f"(its text cannot be read: {_name_of(error)})"


def _name_of(value: object) -> str:
    try:
        return str(type.__dict__["__name__"].__get__(type(value)))
    except RAISED:
        return "an object"


def describe_fault(error: BaseException, *, depth: int = 0) -> str:
    """Name an exception by its type, as its text alone can be empty or a mere ``'key'``; a group with all in it."""
    text = text_of(error)
    told = f"{_name_of(error)}: {text}" if text else _name_of(error)
    if not isinstance(error, BaseExceptionGroup) or depth >= _IN_A_GROUP:
        return told
    inner = BaseExceptionGroup.exceptions.__get__(error)[:_IN_A_GROUP]
    return shorten(f"{told}: {'; '.join(describe_fault(one, depth=depth + 1) for one in inner)}")


def traceback_of(error: BaseException) -> str:
    """Return the traceback of what a plugin raised, for the log; never raises, never very long."""
    try:
        lines = "".join(traceback.format_exception(error)).splitlines()
    except RAISED as failure:
        return f"{describe_fault(error)} (its traceback cannot be written: {_name_of(failure)})"
    if len(lines) > _TRACEBACK_LINES:
        half = _TRACEBACK_LINES // 2
        lines = [*lines[:half], f"… {len(lines) - 2 * half} lines …", *lines[-half:]]
    return "\n".join(shorten(line, _TRACEBACK_LINE) for line in lines)


def preview_of(destination: Destination[Any, Any], delivery: Delivery[Any]) -> str:
    """Return what a plugin shows of a delivery.

    Raises:
        TypeError: it is no text. Whatever else the plugin raises, too.
    """
    shown = destination.preview(delivery)
    if not isinstance(shown, str):
        raise TypeError(f"preview() returned {describe_type(shown)} instead of a text")
    return text_of(shown)


def describe_type(value: object) -> str:
    """Name what kind of thing a plugin returned; never raises."""
    if value is None:
        return "None"
    try:
        shown = f" {shorten(repr(value), 80)}"
    except RAISED:
        shown = ""
    return f"{_name_of(value)}{shown}"
