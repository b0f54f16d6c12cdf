"""What is found out before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gateway_file import File
from gateway_file.options import FileOptions, FileSettings, revealed
from pydantic import SecretStr, ValidationError

from gateway.api import Delivery, Use

Folder = Callable[..., File]
Options = Callable[..., FileOptions]


def names(root: Path) -> list[str]:
    return [path.name for path in root.iterdir()]


def wheres(destination: File, options: FileOptions) -> list[str]:
    return [finding.where for finding in destination.review(options) if finding.error]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"columns": {"a": "{{ record.key }}"}},
        {"columns": {"a": "{{ row.a }}"}, "rows": "record.tables.findings"},
        {"format": "csv", "columns": {"a": 1}},
        {"format": "jsonl"},
        {"format": "text", "text": "{{ record.key }}", "exists": "skip"},
        {"filename": "latest.json"},
    ],
)
def test_options_that_fit_are_left_alone(options: dict[str, Any], folder: Folder, unrendered: Options) -> None:
    assert wheres(folder(), unrendered(**options)) == []


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"filename": "../a.json"}, "filename"),
        ({"filename": "/a.json"}, "filename"),
        ({"format": "text"}, "text"),
        ({"format": "text", "text": "x", "columns": {"a": 1}}, "columns"),
        ({"format": "text", "text": "x", "rows": "[]"}, "rows"),
        ({"text": "x"}, "text"),
        ({"rows": "record.tables.findings"}, "rows"),
        ({"format": "csv"}, "columns"),
        ({"format": "csv", "columns": {"a": 1}, "exists": "replace"}, "exists"),
        ({"format": "jsonl", "columns": {"a": 1, "delivery_key": 2}}, "columns.delivery_key"),
    ],
)
def test_options_that_do_not_fit_are_found(
    options: dict[str, Any], where: str, folder: Folder, unrendered: Options
) -> None:
    assert wheres(folder(), unrendered(**options)) == [where]


def test_adding_rows_below_a_url_is_found(folder: Folder, unrendered: Options) -> None:
    assert wheres(folder(root="memory://in"), unrendered(format="jsonl")) == ["format"]
    assert wheres(folder(root="memory://in"), unrendered()) == []


def test_one_name_for_every_delivery_is_a_warning(folder: Folder, unrendered: Options) -> None:
    [finding] = folder().review(unrendered(filename="latest.json"))
    assert (finding.where, finding.error) == ("filename", False)


def test_secrets_in_the_clear_are_refused_and_other_values_are_not() -> None:
    for credentials in ({"secret": "x"}, {"password": "x"}, {"client_kwargs": {"aws_session_token": "x"}}):
        with pytest.raises(ValidationError, match="stands in the file in the clear"):
            FileSettings.model_validate({"root": "s3://b", "credentials": credentials})
    given = {"key": SecretStr("id"), "anon": False, "token": "anon", "client_kwargs": {"region_name": "eu", "n": 1}}
    settings = FileSettings.model_validate({"root": "s3://b", "credentials": given})
    assert revealed(settings.credentials) == {**given, "key": "id"}
    assert "SecretStr('**" in repr(settings.credentials["key"])


def test_chained_urls_are_refused() -> None:
    with pytest.raises(ValidationError, match="chained"):
        FileSettings.model_validate({"root": "simplecache::s3://b"})


def test_a_root_may_be_written_as_a_url_of_this_machine() -> None:
    assert FileSettings.model_validate({"root": "file:///data"}).local
    assert FileSettings.model_validate({"root": "outbox"}).local
    assert not FileSettings.model_validate({"root": "memory://x"}).local


async def test_check_looks_at_the_root_and_changes_nothing(root: Path, folder: Folder) -> None:
    assert await folder().check([]) == []
    (root / "file").write_text("x")
    for path, found in ((root / "gone", "is not there"), (root / "file", "is no folder")):
        [finding] = await folder(root=str(path)).check([])
        assert (finding.where, finding.found) == ("root", f"{path} {found}")
    assert names(root) == ["file"]


async def test_check_compares_columns_with_the_file_and_with_each_other(
    root: Path, folder: Folder, unrendered: Options
) -> None:
    def use(route: str, filename: str, **columns: str) -> Use[FileOptions]:
        options = unrendered(format="csv", filename=filename, columns=columns)
        return Use(route=route, delivery="folder", options=options)

    (root / "old.csv").write_text("a,delivery_key\n")
    findings = await folder().check(
        [
            use("r1", "old.csv", a="1"),
            use("r2", "old.csv", b="1"),
            use("r3", "new.csv", a="1"),
            use("r4", "new.csv", b="1"),
        ]
    )
    found = [(finding.where, finding.use.route, finding.use.delivery) for finding in findings if finding.use]
    assert found == [("columns", "r2", "folder"), ("columns", "r4", "folder")]


def test_a_preview_shows_path_and_content(
    root: Path, folder: Folder, delivery: Callable[..., Delivery[FileOptions]]
) -> None:
    shown = folder().preview(delivery(filename="in/a.json", columns=[{"site": "Dock 4"}]))
    assert shown.startswith(f"{root}/in/a.json\n\n")
    assert '"site": "Dock 4"' in shown
    shown = folder().preview(delivery(filename="all.csv", format="csv", columns=[{"site": "Dock 4"}]))
    assert "site,delivery_key\nDock 4,delivery-1" in shown
    assert folder().preview(delivery(filename="../a")).startswith("would be rejected: filename")
    assert names(root) == []
