"""The parts that speak with doForms, on a real store and a simulated doForms."""

from __future__ import annotations

from tests.support.parts import doforms, http, parts, simulator, store

__all__ = ["doforms", "http", "parts", "simulator", "store"]
