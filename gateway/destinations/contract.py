"""Checks that a plugin can be called as the gateway calls it."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from gateway.destinations.destination import Destination, Finding, Traits, Use
from gateway.destinations.faults import describe_type, text_of

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


_MANY = 1000
"""Findings of one plugin that are looked at."""


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


def judged(destination: Destination[Any, Any], options: Any) -> tuple[Traits, list[Finding]]:
    """Return what a plugin makes of (unrendered) options: its traits of them, and what it finds wrong.

    Raises:
        TypeError: it returned something else. Whatever else the plugin raises, too.
    """
    traits = destination.traits(options)
    if not isinstance(traits, Traits):
        raise TypeError(f"traits() returned {describe_type(traits)} instead of gateway.api.Traits")
    return traits, findings_of(destination.review(options), "review")


def findings_of(given: object, method: str) -> list[Finding]:
    """Return what ``review`` or ``check`` returned, as a list.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise TypeError(f"{method}() returned {describe_type(given)} instead of a list of gateway.api.Finding")
    found = list(itertools.islice(given, _MANY))
    for one in found:
        if not isinstance(one, Finding):
            raise TypeError(f"{method}() found {describe_type(one)} instead of a gateway.api.Finding")
        if not all(isinstance(text, str) for text in (one.where, one.found, one.remedy)):
            raise TypeError(f"{method}() found {describe_type(one)}, in which where, found and remedy must be texts")
    return [_plain(one) for one in found]


def _plain(one: Finding) -> Finding:
    """Return a finding whose texts are plain ones, and not very long."""
    use = one.use if isinstance(one.use, Use) else None
    return Finding(
        where=text_of(one.where),
        found=text_of(one.found),
        remedy=text_of(one.remedy),
        error=bool(one.error),
        use=use,
    )
