"""The kit for tests of destination plugins: options as the core makes them, deliveries, and conformance suites."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, SecretStr

from gateway.api import (
    Attachment,
    Context,
    Delivery,
    Destination,
    Event,
    Notification,
    Options,
    Record,
    RecordKind,
    Settings,
)
from gateway.config.load import load
from gateway.config.load_destinations import refuse_reserved_names
from gateway.config.loaded import Routes
from gateway.config.validate import keys_of, models_in
from gateway.destinations.context import DestinationContext
from gateway.destinations.contract import breaches_of, judged
from gateway.destinations.faults import preview_of
from gateway.destinations.options import COMPILER, Resolved
from gateway.destinations.registry import Registry, load_registry
from gateway.http import build_client, ends_within
from gateway.templates.render import pin, render, unpin, validate_rendered
from gateway.templates.scope import build_scope
from gateway.templates.template import template_compiler

__all__ = [
    "DestinationConformance",
    "ReadmeConformance",
    "ends_within",
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
    if isinstance(value, list | tuple):
        return [_resolved(item) for item in value]
    return Resolved(value) if isinstance(value, str) else value


def make_context(name: str, *, transport: httpx.AsyncBaseTransport | None = None) -> Context:
    """Make the context of the destination with this name in the routes file.

    With a ``transport``, such as `httpx.MockTransport`, the clients of `Context.http` send through it.
    """
    return DestinationContext(name) if transport is None else _Faked(name, transport)


class _Faked(DestinationContext):
    """A context whose HTTP clients speak with a fake."""

    def __init__(self, name: str, transport: httpx.AsyncBaseTransport) -> None:
        super().__init__(name)
        self._transport = transport

    def http(self, **options: Any) -> httpx.AsyncClient:
        """Build an HTTP client; see `gateway.http.build_client`."""
        return build_client(**{"transport": self._transport, **options})


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
    """Make the submission ``s1`` with these answers: a list of dicts is a table, a float a Decimal as in real ones."""
    answers = {name: _answer(value) for name, value in fields.items()}
    tables = {name: value for name, value in answers.items() if _is_table(value)}
    return Record(kind=RecordKind.SUBMISSION, key="s1", id="17", fields=answers, tables=tables, paths=answers)


def _answer(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _answer(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_answer(item) for item in value]
    return Decimal(str(value)) if isinstance(value, float) else value


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(row, Mapping) for row in value)


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
    questions: Iterable[str] = (),
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
        questions=frozenset(questions),
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
        models = (self.destination.Settings, self.destination.Options)
        own = {key for model in models for key in keys_of(model)}
        inner = {key for model in models for one in _models(model) for key in keys_of(one)}
        missing = {key for key in own | inner if f"`{key}`" not in page}
        missing -= {key for key in inner - own if f"{key} = " in page}
        assert not missing, f"{self.readme} does not describe {', '.join(sorted(missing))}"


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
        """The registry takes it, its methods fit, and none of its fields is named like a key of the core."""
        refuse_reserved_names(self.destination)
        breaches = "; ".join(breaches_of(self.destination))
        assert not breaches, breaches
        assert Registry.of(self.destination).get(self.destination.name) is self.destination

    def test_unknown_settings_and_options_are_refused(self) -> None:
        """A misspelt key is never ignored, nor is one in an inner table."""
        for model in (self.destination.Settings, self.destination.Options):
            careless = [one.__qualname__ for one in _models(model) if one.model_config.get("extra") != "forbid"]
            assert not careless, f'give model_config = ConfigDict(extra="forbid") to {", ".join(careless)}'

    def test_it_judges_unrendered_options(self) -> None:
        """Traits and review work before there is a record, and find nothing wrong with what is right."""
        _, findings = judged(self._instance(), unrendered(self.destination.Options, **self.options))
        wrong = "; ".join(f"{one.where}: {one.found}" for one in findings if one.error)
        assert not wrong, f"the options of this test are wrong by the review: {wrong}"

    async def test_it_shows_what_it_would_send(self) -> None:
        """The preview is text, needs no connection and shows no secret."""
        made = make_delivery(rendered(self.destination.Options, **self.options))
        shown = preview_of(self._instance(), made)
        secrets = _secrets(settings(self.destination.Settings, **self.settings))
        assert not any(secret in shown for secret in secrets), f"the preview shows a secret: {shown}"

    async def test_it_closes_unopened_and_twice(self) -> None:
        """Closing never fails."""
        instance = self._instance()
        await instance.close()
        await instance.close()


def _models(model: type[BaseModel], *around: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for info in model.model_fields.values():
        for inner in models_in(info.annotation):
            if inner not in (model, *around):
                yield from _models(inner, model, *around)


def _secrets(value: Any) -> list[str]:
    """Return what stands in the secret fields of settings, however deep."""
    if isinstance(value, SecretStr):
        return [secret] if (secret := value.get_secret_value()) else []
    if isinstance(value, BaseModel):
        value = dict(value)
    if isinstance(value, Mapping):
        value = list(value.values())
    return [secret for item in value for secret in _secrets(item)] if isinstance(value, list | tuple) else []
