"""Whether a destination class can be called as the gateway calls it: told at start, not at the first delivery."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from gateway.destinations.destination import Destination

_ARGUMENTS = {
    "__init__": ("settings", "context"),
    "traits": ("options",),
    "review": ("options",),
    "open": (),
    "close": (),
    "deliver": ("delivery",),
    "deliver_many": ("deliveries",),
    "preview": ("delivery",),
    "check": ("uses",),
}
"""What each method is called with, by position."""


def breaches_of(one: type[Destination[Any, Any]]) -> Iterator[str]:
    """Say what in a destination class does not fit the contract."""
    if one.deliver is Destination.deliver:
        yield "it has no deliver()"
    for method, arguments in _ARGUMENTS.items():
        mine, theirs = inspect.getattr_static(one, method), getattr(Destination, method)
        if mine is theirs or not inspect.isfunction(mine):
            continue
        if inspect.iscoroutinefunction(inspect.unwrap(mine)) != inspect.iscoroutinefunction(theirs):
            right, wrong = ("async def", "def") if inspect.iscoroutinefunction(theirs) else ("def", "async def")
            yield f"{method}() must be written with `{right}`, not `{wrong}`"
        if not _takes(mine, len(arguments)):
            wanted = ", ".join(("self", *arguments))
            yield f"{method}{inspect.signature(mine)} must take ({wanted})"


def _takes(method: Any, count: int) -> bool:
    try:
        inspect.signature(method).bind(None, *(None for _ in range(count)))
    except TypeError:
        return False
    return True
