"""Faults on order: answers that doForms gives on a bad day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Fault:
    """What happens to matching requests of the REST API."""

    method: str | None = None
    """None: any."""
    path_contains: str = ""
    """Part of the path, percent-encoding undone."""
    status: int | None = 503
    """None: the request is answered as usual, after ``delay``."""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Seconds before the answer."""
    hang: bool = False
    """Whether the request is never answered."""
    times: int | None = 1
    """How many requests it hits; None: all."""


class Faults:
    """The faults that are ordered, the first ordered first."""

    def __init__(self) -> None:
        self._ordered: list[Fault] = []

    def add(
        self,
        *,
        method: str | None = None,
        path_contains: str = "",
        status: int | None = 503,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        delay: float = 0.0,
        hang: bool = False,
        times: int | None = 1,
    ) -> Fault:
        """Order a fault for the next ``times`` matching requests; see `Fault` for the meaning of each."""
        if times is not None and times < 1:
            raise ValueError(f"times is {times}: give 1 or more, or None for all requests")
        if status is not None and not 200 <= status <= 599:
            raise ValueError(f"`status` is {status}: give 200 to 599, or None for the usual answer")
        fault = Fault(
            method=method,
            path_contains=path_contains,
            status=status,
            body=body,
            headers=dict(headers or {}),
            delay=delay,
            hang=hang,
            times=times,
        )
        self._ordered.append(fault)
        return fault

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
