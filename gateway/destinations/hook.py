"""The one hook of the gateway, and the marker with which plugins implement it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pluggy

from gateway.destinations.destination import Destination

PROJECT = "doforms_gateway"
"""Pluggy project name and entry-point group."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def gateway_destinations() -> Iterable[type[Destination[Any, Any]]]:  # type: ignore[empty-body]
    """Return the destination classes of this package. Called once at start-up, never on the delivery path."""
