"""The installed plugins: found by their entry points, checked before anything uses them, asked once."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import Any

import pluggy

from gateway.destinations import hook
from gateway.destinations.contract import breaches_of
from gateway.destinations.destination import API_VERSION, Destination
from gateway.destinations.faults import (
    RAISED,
    Interrupted,
    describe_fault,
    describe_type,
    telling_interrupts_apart,
    text_of,
)
from gateway.destinations.options import Options, Settings
from gateway.errors import PluginError

DestinationClass = type[Destination[Any, Any]]

_RETURNS = "it must return a list of subclasses of gateway.api.Destination"
_MOST = 1000
"""Destinations that one package may name."""
_WAY_OUT = "Mend the package, install a version of it that fits, or uninstall it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One kind of destination, as ``gateway plugins`` shows it."""

    name: str
    """What ``plugin = "…"`` says; the entry point of a package that could not be asked for its destinations."""
    package: str
    version: str
    summary: str
    settings: tuple[str, ...]
    options: tuple[str, ...]
    problem: str | None = None
    """Why no destination can use it; None: nothing is wrong."""


@dataclass(frozen=True, slots=True)
class _Source:
    package: str
    version: str
    entry_point: str

    def __str__(self) -> str:
        return f"{self.package} {self.version}".strip()


class Registry:
    """The destination classes by the name that ``plugin = "…"`` says, and what is installed and cannot be used."""

    def __init__(self) -> None:
        self._classes: dict[str, tuple[DestinationClass, _Source]] = {}
        self._broken: list[Plugin] = []
        self._disputed: set[str] = set()
        """Names that two destinations have."""

    @classmethod
    def of(cls, *classes: DestinationClass) -> Registry:
        """Make a registry of these classes, for tests.

        Raises:
            PluginError: one of them cannot be used.
        """
        registry = cls()
        for one in classes:
            registry._add(one, _Source(one.__module__, "", one.__module__))
        if registry._broken:
            raise PluginError("; ".join(str(one.problem) for one in registry._broken))
        return registry

    def get(self, name: str) -> DestinationClass | None:
        """Return the class of that name, if it can be used."""
        found = self._classes.get(name)
        return found[0] if found else None

    def names(self) -> list[str]:
        """Return the names of all that can be used, sorted."""
        return sorted(self._classes)

    def problem(self, name: str) -> str | None:
        """Tell why what is installed under a name cannot be used, or else what might have that name and cannot."""
        if name in self._classes:
            return None
        named = [one for one in self._broken if one.name == name]
        return "; ".join(str(one.problem) for one in named or self._broken) or None

    def plugins(self) -> list[Plugin]:
        """Describe what is installed, sorted by name."""
        found = [_described(one, source) for one, source in self._classes.values()]
        return sorted([*found, *self._broken], key=lambda one: one.name)

    def _add(self, one: Any, source: _Source, *, check: Callable[[Any, _Source], None] | None = None) -> None:
        """Take over a class, or note why it cannot be used."""
        try:
            _refuse_what_is_none(one, source)
            if check is not None:
                check(one, source)
        except PluginError as error:
            self._break(_name_of(one) or source.entry_point, source, str(error))
        except RAISED as error:
            told = f"A destination of {source} cannot be looked at: {describe_fault(error)}. {_WAY_OUT}"
            self._break(source.entry_point, source, told)
        else:
            self._take(one, source)

    def _take(self, one: DestinationClass, source: _Source) -> None:
        """Take a class; of two with one name nobody can say which a destination means, so neither is used."""
        name = one.name
        if name not in self._classes and name not in self._disputed:
            self._classes[name] = (one, source)
            return
        other = self._classes.pop(name, (None, source))[1]
        self._disputed.add(name)
        if other.package == source.package:
            text = f"Two destinations of {source} are named {name!r}. Give each class a name of its own"
        else:
            text = f"Two destinations are named {name!r}: of {other} and of {source}. Uninstall one of them"
        self._break(name, source, text)

    def _break(self, name: str, source: _Source, problem: str) -> None:
        package, version = source.package, source.version
        self._broken.append(
            Plugin(name=name, package=package, version=version, summary="", settings=(), options=(), problem=problem)
        )


def _name_of(one: Any) -> str | None:
    name = getattr(one, "name", None) if isinstance(one, type) else None
    return str(name) if isinstance(name, str) and name.strip() else None


def _described(one: DestinationClass, source: _Source) -> Plugin:
    return Plugin(
        name=one.name,
        package=source.package,
        version=source.version,
        summary=text_of(one.__doc__ or "").strip().split("\n")[0],
        settings=_keys(one.Settings),
        options=_keys(one.Options),
    )


