"""The ``file`` destination of the doForms gateway: a delivery becomes a file, or rows of one."""

from __future__ import annotations

from typing import Any

from gateway.api import Destination, hookimpl
from gateway_file.destination import File

__all__ = ["File", "gateway_destinations"]


@hookimpl
def gateway_destinations() -> list[type[Destination[Any, Any]]]:
    """Tell the gateway which destinations this package holds."""
    return [File]
