"""Deliveries to write, and destinations that write them into real folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gateway_file import File
from gateway_file.options import FileOptions, FileSettings

from gateway.api import Delivery
from gateway.testing import make_context, make_delivery, make_notification, make_record
from gateway.testing import unrendered as compiled


class _Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def _keep(self, event: str, **values: Any) -> None:
        self.lines.append((event, values))

    debug = info = warning = error = _keep


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def folder(root: Path) -> Callable[..., File]:
    """Make the destination: ``folder()``, ``folder(root="memory://in")``."""

    def make(**settings: Any) -> File:
        context = make_context("folder")
        context.log = _Log()
        return File(FileSettings.model_validate({"root": str(root), **settings}), context)

    return make


@pytest.fixture
def delivery() -> Callable[..., Delivery[FileOptions]]:
    """Make a rendered delivery: ``delivery(filename="a.json", …)``."""

    def make(*, key: str = "delivery-1", seconds: float = 20.0, **options: Any) -> Delivery[FileOptions]:
        made = FileOptions.model_validate({"filename": "a.json", **options})
        record = make_record(site="Dock 4", risk=None)
        return make_delivery(
            made, key=key, seconds=seconds, notification=make_notification(webservice_id="w1"), record=record
        )

    return make


@pytest.fixture
def unrendered() -> Callable[..., FileOptions]:
    """Make options as they stand in the routes file."""

    def make(**options: Any) -> FileOptions:
        given = {"filename": "{{ record.key }}.json", **options}
        return compiled(FileOptions, **given)

    return make
