"""Loading destinations: the core's keys apart from the plugin's settings, and the plugin's instance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.config.diagnostics import Entry, Problems, suggest
from gateway.config.loaded import DestinationEntry
from gateway.config.references import References, has_stand_in
from gateway.config.schema import DeliveryTable, DestinationTable
from gateway.config.store_url import passwords_in
from gateway.config.validate import keys_of, validate
from gateway.destinations.destination import Context, Destination
from gateway.destinations.faults import RAISED, describe_fault
from gateway.destinations.limited import JUDGED_WITHIN, within
from gateway.destinations.options import Settings
from gateway.errors import GatewayError, PluginError
from gateway.mistakes import Place
from gateway.models import Breaker, Retry

DestinationClass = type[Destination[Any, Any]]

_SPEAKING = (ValueError, RuntimeError, OSError, GatewayError)
"""What a plugin raises with a text for people; of anything else the type is told too."""


class Registry(Protocol):
    """What holds the destination classes of the installed plugins."""

    def get(self, name: str) -> DestinationClass | None:
        """Return the class that ``plugin = "name"`` means."""
        ...

    def names(self) -> list[str]:
        """Return all names."""
        ...

    def problem(self, name: str) -> str | None:
        """Tell why what is installed under a name, or might be, cannot be used."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedDestination:
    """A destination as far as it could be loaded."""

    plugin: DestinationClass | None = None
    """None if it is not known which plugin serves it."""
    instance: Destination[Any, Any] | None = None
    """None if its settings have problems, or it could not be built from values that were not looked up."""
    entry: DestinationEntry | None = None
    """None if any of that is missing, or the core's own keys have problems."""


def refuse_reserved_names(plugin: DestinationClass) -> None:
    """Refuse a plugin that has a setting or option named like a key of the core.

    Raises:
        PluginError: naming them.
    """
    clashes = [
        f"{kind}.{name}"
        for kind, model, core in (
            ("Settings", plugin.Settings, DestinationTable),
            ("Options", plugin.Options, DeliveryTable),
        )
        for name in sorted(keys_of(model).keys() & keys_of(core).keys())
    ]
    if clashes:
        raise PluginError(
            f"Plugin {plugin.name!r} ({plugin.__module__}.{plugin.__qualname__}) has fields named like keys of the "
            f"gateway: {', '.join(clashes)}. Rename them in the plugin."
        )


def load_destinations(
    entries: Mapping[str, Entry],
    registry: Registry,
    references: References,
    make_context: Callable[[str], Context],
    problems: Problems,
) -> dict[str, LoadedDestination]:
    """Return every declared destination, loaded as far as it goes."""
    return {name: _load(name, entry, registry, references, make_context, problems) for name, entry in entries.items()}


def _load(
    name: str,
    entry: Entry,
    registry: Registry,
    references: References,
    make_context: Callable[[str], Context],
    problems: Problems,
) -> LoadedDestination:
    table = references.resolve(entry)
    core_keys = keys_of(DestinationTable)
    core = validate(DestinationTable, entry, {key: value for key, value in table.items() if key in core_keys}, problems)
    plugin = _plugin(entry, table, registry, problems)
    if plugin is None:
        return LoadedDestination()
    settings = {key: value for key, value in table.items() if key not in core_keys}
    model = _settings(entry, plugin, settings, references, problems)
    if model is None:
        return LoadedDestination(plugin=plugin)
    instance = _instance(name, entry, plugin, model, make_context, problems, stand_in=has_stand_in(settings))
    if core is None or instance is None:
        return LoadedDestination(plugin=plugin, instance=instance)
    return LoadedDestination(plugin=plugin, instance=instance, entry=_entry(name, core, instance, model))


def _plugin(entry: Entry, table: Mapping[str, Any], registry: Registry, problems: Problems) -> DestinationClass | None:
    name = table.get("plugin")
    if not isinstance(name, str):
        return None
    plugin = registry.get(name)
    if plugin is not None:
        try:
            refuse_reserved_names(plugin)
        except PluginError as error:
            problems.add(
                entry, ("plugin",), str(error).rstrip("."), "Install another version of it, or tell its author"
            )
            return None
    if plugin is None:
        found = f'no installed plugin is named "{name}"'
        if (broken := registry.problem(name)) is not None:
            found += f", and of what is installed this cannot be used: {broken}"
        remedy = (
            f"{suggest(name, registry.names(), kind='plugin')}. Another needs its package installed beside the gateway"
        )
        problems.add(entry, ("plugin",), found, remedy)
        return None
    return plugin


def _settings(
    entry: Entry, plugin: DestinationClass, settings: dict[str, Any], references: References, problems: Problems
) -> Settings | None:
    own = keys_of(plugin.Settings)
    core_keys = keys_of(DestinationTable)
    option_keys = keys_of(plugin.Options)

    def misplaced(path: Place) -> tuple[str, str] | None:
        key = str(path[-1])
        if len(path) == 1 and key in option_keys:
            return f"`{key}` is no setting of {plugin.name}", "It belongs to a delivery: move it to [[routes.deliver]]"
        return None

    model = validate(
        plugin.Settings,
        entry,
        settings,
        problems,
        also=core_keys,
        misplaced=misplaced,
        forgiven=references.forgiven,
    )
    for path in passwords_in({key: value for key, value in settings.items() if key in own}):
        if not problems.has(entry, path):
            found = "there is a password inside the URL"
            problems.add(entry, path, found, "Give it by a setting of its own with a reference: env:NAME or file:/path")
    return model


def _instance(
    name: str,
    entry: Entry,
    plugin: DestinationClass,
    settings: Settings,
    make_context: Callable[[str], Context],
    problems: Problems,
    *,
    stand_in: bool,
) -> Destination[Any, Any] | None:
    try:
        return within(JUDGED_WITHIN, "__init__()", plugin, settings, make_context(name))
    except RAISED as error:  # whatever a plugin raises must not hide the other problems
        if not stand_in:
            told = str(error) if isinstance(error, _SPEAKING) and str(error) else describe_fault(error)
            found = f"plugin {plugin.name} cannot work with these settings: {told}"
            problems.add(entry, (), found, "Change the settings of this destination, or tell the author of the plugin")
        return None


def _entry(name: str, core: DestinationTable, instance: Destination[Any, Any], settings: Settings) -> DestinationEntry:
    return DestinationEntry(
        name=name,
        plugin=core.plugin,
        instance=instance,
        settings=settings,
        enabled=core.enabled,
        dry_run=core.dry_run,
        retry=core.retry.over(Retry()),
        timeout=core.timeout,
        rate=core.rate,
        concurrency=core.concurrency,
        batch=core.batch,
        breaker=Breaker(failures=core.breaker.failures, probe_after=core.breaker.probe_after),
        expected_latency=core.expected_latency,
    )
