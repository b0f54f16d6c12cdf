"""Loading routes and their deliveries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.config.diagnostics import Entry, Problems, suggest
from gateway.config.lint import (
    ROUTE_ONLY,
    find_fitting_nothing,
    find_swallowed,
    fits_any,
    misplaced_in,
    misplaced_in_delivery,
)
from gateway.config.load_accounts import Declared
from gateway.config.load_destinations import DestinationClass, LoadedDestination
from gateway.config.loaded import DeliverySpec, DestinationEntry, Route
from gateway.config.merge import Whole, with_shared
from gateway.config.schema import DeliveryTable, RouteTable
from gateway.config.validate import Misplaced, keys_of, validate
from gateway.destinations.contract import judged
from gateway.destinations.destination import Destination, Finding, Traits
from gateway.destinations.faults import RAISED, describe_fault
from gateway.destinations.limited import JUDGED_WITHIN, within
from gateway.destinations.options import COMPILER, Options, Unrendered
from gateway.errors import TemplateError
from gateway.mistakes import Place
from gateway.templates.template import compile_expression, mentions, template_compiler, told

CORE_KEYS = frozenset(keys_of(DeliveryTable))
FETCHED = frozenset({"record", "submission", "dispatch"})
"""Names in templates that stand for something to fetch."""
ATTACHMENTS = "attachments"


@dataclass
class RouteLoader:
    """Loads the routes of a file; keeps what each of them is checked against."""

    whole: Whole
    destinations: Mapping[str, LoadedDestination]
    declared: Iterable[Declared]
    problems: Problems
    names: dict[str, Entry] = field(default_factory=dict)

    def load(self) -> tuple[Route, ...]:
        """Return the enabled routes."""
        loaded = (self._route(entry) for entry in self.whole.routes)
        return tuple(route for route in loaded if route is not None)

    def _route(self, plain: Entry) -> Route | None:
        entry = with_shared(plain, self.whole.named["shared"], self.problems)
        core = validate(RouteTable, entry, entry.table, self.problems, misplaced=misplaced_in("[[routes]]", RouteTable))
        self._check_name(entry)
        when = self._expression(entry)
        name = entry.table.get("name")
        delivers = entry.table.get("deliver")
        specs: list[DeliverySpec | None] = []
        used: set[str] = set()
        for index, table in enumerate(delivers if isinstance(delivers, list) else ()):
            if isinstance(table, dict):
                inner = replace(
                    entry,
                    where=f"{entry.where}.deliver[{index}]",
                    order=(*entry.order, entry.position(("deliver",)), index),
                    table=table,
                    shared={},
                )
                specs.append(self._delivery(inner, str(name), when, used))
        self._check_patterns(entry)
        if core is None or not core.enabled:
            return None
        return Route(
            name=core.name,
            accounts=core.account or (),
            forms=core.form or (),
            projects=core.project or (),
            events=core.events,
            when=when,
            mode=core.mode,
            expected_latency=core.expected_latency,
            deliveries=tuple(spec for spec in specs if spec is not None),
        )

    def _check_name(self, entry: Entry) -> None:
        name = entry.table.get("name")
        if not isinstance(name, str):
            return
        other = self.names.setdefault(name, entry)
        if other is not entry:
            where = "twice" if other.file == entry.file else f"twice: in {other.file} and in {entry.file}"
            found = f'a route named "{name}" is defined {where}'
            self.problems.add(entry, ("name",), found, "Give each route a name of its own")

    def _check_patterns(self, entry: Entry) -> None:
        asked = {kind: _patterns(entry.table.get(kind)) for kind in ("form", "project", "account")}
        every = [
            find_fitting_nothing(
                entry, kind, patterns or (), (getattr(each, kind) for each in self.declared), self.problems
            )
            for kind, patterns in asked.items()
        ]
        together = any(
            all(patterns is None or fits_any(patterns, getattr(each, kind)) for kind, patterns in asked.items())
            for each in self.declared
        )
        if all(every) and any(asked.values()) and not together:
            kinds = " and ".join(kind for kind, patterns in asked.items() if patterns)
            found = f"no declared web service has this {kinds} together"
            self.problems.add(entry, (), found, "Compare with the [webservices] tables, or leave one of them out")

    def _expression(self, entry: Entry) -> Unrendered | None:
        text = entry.table.get("when")
        if not isinstance(text, str) or not text.strip():
            return None  # absent, or told by the table's own validation
        try:
            return compile_expression(text)
        except TemplateError as error:
            remedy = "Write a bare expression without braces, such as record.fields.risk == 'High'"
            self.problems.add(entry, ("when",), *told(error, remedy))
            return None

    def _delivery(self, plain: Entry, route: str, route_when: Unrendered | None, used: set[str]) -> DeliverySpec | None:
        entry = with_shared(plain, self.whole.named["shared"], self.problems)
        destination = self._destination(entry)
        own = keys_of(destination.plugin.Options) if destination.plugin else {}
        judge = misplaced_in_delivery(entry.table, own)
        core_table = {key: value for key, value in entry.table.items() if key in CORE_KEYS}
        core = validate(DeliveryTable, entry, core_table, self.problems, misplaced=judge)
        self._check_delivery_name(entry, used)
        when = self._expression(entry)
        options = self._options(entry, destination.plugin, judge)
        traits = self._traits(entry, destination.instance, options)
        if (
            core is not None
            and not core.attachments
            and (wants := _wants_attachments(options, traits, when, route_when))
        ):
            remedy = 'Write attachments = true, or "required", into the delivery'
            self.problems.add(entry, ("attachments",), f"{wants} attachments, which are not asked for", remedy)
        if core is None or options is None or traits is None or destination.entry is None or not core.enabled:
            return None
        spec = _spec(route, core, destination.entry, options, traits, when, route_when)
        return replace(spec, file=entry.file, where=entry.where)

    def _check_delivery_name(self, entry: Entry, used: set[str]) -> None:
        name = entry.table.get("name", entry.table.get("to"))
        if not isinstance(name, str):
            return
        if name in used:
            found = f'another delivery of this route is also named "{name}"'
            remedy = "Give it a `name` of its own; left out, it is that of the destination"
            self.problems.add(entry, ("name",), found, remedy)
        used.add(name)

    def _destination(self, entry: Entry) -> LoadedDestination:
        name = entry.table.get("to")
        if not isinstance(name, str) or not name.strip():
            return LoadedDestination()
        destination = self.destinations.get(name)
        if destination is None:
            found = f'there is no destination "{name}"'
            self.problems.add(entry, ("to",), found, suggest(name, self.destinations, kind="destination"))
            return LoadedDestination()
        return destination

    def _options(self, entry: Entry, plugin: DestinationClass | None, judge: Misplaced) -> Options | None:
        table = {key: value for key, value in entry.table.items() if key not in CORE_KEYS}
        if plugin is None:
            for key in table.keys() & (ROUTE_ONLY - {"form"}):  # `form` may be an option of the unknown plugin
                self.problems.add(entry, (key,), *(judge((key,)) or ("", "")))
            return None
        find_swallowed(entry, plugin.Options, self.problems)
        context = {COMPILER: template_compiler}
        return validate(plugin.Options, entry, table, self.problems, context=context, also=CORE_KEYS, misplaced=judge)

    def _traits(self, entry: Entry, instance: Destination[Any, Any] | None, options: Options | None) -> Traits | None:
        """Ask the plugin what it makes of the options; its findings become problems."""
        if instance is None or options is None or entry.incomplete:
            return None
        try:
            traits, findings = within(JUDGED_WITHIN, "traits() and review()", judged, instance, options)
        except RAISED as error:  # whatever a plugin raises must not hide the other problems
            found = f"plugin {instance.name} failed over these options: {describe_fault(error)}"
            self.problems.add(entry, (), found, "Change the options, or tell the author of the plugin")
            return None
        for finding in findings:
            if finding.error:
                self.problems.add(entry, _place(finding), finding.found.rstrip("."), finding.remedy)
        return traits


def _wants_attachments(options: Options | None, traits: Traits | None, *conditions: Unrendered | None) -> str | None:
    """Say what in a delivery reads the attachments, if anything does."""
    if traits is not None and ATTACHMENTS in traits.needs:
        return "its options send"
    if any(ATTACHMENTS in mentions(condition) for condition in conditions):
        return "its `when` reads"
    return "its templates read" if ATTACHMENTS in mentions(options) else None


def _patterns(value: Any) -> list[str] | None:
    """Return the patterns as far as they are right; None if there are none."""
    listed = value if isinstance(value, list) else [value]
    return [pattern for pattern in listed if isinstance(pattern, str) and pattern.strip()] or None


def _place(finding: Finding) -> Place:
    """Read what a finding calls ``children[0].columns``."""
    pieces = re.findall(r"([^.\[\]]+)|\[(\d+)\]", finding.where)
    return tuple(int(index) if index else key for key, index in pieces)


def _spec(
    route: str,
    core: DeliveryTable,
    destination: DestinationEntry,
    options: Options,
    traits: Traits,
    when: Unrendered | None,
    route_when: Unrendered | None,
) -> DeliverySpec:
    declared = destination.expected_latency
    return DeliverySpec(
        route=route,
        name=core.name or core.to,
        destination=core.to,
        options=options,
        traits=traits,
        when=when,
        required=core.required,
        order=core.order,
        on_doubt=core.on_doubt,
        retry=core.retry.over(destination.retry),
        timeout=core.timeout or destination.timeout,
        dry_run=core.dry_run or destination.dry_run,
        attachments=core.attachments is not False,
        attachments_required=core.attachments == "required",
        needs=((traits.needs | mentions(options) | mentions(when) | mentions(route_when)) & FETCHED)
        | (frozenset({"record"}) if core.attachments else frozenset()),
        expected_latency=traits.expected_latency if declared is None else declared,
    )
