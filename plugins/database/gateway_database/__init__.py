"""The ``database`` destination of the doForms gateway: a delivery becomes rows."""

from __future__ import annotations

from typing import Any

from gateway.api import Destination, hookimpl
from gateway_database.destination import Database

__all__ = ["Database", "gateway_destinations"]


@hookimpl
def gateway_destinations() -> list[type[Destination[Any, Any]]]:
    """Tell the gateway which destinations this package holds."""
    return [Database]
