"""Deliveries to write, and destinations that write them into real folders."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from gateway_file import File
from gateway_file.options import FileOptions, FileSettings

from gateway.api import Delivery, Event, Notification, Record, RecordKind
from gateway.destinations.options import COMPILER, Unrendered


class _Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def _keep(self, event: str, **values: Any) -> None:
        self.lines.append((event, values))

    debug = info = warning = error = _keep


class _Context:
    name = "folder"

    def __init__(self) -> None:
        self.log: Any = _Log()

    def clock(self) -> datetime:
        return datetime.now(UTC)

    def http(self, **options: Any) -> Any:
        raise NotImplementedError

    async def in_thread(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, functools.partial(function, *args, **kwargs))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def folder(root: Path) -> Callable[..., File]:
    """Make the destination: ``folder()``, ``folder(root="memory://in")``."""

    def make(**settings: Any) -> File:
        return File(FileSettings.model_validate({"root": str(root), **settings}), _Context())

    return make


@pytest.fixture
def delivery() -> Callable[..., Delivery[FileOptions]]:
    """Make a rendered delivery: ``delivery(filename="a.json", …)``."""

    def make(*, key: str = "delivery-1", seconds: float = 20.0, **options: Any) -> Delivery[FileOptions]:
        return Delivery(
            options=FileOptions.model_validate({"filename": "a.json", **options}),
            key=key,
            number=1,
            attempt=1,
            deadline=datetime.now(UTC) + timedelta(seconds=seconds),
            event=Event.CREATE,
            notification=Notification(
                key="n1",
                webservice_id="w1",
                event=Event.CREATE,
                submission_key="s1",
                received=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            ),
            record=Record(kind=RecordKind.SUBMISSION, key="s1", id="17", fields={"site": "Dock 4", "risk": None}),
        )

    return make


class _Unrendered(Unrendered):
    def __init__(self, value: Any) -> None:
        self._value = value

    def peek(self) -> Any:
        def literal(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: literal(item) for key, item in value.items()}
            return ... if isinstance(value, str) and "{{" in value else value

        return literal(self._value)


@pytest.fixture
def unrendered() -> Callable[..., FileOptions]:
    """Make options as they stand in the routes file."""

    def make(**options: Any) -> FileOptions:
        given = {"filename": "{{ record.key }}.json", **options}
        return FileOptions.model_validate(given, context={COMPILER: lambda value, *rest: _Unrendered(value)})

    return make
