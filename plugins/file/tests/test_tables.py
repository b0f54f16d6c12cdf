"""The rows of a form's tables in one file, whatever shape the table has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_file.options import FileOptions

from gateway.testing import make_delivery, rendered
from tests.support.records import answer, decode, section

FOUND = [{"finding": "rust", "severity": 2}, {"finding": "crack", "severity": None}]
FIELDS = [[answer(name, value, "any") for name, value in row.items()] for row in FOUND]
COLUMNS = {"site": "{{ record.fields.site }}", "finding": "{{ row.finding }}", "severity": "{{ row.severity }}"}
LINES = "site,finding,severity,delivery_key\nDock,rust,2,delivery-1\nDock,crack,,delivery-1\n"


async def written(folder: Any, root: Path, *fields: Any, rows: str = "record.tables.findings") -> str | None:
    record = decode(answer("site", "Dock"), *fields)
    options = rendered(FileOptions, record=record, filename="all.csv", format="csv", rows=rows, columns=COLUMNS)
    await folder().deliver(make_delivery(options, record=record))
    file = root / "all.csv"
    return file.read_text() if file.exists() else None


@pytest.mark.parametrize(
    "table",
    [
        pytest.param({"name": "findings", "fields": FIELDS}, id="lists of fields"),
        pytest.param({"name": "findings", "fields": [{"fields": row} for row in FIELDS]}, id="holders of fields"),
        pytest.param({"name": "findings", "data": "table", "table": FOUND}, id="flattened"),
    ],
)
async def test_a_table_in_a_section_is_written_in_each_of_its_shapes(
    table: dict[str, Any], folder: Any, root: Path
) -> None:
    assert await written(folder, root, section("part", table)) == LINES


@pytest.mark.parametrize("fields", [[], [{"name": "findings", "fields": []}], [answer("findings", [], "table")]])
@pytest.mark.parametrize("rows", ["record.tables.findings", "record.fields.findings"])
async def test_a_table_that_is_empty_or_not_there_writes_nothing(
    fields: list[Any], rows: str, folder: Any, root: Path
) -> None:
    assert await written(folder, root, *fields, rows=rows) in (None, "")


async def test_tables_in_the_rows_of_a_table_are_written_together(folder: Any, root: Path) -> None:
    parts = [[{"name": "findings", "fields": [row]}] for row in FIELDS]
    rows = "record.tables.parts | map(attribute='findings')"
    assert await written(folder, root, {"name": "parts", "fields": parts}, rows=rows) == LINES


async def test_one_object_in_place_of_a_table_is_one_row(folder: Any, root: Path) -> None:
    one = await written(folder, root, answer("findings", FOUND[0], "any"), rows="record.fields.findings")
    assert one == "site,finding,severity,delivery_key\nDock,rust,2,delivery-1\n"
