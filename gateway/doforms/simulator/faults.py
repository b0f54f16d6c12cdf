"""Faults on order: answers that doForms gives on a bad day."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Instead(StrEnum):
    """What comes in place of the usual answer, where a status and a body cannot say it."""

    RESET = "reset"
    """Nothing: the connection is reset."""
    HALF = "half"
    """The first half of the usual answer; then the connection ends."""
    OTHER = "other"
    """The record of somebody else: a good one, but not the one that was asked for."""
    SHORT = "short"
    """Of a listing, only every second line."""


_CALLS = {"submissions": "record", "dispatches": "record", "notifications": "report", "blobs": "blob"}
CALLS = ("list", "record", "report", "blob", "other")
"""The kinds of call that the REST API knows."""


def call_of(path: str) -> str:
    """Return the kind of call of a path below the API's prefix."""
    place, _, rest = path.strip("/").partition("/")
    if place == "submissions" and not rest:
        return "list"
    return _CALLS.get(place, "other")


@dataclass(slots=True, kw_only=True)
class Fault:
    """What happens to matching requests of the REST API."""

    name: str = ""
    """What a person calls it."""
    method: str | None = None
    """None: any."""
    call: str | None = None
    """``list``, ``record``, ``report`` or ``blob``; None: any."""
    path_contains: str = ""
    """Part of the path, percent-encoding undone."""
    status: int | None = 503
    """None: the request is answered as usual, after ``delay``."""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    instead: Instead | None = None
    """Counts before ``status``."""
    delay: float = 0.0
    """Seconds before the answer."""
    hang: bool = False
    """Whether the request is never answered."""
    times: int | None = 1
    """How many requests it hits; None: all."""
    share: float = 1.0
    """The share of the matching requests that it hits, by chance."""

    def __post_init__(self) -> None:
        if self.times is not None and self.times < 1:
            raise ValueError(f"times is {self.times}: give 1 or more, or None for all requests")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError(f"`status` is {self.status}: give 200 to 599, or None for the usual answer")
        if self.call is not None and self.call not in CALLS:
            raise ValueError(f"`call` is {self.call!r}: give one of {', '.join(CALLS)}, or None for any")
        if not 0 < self.share <= 1:
            raise ValueError(f"`share` is {self.share:g}: give more than 0, at most 1")
        if self.instead is not None:
            self.instead = _instead(self.instead)

    @property
    def told(self) -> dict[str, Any]:
        """The fault as JSON has it."""
        return asdict(self) | {"headers": dict(self.headers), "body": self.body.decode(errors="replace")}

    def matches(self, method: str, path: str, call: str) -> bool:
        """Tell whether a request could be hit."""
        return self.method in (None, method) and self.call in (None, call) and self.path_contains in path


def _instead(word: str) -> Instead:
    try:
        return Instead(word)
    except ValueError:
        raise ValueError(f"`instead` is {word!r}: give one of {', '.join(Instead)}") from None


class Faults:
    """The faults that are ordered, the first ordered first."""

    def __init__(self, *, chance: random.Random | None = None) -> None:
        self._ordered: list[Fault] = []
        self._chance = chance or random.Random(0)  # nosec B311

    @property
    def ordered(self) -> tuple[Fault, ...]:
        """The faults that are still to come."""
        return tuple(self._ordered)

    def add(self, name: str = "", **given: Any) -> Fault:
        """Order a fault for the next ``times`` matching requests; see `Fault` for the meaning of each.

        With a name of `NAMED` it begins with what that name stands for.

        Raises:
            ValueError: something cannot be what was given.
        """
        if name and name not in NAMED:
            raise ValueError(f"there is no fault named {name!r}: give one of {', '.join(NAMED)}")
        fault = Fault(**{"name": name, **NAMED.get(name, {}), **given})
        self._ordered.append(fault)
        return fault

    def clear(self) -> None:
        """Have none left."""
        self._ordered.clear()

    def take(self, method: str, path: str, call: str) -> Fault | None:
        """Return the fault that hits a request, using it up."""
        for fault in self._ordered:
            if not fault.matches(method, path, call) or (fault.share < 1 and self._chance.random() >= fault.share):
                continue
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    self._ordered.remove(fault)
            return fault
        return None


_HTML = b"<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Temporarily down</h1></body></html>"
_ERROR = b'{"error": "Web service error: the data could not be read."}'

NAMED: Mapping[str, Mapping[str, Any]] = {
    "busy": {"status": 429, "headers": {"Retry-After": "2"}},
    "unavailable": {"status": 503},
    "broken": {"status": 500, "body": _ERROR},
    "slow": {"status": None, "delay": 5.0},
    "silent": {"hang": True},
    "reset": {"instead": Instead.RESET},
    "half": {"instead": Instead.HALF},
    "error-in-200": {"status": 200, "body": _ERROR, "call": "record"},
    "empty": {"status": 200, "call": "record"},
    "html": {"status": 200, "body": _HTML, "headers": {"Content-Type": "text/html"}},
    "other-record": {"instead": Instead.OTHER, "call": "record"},
    "details-fail": {"status": 500, "body": _ERROR, "call": "record", "times": None},
    "short-listing": {"instead": Instead.SHORT, "call": "list"},
    "empty-listing": {"status": 200, "body": b"[]", "call": "list"},
    "over-quota": {"status": 200, "body": b'{"error": "Web service error: Over quota."}', "method": "GET"},
    "report-gone": {"status": 404, "call": "report"},
    "report-refused": {"status": 400, "call": "report"},
    "report-forbidden": {"status": 401, "call": "report"},
}
"""Faults by the names that a person gives them."""
