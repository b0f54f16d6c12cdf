"""Loading a routes file for a command, with the plugins and what destinations are given."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.destinations.context import make_context
from gateway.destinations.registry import load_registry
from gateway.routing.load import load
from gateway.routing.loaded import Routes


def load_routes(file: Path, *, secrets: bool = True) -> Routes:
    """Load a routes file with the installed plugins; raises RoutesFileError or PluginError."""
    return load(file, load_registry(), make_context=make_context, environ=os.environ, secrets=secrets)
