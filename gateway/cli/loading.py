"""Loads a routes file for a command, with the installed plugins."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.cli.speaking import MASK, plugins_speak
from gateway.config.load import load
from gateway.config.loaded import Routes
from gateway.destinations.context import make_context
from gateway.destinations.registry import load_registry


def load_routes(file: Path, *, secrets: bool = True) -> Routes:
    """Load a routes file with the installed plugins; raises RoutesFileError."""
    return load_with(file, secrets=secrets)


def load_with(file: Path, *, secrets: bool, calls: bool = False) -> Routes:
    """Load a routes file as `gateway.config.load.load` does, and keep what its plugins print off standard output."""
    with plugins_speak():
        registry = load_registry()
    with plugins_speak():
        return load(
            file,
            registry,
            make_context=make_context,
            environ=os.environ,
            secrets=secrets,
            calls=calls,
            learn=MASK.learn,
        )
