"""The ``rest`` destination of the doForms gateway: a delivery becomes a request."""

from __future__ import annotations

from typing import Any

from gateway.api import Destination, hookimpl
from gateway_rest.destination import Rest

__all__ = ["Rest", "gateway_destinations"]


@hookimpl
def gateway_destinations() -> list[type[Destination[Any, Any]]]:
    """Tell the gateway which destinations this package holds."""
    return [Rest]
