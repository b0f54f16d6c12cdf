"""The kit for tests of destination plugins: options as the core makes them, deliveries, and conformance suites."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent
from typing import Any, TypeVar

from pydantic import BaseModel

from gateway.api import (
    API_VERSION,
    Attachment,
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
from gateway.destinations.registry import Registry, load_registry
from gateway.routing.load import load
from gateway.routing.load_destinations import refuse_reserved_names
from gateway.routing.loaded import Routes
from gateway.routing.render import pin, render, unpin, validate_rendered
from gateway.routing.scope import build_scope
from gateway.routing.templates import template_compiler
from gateway.routing.validate import keys_of, models_in

__all__ = [
    "DestinationConformance",
    "ReadmeConformance",
    "load_example",
    "make_attachment",
    "make_context",
    "make_delivery",
    "make_notification",
    "make_record",
    "rendered",
    "settings",
    "toml_blocks",
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


def make_attachment(folder: Path, place: str = "photo", content: bytes = b"photo", **values: Any) -> Attachment:
    """Make an attachment whose file is in a folder; ``values`` are fields of `Attachment`."""
    path = folder / hashlib.sha256(place.encode()).hexdigest()
    path.write_bytes(content)
    given: dict[str, Any] = {
        "place": place,
        "key": f"key-{place}",
        "filename": f"{place.rpartition('.')[2]}.jpg",
        "content_type": "image/jpeg",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "path": path,
    }
    return Attachment(**(given | values))


def make_delivery(
    options: O,
    *,
    key: str = "delivery-1",
    number: int = 1,
    attempt: int = 1,
    seconds: float = 20.0,
    notification: Notification | None = None,
    record: Record | None = None,
    attachments: Sequence[Attachment] = (),
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
        attachments=tuple(attachments),
    )


def toml_blocks(page: Path) -> list[str]:
    """Return the TOML blocks of a Markdown page."""
    found = re.findall(r"^ *```toml\n(.*?)^ *```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [dedent(block) for block in found]


def load_example(text: str, *destinations: type[Destination[Any, Any]]) -> Routes:
    """Load a routes file from a page of documentation, as ``gateway check --no-secrets`` does.

    An example may leave out its web services: the forms that its routes name are then declared for it.
    ``destinations`` are those that it may use; left out: all that are installed.

    Raises:
        gateway.errors.RoutesFileError: the example is wrong.
    """
    tree = tomllib.loads(text)
    routes = tree.get("routes")
    asked = routes if isinstance(routes, list) and "webservices" not in tree else []
    registry = Registry.of(*destinations) if destinations else load_registry()
    with TemporaryDirectory() as folder:
        file = Path(folder) / "routes.toml"
        file.write_text("\n".join([text, *_webservices(asked)]), encoding="utf-8")
        return load(file, registry, make_context=make_context, environ={}, secrets=False)


def _webservices(routes: list[dict[str, Any]]) -> Iterator[str]:
    forms = dict.fromkeys(form for route in routes if isinstance(form := route.get("form"), str))
    for number, form in enumerate(forms):
        yield f'[webservices.example-{number}]\nid = "example$${number}"\nform = {json.dumps(form)}\n'


class ReadmeConformance:
    """What the README of a destination must hold: subclass it in a test module and fill in the class attributes."""

    destination: type[Destination[Any, Any]]
    readme: Path

    def test_each_example_can_be_loaded(self) -> None:
        """What is shown works when it is copied."""
        blocks = toml_blocks(self.readme)
        assert blocks, f"{self.readme} has no example"
        for block in blocks:
            load_example(block, self.destination)

    def test_each_setting_and_option_is_described(self) -> None:
        """Nothing that can be written into the routes file is missing from the page."""
        page = self.readme.read_text(encoding="utf-8")
        own = {key for model in (self.destination.Settings, self.destination.Options) for key in keys_of(model)}
        inner = {key for model in (self.destination.Settings, self.destination.Options) for key in _inner_keys(model)}
        missing = {key for key in own | inner if f"`{key}`" not in page}
        missing -= {key for key in inner - own if f"{key} = " in page}
        assert not missing, f"{self.readme} does not describe {', '.join(sorted(missing))}"


def _inner_keys(model: type[BaseModel]) -> Iterator[str]:
    for info in model.model_fields.values():
        for inner in models_in(info.annotation):
            yield from keys_of(inner)
            yield from _inner_keys(inner)


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
