"""The rows that belong to the row of a delivery."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.api import Event, Rejected
from tests.support.records import answer, decode, section

FOUND = [{"position": 1, "finding": "rust"}, {"position": 2, "finding": "crack"}]
CHILD = {
    "table": "findings",
    "rows": "record.tables.findings",
    "parent": {"inspection_key": "{{ record.key }}"},
    "columns": {"position": "{{ row.position }}", "finding": "{{ row.finding }}"},
}
COLUMNS = {"doforms_key": "{{ record.key }}"}
MIRROR = {"write": "mirror", "key": ["doforms_key"], "columns": COLUMNS, "children": [CHILD]}
ALL = "SELECT inspection_key, position, finding FROM findings ORDER BY inspection_key, position"
TWO = [("s1", 1, "rust"), ("s1", 2, "crack")]
OTHER = ("s2", 1, "of another")


@pytest.fixture(autouse=True)
def tables(place: Any) -> None:
    reference = "" if place.kind == "sqlite" else " REFERENCES inspections (doforms_key)"
    place.run(
        "CREATE TABLE inspections (doforms_key VARCHAR(40) PRIMARY KEY, number BIGINT, deleted BOOLEAN)",
        f"CREATE TABLE findings (inspection_key VARCHAR(40){reference}, position INTEGER, finding TEXT NOT NULL)",
        "INSERT INTO inspections (doforms_key) VALUES ('s2')",
        "INSERT INTO findings VALUES ('s2', 1, 'of another')",
    )


async def test_insert_adds_children_and_a_repeat_adds_none(place: Any, database: Any, delivery: Any) -> None:
    place.run(
        "ALTER TABLE inspections ADD COLUMN delivery VARCHAR(40)", "CREATE UNIQUE INDEX d ON inspections (delivery)"
    )
    made = delivery({"findings": FOUND}, columns=COLUMNS, delivery_key="delivery", children=[CHILD])
    for _ in range(2):
        await database.deliver(made)
        assert place.rows(ALL) == [*TWO, OTHER]


async def test_mirror_replaces_children_and_deletes_them_first(place: Any, database: Any, delivery: Any) -> None:
    await database.deliver(delivery({"findings": FOUND}, **MIRROR))
    assert place.rows(ALL) == [*TWO, OTHER]
    await database.deliver(delivery({"findings": FOUND[:1]}, event=Event.UPDATE, **MIRROR))
    assert place.rows(ALL) == [TWO[0], OTHER]
    await database.deliver(delivery(event=Event.DELETE, **MIRROR))
    assert place.rows(ALL) == [OTHER]
    assert place.rows("SELECT doforms_key FROM inspections") == [("s2",)]


async def test_no_rows_leave_no_children(place: Any, database: Any, delivery: Any) -> None:
    await database.deliver(delivery({"findings": FOUND}, **MIRROR))
    await database.deliver(delivery({"findings": []}, **MIRROR))
    assert place.rows(ALL) == [OTHER]


async def test_a_row_that_the_guard_leaves_keeps_its_children(place: Any, database: Any, delivery: Any) -> None:
    options = {**MIRROR, "guard": "number", "on_delete": {"set": {"deleted": True}}}
    await database.deliver(delivery({"findings": FOUND}, number=5, **options))
    await database.deliver(delivery({"findings": []}, number=4, **options))
    assert place.rows(ALL) == [*TWO, OTHER]
    await database.deliver(delivery(event=Event.DELETE, number=6, **options))
    assert place.rows(ALL) == [*TWO, OTHER]
    delete = {"write": "delete", "key": ["doforms_key"], "columns": COLUMNS, "children": [CHILD], "guard": "number"}
    await database.deliver(delivery(number=5, **delete))
    assert place.rows(ALL) == [*TWO, OTHER]
    await database.deliver(delivery(number=7, **delete))
    assert place.rows(ALL) == [OTHER]


@pytest.mark.parametrize("write", ["insert", "upsert", "update", "delete", "mirror"])
async def test_a_null_in_a_parent_is_rejected_and_writes_nothing(
    write: str, place: Any, database: Any, delivery: Any
) -> None:
    child = {**CHILD, "parent": {"inspection_key": "{{ record.fields.missing }}"}}
    options: dict[str, Any] = {"write": write, "columns": COLUMNS, "children": [child]}
    if write != "insert":
        options["key"] = ["doforms_key"]
    with pytest.raises(Rejected, match="parent column of findings would be null"):
        await database.deliver(delivery({"findings": FOUND, "missing": None}, **options))
    assert place.rows("SELECT doforms_key FROM inspections") == [("s2",)]


async def test_a_child_that_is_refused_takes_the_row_with_it(place: Any, database: Any, delivery: Any) -> None:
    with pytest.raises(Rejected, match="refused the row"):
        await database.deliver(delivery({"findings": [*FOUND, {"position": 3, "finding": None}]}, **MIRROR))
    assert place.rows("SELECT doforms_key FROM inspections") == [("s2",)]
    assert place.rows(ALL) == [OTHER]


def shapes() -> list[Any]:
    fields = [[answer(name, value, "any") for name, value in row.items()] for row in FOUND]
    return [
        pytest.param({"name": "findings", "fields": fields}, id="lists of fields"),
        pytest.param({"name": "findings", "fields": [{"fields": row} for row in fields]}, id="holders of fields"),
        pytest.param({"name": "findings", "data": "table", "table": FOUND}, id="flattened"),
    ]


@pytest.mark.parametrize("table", shapes())
async def test_a_table_in_a_section_is_written_in_each_of_its_shapes(
    table: dict[str, Any], place: Any, database: Any, delivery: Any
) -> None:
    await database.deliver(delivery(record=decode(section("part", section("inner", table))), **MIRROR))
    assert place.rows(ALL) == [*TWO, OTHER]


@pytest.mark.parametrize(
    "field", [[], [{"name": "findings", "fields": []}], [{"name": "findings", "data": "table", "table": []}]]
)
@pytest.mark.parametrize("rows", ["record.tables.findings", "record.fields.findings"])
async def test_a_table_that_is_empty_or_not_there_takes_the_rows_away(
    field: list[Any], rows: str, place: Any, database: Any, delivery: Any
) -> None:
    options = {**MIRROR, "children": [{**CHILD, "rows": rows}]}
    await database.deliver(delivery({"findings": FOUND}, **options))
    await database.deliver(delivery(record=decode(*field), **options))
    assert place.rows("SELECT doforms_key FROM inspections ORDER BY 1") == [("s1",), ("s2",)]
    assert place.rows(ALL) == [OTHER]


async def test_tables_in_the_rows_of_a_table_are_written_one_after_the_other(
    place: Any, database: Any, delivery: Any
) -> None:
    def part(*found: dict[str, Any]) -> list[Any]:
        return [{"name": "findings", "fields": [[answer(*pair, "any") for pair in row.items()] for row in found]}]

    record = decode({"name": "parts", "fields": [part(FOUND[0]), [answer("note", "none")], part(FOUND[1])]})
    child = {**CHILD, "rows": "record.tables.parts | map(attribute='findings')"}
    await database.deliver(delivery(record=record, **{**MIRROR, "children": [child]}))
    assert place.rows(ALL) == [*TWO, OTHER]
