"""A destination that only notes what it is given, and a routes file of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.api import Delivery, Destination, Options, Receipt, Template
from gateway.config.load import load
from gateway.config.loaded import Routes
from gateway.destinations.context import make_context
from gateway.destinations.registry import Registry


class Sink(Destination["Sink.Settings", "Sink.Options"]):
    """Takes everything."""

    name = "sink"

    class Options(Options):
        text: Template[Any] = None

    async def deliver(self, delivery: Delivery[Any]) -> Receipt:
        return Receipt(summary=f"took {delivery.options.text}")


def load_routes(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Routes:
    """Load a routes file whose destinations are sinks."""
    file = folder / "routes.toml"
    file.write_text(text)
    return load(file, Registry.of(Sink), make_context=make_context, environ=environ or {"PASSWORD": "secret"})
