"""Faults on order: answers that doForms gives on a bad day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Fault:
    """What happens to matching requests of the REST API."""

    method: str | None = None
    path_contains: str = ""
    status: int | None = 503
    """None: the request is answered as usual, after ``delay``."""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Seconds before the answer."""
    times: int | None = 1
    """How many requests it hits; None: all."""


class Faults:
    """The faults that are ordered, the first ordered first."""

    def __init__(self) -> None:
        self._ordered: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Order a fault."""
        self._ordered.append(fault)

    def clear(self) -> None:
        """Be well again."""
        self._ordered.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault that hits a request, using it up."""
        for fault in self._ordered:
            if fault.method not in (None, method) or fault.path_contains not in path:
                continue
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    self._ordered.remove(fault)
            return fault
        return None
