"""Reuses the instances of destinations whose connection settings a reload leaves as they are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from gateway.config.loaded import DestinationEntry, Routes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadPlan:
    """Newly loaded routes, and what becomes of the destinations."""

    routes: Routes
    kept: tuple[str, ...]
    opened: tuple[str, ...]
    """New, or opened anew because what connects them has changed."""
    closed: tuple[str, ...]
    """Removed, or the old one of those opened anew."""


def reuse_instances(new: Routes, old: Routes, *, afresh: Collection[str] = ()) -> ReloadPlan:
    """Return the new routes with the instances of those old destinations that connect as before.

    ``afresh`` names destinations that get a new instance in any case: what was mended may stand outside of the file.
    """
    kept = tuple(
        name
        for name, entry in new.destinations.items()
        if name not in afresh and (there := old.destinations.get(name)) is not None and _connects_alike(entry, there)
    )
    destinations = {
        name: replace(entry, instance=old.destinations[name].instance) if name in kept else entry
        for name, entry in new.destinations.items()
    }
    return ReloadPlan(
        routes=replace(new, destinations=destinations),
        kept=kept,
        opened=tuple(name for name in new.destinations if name not in kept),
        closed=tuple(name for name in old.destinations if name not in kept),
    )


def _connects_alike(one: DestinationEntry, other: DestinationEntry) -> bool:
    """Compare the plugin's settings; the core's own keys (limits, retries) are taken over in place."""
    return one.plugin == other.plugin and one.settings is not None and one.settings == other.settings
