"""Looking at the database without changing it, and showing what would be written."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.api import Event

COLUMNS = {"doforms_key": "{{ record.key }}", "site": "{{ record.fields.site }}"}
MIRROR = {"write": "mirror", "key": ["doforms_key"], "columns": COLUMNS}
CHILD = {
    "table": "findings",
    "rows": "record.tables.findings",
    "parent": {"inspection_key": "{{ record.key }}"},
    "columns": {"finding": "{{ row.finding }}"},
}


@pytest.fixture(autouse=True)
def tables(place: Any) -> None:
    place.run(
        f"CREATE TABLE inspections (id {place.serial}, doforms_key VARCHAR(40) UNIQUE, site TEXT, "
        "number BIGINT, delivery VARCHAR(40), day DATE NOT NULL DEFAULT CURRENT_DATE)",
        "CREATE TABLE findings (inspection_key VARCHAR(40), finding TEXT)",
    )


async def test_what_fits_is_left_alone(place: Any, database: Any, use: Any) -> None:
    uses = [
        use(**MIRROR, guard="number", on_delete={"set": {"site": None}}, children=[CHILD]),
        use(columns={"*": True}),
    ]
    assert await database.check(uses) == []
    assert place.rows("SELECT * FROM inspections") == []


@pytest.mark.parametrize(
    ("options", "where", "found"),
    [
        ({"table": "inspection"}, "table", "no table 'inspection' in the database; did you mean \"inspections\"?"),
        ({"columns": {"sites": 1}}, "columns.sites", "inspections has no column 'sites'; did you mean \"site\"?"),
        ({**MIRROR, "guard": "nr"}, "guard", "no column 'nr'"),
        ({**MIRROR, "guard": "delivery"}, "guard", "is to hold the number of a delivery"),
        ({"delivery_key": "deliver"}, "delivery_key", "no column 'deliver'; did you mean \"delivery\"?"),
        ({"delivery_key": "delivery"}, "delivery_key", "no unique index on delivery"),
        ({**MIRROR, "key": ["doforms_key", "site"]}, "key", "no unique index on doforms_key, site"),
        ({**MIRROR, "on_delete": {"set": {"gone": True}}}, "on_delete.set.gone", "no column 'gone'"),
        ({"children": [{**CHILD, "table": "finding"}]}, "children[0].table", 'did you mean "findings"?'),
        ({"children": [{**CHILD, "parent": {"key": 1}}]}, "children[0].parent.key", "findings has no column 'key'"),
        ({"children": [{**CHILD, "columns": {"nr": 1}}]}, "children[0].columns.nr", "findings has no column 'nr'"),
    ],
)
async def test_what_does_not_fit_is_found(
    options: dict[str, Any], where: str, found: str, database: Any, use: Any
) -> None:
    made = use(**{"columns": COLUMNS, **options})
    [finding] = await database.check([made])
    assert (finding.where, finding.use) == (where, made)
    assert found in finding.found
    assert finding.error


async def test_the_statement_for_a_missing_index_works(place: Any, database: Any, use: Any) -> None:
    made = use(columns=COLUMNS, delivery_key="delivery")
    [finding] = await database.check([made])
    place.run(finding.remedy.removeprefix("Run: "))
    assert await database.check([made]) == []


async def test_a_column_that_nobody_fills_is_a_warning(place: Any, database: Any, use: Any) -> None:
    place.run(
        "DROP TABLE findings", "CREATE TABLE findings (inspection_key VARCHAR(40), finding TEXT, nr INT NOT NULL)"
    )
    [finding] = await database.check([use(**MIRROR, children=[CHILD])])
    assert "findings.nr must not be null" in finding.found
    assert not finding.error


async def test_a_check_takes_no_write_lock(place: Any, database: Any, use: Any) -> None:
    with place.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO inspections (doforms_key) VALUES ('held')")
        assert await database.check([use(**MIRROR)]) == []


def test_a_preview_shows_rows_and_children(database: Any, delivery: Any) -> None:
    made = {**MIRROR, "children": [CHILD], "guard": "number", "delivery_key": "delivery"}
    findings = [{"finding": "rust"}, {"finding": "crack"}]
    assert database.preview(delivery({"site": "Dock 4", "findings": findings}, **made)).splitlines() == [
        "mirror inspections",
        '  where doforms_key = "s1"',
        '  set site = "Dock 4"',
        '  set delivery = "delivery-1"',
        "  guard number = 1",
        '2 rows of findings where inspection_key = "s1"',
        '  finding = "rust"',
        '  finding = "crack"',
    ]
    assert database.preview(delivery(event=Event.DELETE, **made)).splitlines() == [
        "delete from inspections",
        '  where doforms_key = "s1"',
        "  guard number = 1",
        'delete from findings where inspection_key = "s1"',
    ]
    made |= {"on_delete": {"set": {"site": None}}}
    assert database.preview(delivery(event=Event.DELETE, **made)).splitlines() == [
        "update inspections (mark as deleted)",
        "  set site = null",
        '  where doforms_key = "s1"',
        "  guard number = 1",
    ]
