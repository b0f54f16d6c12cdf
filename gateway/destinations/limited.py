"""Calls plugin code that may never end in a thread of its own, which can be left behind."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

R = TypeVar("R")

JUDGED_WITHIN = 10.0
"""Seconds that a plugin gets to take in settings or options, for its traits and its review, or to show a delivery."""


class NoEnd(TimeoutError):
    """A call of a plugin that had no end in time; its thread goes on, as none can be stopped."""


_Outcome = tuple[Any, BaseException | None]


def begun(function: Callable[..., R], *arguments: Any) -> Future[_Outcome]:
    """Call a function in a daemon thread; the future holds what it returned, and what it raised."""
    ended: Future[_Outcome] = Future()
    around = contextvars.copy_context()

    def call() -> None:
        try:
            outcome: _Outcome = (around.run(function, *arguments), None)
        except BaseException as error:
            outcome = (None, error)
        ended.set_result(outcome)

    threading.Thread(target=call, name=f"plugin-{_name(function)}", daemon=True).start()
    return ended


def within(seconds: float, what: str, function: Callable[..., R], *arguments: Any) -> R:
    """Return what a function returns; ``what`` names it where it has no end. Ctrl-C ends the wait, not the plugin.

    Raises:
        NoEnd: it takes longer. Whatever else it raises, too.
    """
    try:
        outcome = begun(function, *arguments).result(seconds)
    except TimeoutError:
        raise _no_end(what, seconds) from None
    given: R = _given(outcome)
    return given


async def awaited_within(seconds: float, what: str, function: Callable[..., R], *arguments: Any) -> R:
    """Do as `within`, while the event loop goes on."""
    calling = asyncio.wrap_future(begun(function, *arguments))
    done, _ = await asyncio.wait((calling,), timeout=seconds)
    if not done:
        raise _no_end(what, seconds)
    given: R = _given(calling.result())
    return given


def _given(outcome: _Outcome) -> Any:
    value, error = outcome
    if error is not None:
        raise error
    return value


def _no_end(what: str, seconds: float) -> NoEnd:
    return NoEnd(f"{what} had no end within {seconds:g} s; its thread is left behind")


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", "call"))
