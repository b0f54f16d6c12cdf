"""The installed plugins: found by their entry points, checked before anything uses them, asked once."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import Any

import pluggy

from gateway.destinations import hook
from gateway.destinations.contract import breaches_of
from gateway.destinations.destination import API_VERSION, Destination
from gateway.destinations.faults import RAISED, say_fault
from gateway.destinations.options import Options, Settings
from gateway.errors import PluginError

DestinationClass = type[Destination[Any, Any]]

_RETURNS = "it must return a list of subclasses of gateway.api.Destination"
_WAY_OUT = "Mend the package, install a version of it that fits, or uninstall it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One kind of destination, as ``gateway plugins`` shows it."""

    name: str
    package: str
    version: str
    summary: str
    settings: tuple[str, ...]
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Source:
    package: str
    version: str
    entry_point: str

    def __str__(self) -> str:
        return f"{self.package} {self.version}".strip()


class Registry:
    """The destination classes by the name that ``plugin = "…"`` says."""

    def __init__(self) -> None:
        self._classes: dict[str, tuple[DestinationClass, _Source]] = {}

    @classmethod
    def of(cls, *classes: DestinationClass) -> Registry:
        """Make a registry of these classes, for tests."""
        registry = cls()
        for one in classes:
            registry._add(one, _Source(one.__module__, "", one.__module__))
        return registry

    def get(self, name: str) -> DestinationClass | None:
        """Return the class of that name."""
        found = self._classes.get(name)
        return found[0] if found else None

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted(self._classes)

    def plugins(self) -> list[Plugin]:
        """Describe what is installed, sorted by name."""
        return [
            Plugin(
                name=name,
                package=source.package,
                version=source.version,
                summary=(one.__doc__ or "").strip().split("\n")[0],
                settings=_keys(one.Settings),
                options=_keys(one.Options),
            )
            for name, (one, source) in sorted(self._classes.items())
        ]

    def _add(self, one: Any, source: _Source) -> None:
        if not (isinstance(one, type) and issubclass(one, Destination)):
            raise PluginError(
                f"Plugin {source.entry_point!r} of {source} returned {one!r} from gateway_destinations(); {_RETURNS}"
            )
        name = getattr(one, "name", None)
        if not isinstance(name, str) or not name.strip():
            raise PluginError(f'{one.__qualname__} of {source} has no name: set `name = "…"` in the class')
        if one.api_version != API_VERSION:
            raise PluginError(
                f"Destination {name!r} of {source} is made for version {one.api_version!r} of the plugin interface, "
                f"this gateway has {API_VERSION}. Install a version of the package that fits, or uninstall it"
            )
        for kind, base in (("Settings", Settings), ("Options", Options)):
            if not (isinstance(getattr(one, kind), type) and issubclass(getattr(one, kind), base)):
                raise PluginError(f"Destination {name!r} of {source}: its {kind} must subclass gateway.api.{kind}")
        if name in self._classes:
            other = self._classes[name][1]
            if other.package == source.package:
                raise PluginError(f"Two destinations of {source} are named {name!r}. Give each class a name of its own")
            raise PluginError(f"Two destinations are named {name!r}: of {other} and of {source}. Uninstall one of them")
        self._classes[name] = (one, source)


def _hold_to_contract(one: DestinationClass, source: _Source) -> None:
    if breaches := "; ".join(breaches_of(one)):
        raise PluginError(
            f"Destination {one.name!r} of {source} does not fit the plugin interface: {breaches}. {_WAY_OUT}"
        )


def _keys(model: type[Settings] | type[Options]) -> tuple[str, ...]:
    return tuple(info.alias or name for name, info in model.model_fields.items())


def load_registry() -> Registry:
    """Load every installed plugin.

    Raises:
        PluginError: naming the packages concerned and the way out.
    """
    manager = pluggy.PluginManager(hook.PROJECT)
    manager.add_hookspecs(hook)
    registry = Registry()
    for name, (point, source) in sorted(_entry_points(distributions()).items()):
        module = _imported(point, source)
        _register(manager, module, name, source)
        for one in _asked(manager, module, name, source):
            registry._add(one, source)
            _hold_to_contract(one, source)
    return registry


def _entry_points(installed: Iterable[Distribution]) -> Mapping[str, tuple[EntryPoint, _Source]]:
    found: dict[str, tuple[EntryPoint, _Source]] = {}
    seen: set[str] = set()
    for distribution in installed:
        package = distribution.metadata["Name"]
        if package in seen:  # a second entry of the import path shows the same package again
            continue
        seen.add(package)
        for point in distribution.entry_points:
            if point.group != hook.PROJECT:
                continue
            source = _Source(package, distribution.version, point.name)
            if point.name in found:
                raise PluginError(
                    f"Two packages have a plugin named {point.name!r}: {found[point.name][1]} and {source}. "
                    "Uninstall one of them"
                )
            found[point.name] = (point, source)
    return found


def _imported(point: EntryPoint, source: _Source) -> Any:
    try:
        return point.load()
    except RAISED as error:
        raise PluginError(
            f"Plugin {point.name!r} of {source} cannot be imported from {point.value}: {say_fault(error)}. {_WAY_OUT}"
        ) from error


def _register(manager: pluggy.PluginManager, module: Any, name: str, source: _Source) -> None:
    if (other := manager.get_name(module)) is not None:
        raise PluginError(
            f"Plugin {name!r} of {source} is the same module as the plugin {other!r}. Give a module one entry point"
        )
    try:
        manager.register(module, name=name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        what = str(error).strip().splitlines()[-1].partition(" in plugin <")[0]
        raise PluginError(
            f"Plugin {name!r} of {source} does not fit the hook `gateway_destinations()`: {what}. {_WAY_OUT}"
        ) from None
    if not (manager.get_hookcallers(module) or []):
        raise PluginError(f"Plugin {name!r} of {source} implements no hook: mark gateway_destinations with @hookimpl")


def _asked(manager: pluggy.PluginManager, module: Any, name: str, source: _Source) -> list[Any]:
    callers = manager.subset_hook_caller(
        "gateway_destinations", [each for each in manager.get_plugins() if each is not module]
    )
    try:
        answers = callers() or [None]
        answer = answers[0]
        if isinstance(answer, Iterable) and not isinstance(answer, str):
            return list(answer)
    except RAISED as error:
        raise PluginError(
            f"Plugin {name!r} of {source} failed to name its destinations: {say_fault(error)}. {_WAY_OUT}"
        ) from error
    if inspect.iscoroutine(answer):
        answer.close()
    raise PluginError(f"Plugin {name!r} of {source} returned {answer!r} from gateway_destinations(); {_RETURNS}")
