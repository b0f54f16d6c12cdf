"""The kit for tests of destination plugins: options as the core makes them, deliveries, and a conformance suite."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from gateway.api import (
    API_VERSION,
    Context,
    Delivery,
    Destination,
    Event,
    Finding,
    Notification,
    Options,
    Record,
    RecordKind,
    Settings,
    Traits,
)
from gateway.destinations.context import make_context
from gateway.destinations.options import COMPILER, Resolved
from gateway.destinations.registry import Registry
from gateway.routing.load_destinations import refuse_reserved_names
from gateway.routing.render import pin, render, unpin, validate_rendered
from gateway.routing.scope import build_scope
from gateway.routing.templates import template_compiler

__all__ = [
    "DestinationConformance",
    "make_context",
    "make_delivery",
    "make_notification",
    "make_record",
    "rendered",
    "settings",
    "unrendered",
]

O = TypeVar("O", bound=Options)  # noqa: E741
S = TypeVar("S", bound=Settings)


def settings(kind: type[S], **values: Any) -> S:
    """Make the settings of a destination; texts count as looked-up references, so that secrets may be given."""
    return kind.model_validate({name: _resolved(value) for name, value in values.items()})


def _resolved(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _resolved(item) for name, item in value.items()}
    return Resolved(value) if isinstance(value, str) else value


def unrendered(kind: type[O], **values: Any) -> O:
    """Make options as they stand in the routes file, templates compiled; raises pydantic's ValidationError."""
    return kind.model_validate(values, context={COMPILER: template_compiler})


def rendered(
    kind: type[O], *, notification: Notification | None = None, record: Record | None = None, **values: Any
) -> O:
    """Make options as `Destination.deliver` gets them: compiled, rendered, kept and read back, validated.

    Raises:
        gateway.errors.TemplateError: a template cannot be evaluated, or its value does not fit.
    """
    notification = notification or make_notification()
    record = record or make_record()
    names = build_scope(
        notification=notification,
        webservice=None,
        route="test",
        record=record,
        submission=record if record.kind is RecordKind.SUBMISSION else None,
        dispatch=record if record.kind is RecordKind.DISPATCH else None,
    )
    return validate_rendered(kind, unpin(pin(render(unrendered(kind, **values).for_event(notification.event), names))))


def make_notification(event: Event = Event.CREATE, **values: Any) -> Notification:
    """Make a notification of the submission ``s1``."""
    given: dict[str, Any] = {
        "key": "n1",
        "webservice_id": "acme$$1$$Published$$2",
        "submission_key": "s1",
        "received": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    }
    return Notification(event=event, **(given | values))


def make_record(**fields: Any) -> Record:
    """Make the submission ``s1`` with these answers."""
    tables = {name: value for name, value in fields.items() if isinstance(value, list)}
    return Record(kind=RecordKind.SUBMISSION, key="s1", id="17", fields=fields, tables=tables, paths=fields)


def make_delivery(
    options: O,
    *,
    key: str = "delivery-1",
    number: int = 1,
    attempt: int = 1,
    seconds: float = 20.0,
    notification: Notification | None = None,
    record: Record | None = None,
) -> Delivery[O]:
    """Make a delivery of rendered options that has ``seconds`` until its deadline."""
    notification = notification or make_notification()
    return Delivery(
        options=options,
        key=key,
        number=number,
        attempt=attempt,
        deadline=datetime.now(UTC) + timedelta(seconds=seconds),
        event=notification.event,
        notification=notification,
        record=record or make_record(),
    )


class DestinationConformance:
    """What every destination must hold: subclass it in a test module and fill in the three class attributes."""

    destination: type[Destination[Any, Any]]
    settings: Mapping[str, Any]
    """Keys of a ``[destinations.NAME]`` that is right; nothing is connected to."""
    options: Mapping[str, Any]
    """Keys of a ``[[routes.deliver]]`` that is right."""

    def _instance(self) -> Destination[Any, Any]:
        made = settings(self.destination.Settings, **self.settings)
        context: Context = make_context("test")
        return self.destination(made, context)

    def test_it_is_registered_under_its_name(self) -> None:
        """The registry takes it, and none of its fields is named like a key of the core."""
        refuse_reserved_names(self.destination)
        assert Registry.of(self.destination).get(self.destination.name) is self.destination
        assert self.destination.api_version == API_VERSION

    def test_unknown_settings_and_options_are_refused(self) -> None:
        """A misspelt key is never ignored."""
        assert self.destination.Settings.model_config.get("extra") == "forbid"
        assert self.destination.Options.model_config.get("extra") == "forbid"

    def test_it_judges_unrendered_options(self) -> None:
        """Traits and review work before there is a record, and find nothing wrong with what is right."""
        options = unrendered(self.destination.Options, **self.options)
        instance = self._instance()
        assert isinstance(instance.traits(options), Traits)
        findings = list(instance.review(options))
        assert all(isinstance(one, Finding) for one in findings)
        assert [one for one in findings if one.error] == []

    async def test_it_shows_what_it_would_send(self) -> None:
        """The preview is text, needs no connection and shows no secret."""
        made = make_delivery(rendered(self.destination.Options, **self.options))
        shown = self._instance().preview(made)
        assert isinstance(shown, str)
        secrets = [value for value in _texts(self.settings) if value.startswith("secret")]
        assert not any(secret in shown for secret in secrets)

    async def test_it_closes_unopened_and_twice(self) -> None:
        """Closing never fails."""
        instance = self._instance()
        await instance.close()
        await instance.close()


def _texts(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in _texts(item)]
    return [value] if isinstance(value, str) else []