def _refuse_what_is_none(one: Any, source: _Source) -> None:
    if not (isinstance(one, type) and issubclass(one, Destination)):
        raise PluginError(
            f"Plugin {source.entry_point!r} of {source} returned {describe_type(one)} from gateway_destinations(); "
            f"{_RETURNS}"
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


def _hold_to_contract(one: DestinationClass, source: _Source) -> None:
    if breaches := "; ".join(breaches_of(one)):
        raise PluginError(
            f"Destination {one.name!r} of {source} does not fit the plugin interface: {breaches}. {_WAY_OUT}"
        )


def _keys(model: type[Settings] | type[Options]) -> tuple[str, ...]:
    return tuple(info.alias or name for name, info in model.model_fields.items())


def load_registry() -> Registry:
    """Load every installed plugin; one that cannot be used stops no other, and is refused where it is used."""
    registry = Registry()
    asked: dict[int, str] = {}
    with telling_interrupts_apart():
        for name, sources in sorted(_entry_points(distributions()).items()):
            try:
                point, source = _only(name, sources)
                module = _imported(point, source)
                if (other := asked.setdefault(id(module), name)) != name:
                    raise PluginError(
                        f"Plugin {name!r} of {source} is the same module as the plugin {other!r}. Give a module one "
                        "entry point"
                    )
                named = _asked(_registered(module, name, source), name, source)
            except PluginError as error:
                registry._break(name, sources[0][1], str(error))
            else:
                for one in named:
                    registry._add(one, source, check=_hold_to_contract)
    return registry


def _entry_points(installed: Iterable[Distribution]) -> Mapping[str, list[tuple[EntryPoint, _Source]]]:
    found: dict[str, list[tuple[EntryPoint, _Source]]] = {}
    seen: set[str] = set()
    for distribution in installed:
        package = distribution.metadata["Name"]
        if package in seen:  # a second entry of the import path shows the same package again
            continue
        seen.add(package)
        for point in distribution.entry_points:
            if point.group == hook.PROJECT:
                found.setdefault(point.name, []).append((point, _Source(package, distribution.version, point.name)))
    return found


def _only(name: str, sources: list[tuple[EntryPoint, _Source]]) -> tuple[EntryPoint, _Source]:
    if len(sources) > 1:
        packages = " and ".join(str(source) for _, source in sources)
        raise PluginError(f"Two packages have a plugin named {name!r}: {packages}. Uninstall one of them")
    return sources[0]


def _imported(point: EntryPoint, source: _Source) -> Any:
    try:
        return point.load()
    except Interrupted:
        raise
    except RAISED as error:
        raise PluginError(
            f"Plugin {point.name!r} of {source} cannot be imported from {point.value}: {describe_fault(error)}. "
            f"{_WAY_OUT}"
        ) from error


def _registered(module: Any, name: str, source: _Source) -> pluggy.PluginManager:
    """Return a manager with this module alone: what is wrong with one touches no other."""
    manager = pluggy.PluginManager(hook.PROJECT)
    manager.add_hookspecs(hook)
    try:
        manager.register(module, name=name)
        manager.check_pending()
        implemented = bool(manager.get_hookcallers(module))
    except Interrupted:
        raise
    except pluggy.PluginValidationError as error:
        what = str(error).strip().splitlines()[-1].partition(" in plugin <")[0]
        raise PluginError(
            f"Plugin {name!r} of {source} does not fit the hook `gateway_destinations()`: {what}. {_WAY_OUT}"
        ) from None
    except RAISED as error:
        raise PluginError(
            f"Plugin {name!r} of {source} cannot be looked at: {describe_fault(error)}. {_WAY_OUT}"
        ) from error
    if not implemented:
        raise PluginError(f"Plugin {name!r} of {source} implements no hook: mark gateway_destinations with @hookimpl")
    return manager


def _asked(manager: pluggy.PluginManager, name: str, source: _Source) -> list[Any]:
    try:
        answers = manager.hook.gateway_destinations() or [None]
        answer = answers[0]
        if isinstance(answer, Iterable) and not isinstance(answer, str):
            return list(itertools.islice(answer, _MOST))
    except Interrupted:
        raise
    except RAISED as error:
        raise PluginError(
            f"Plugin {name!r} of {source} failed to name its destinations: {describe_fault(error)}. {_WAY_OUT}"
        ) from error
    kind = describe_type(answer)
    if inspect.iscoroutine(answer):
        answer.close()
        kind = "a coroutine, as it is an `async def`,"
    raise PluginError(f"Plugin {name!r} of {source} returned {kind} from gateway_destinations(); {_RETURNS}")
