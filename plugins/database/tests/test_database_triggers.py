"""Rows that the database takes without keeping them where they were sent: triggers, rules and views."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.api import Event, Receipt, Rejected
from gateway.testing import make_record

COLUMNS = {"doforms_key": "{{ record.fields.id }}", "site": "{{ record.fields.site }}"}
CHILD = {
    "table": "findings",
    "rows": "record.fields.findings",
    "parent": {"inspection_key": "{{ record.fields.id }}"},
    "columns": {"finding": "{{ row.finding }}"},
}
NOT_TAKEN = "the database took no row"

pytestmark = pytest.mark.parametrize("place", ["postgresql", "sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def tables(place: Any) -> None:
    place.run(
        f"CREATE TABLE inspections (id {place.serial}, doforms_key VARCHAR(40) UNIQUE, site TEXT, number BIGINT, "
        "delivery VARCHAR(40) UNIQUE)",
        "CREATE TABLE elsewhere (doforms_key VARCHAR(40), site TEXT)",
        "CREATE TABLE findings (inspection_key VARCHAR(40), finding TEXT)",
    )


def divert(place: Any, event: str, table: str = "inspections", when: str = "site = 'away'") -> None:
    """Have rows go elsewhere, or nowhere."""
    row = "OLD" if event == "DELETE" else "NEW"
    if place.kind == "sqlite":
        into = f"INSERT INTO elsewhere VALUES ({row}.doforms_key, {row}.site);" if table == "inspections" else ""
        place.run(
            f"CREATE TRIGGER divert_{event}_{table} BEFORE {event} ON {table} WHEN {row}.{when} "
            f"BEGIN {into} SELECT RAISE(IGNORE); END"
        )
        return
    into = f"INSERT INTO forms.elsewhere VALUES ({row}.doforms_key, {row}.site);" if table == "inspections" else ""
    place.run(
        f"CREATE FUNCTION divert_{event}_{table}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {into} RETURN NULL; END $$",
        f"CREATE TRIGGER divert BEFORE {event} ON {table} FOR EACH ROW WHEN ({row}.{when}) "
        f"EXECUTE FUNCTION divert_{event}_{table}()",
    )


def made(delivery: Any, *sites: str, event: Event = Event.CREATE, **options: Any) -> list[Any]:
    return [
        delivery(
            record=make_record(id=f"s{number}", site=site, findings=[{"finding": "rust"}]),
            unique=f"d{number}",
            event=event,
            **{"columns": COLUMNS, **options},
        )
        for number, site in enumerate(sites)
    ]


KEYED = {"key": ["doforms_key"]}
WAYS: list[dict[str, Any]] = [
    {"write": "insert"},
    {"write": "insert", "delivery_key": "delivery"},
    {"write": "upsert", **KEYED},
    {"write": "mirror", **KEYED},
    {"write": "mirror", "guard": "number", "on_delete": {"set": {"site": "gone"}}, **KEYED},
]


@pytest.mark.parametrize("options", WAYS, ids=repr)
async def test_row_that_a_trigger_puts_elsewhere_is_not_called_older(
    options: dict[str, Any], place: Any, database: Any, delivery: Any
) -> None:
    divert(place, "INSERT")
    results = await database.deliver_many(made(delivery, "away", **options))
    assert isinstance(results[0], Receipt)
    assert results[0].summary.startswith(NOT_TAKEN)
    assert results[0].details["rows"] == 0
    assert place.rows("SELECT * FROM elsewhere") == [("s0", "away")]


@pytest.mark.parametrize("options", WAYS, ids=repr)
async def test_receipts_of_a_batch_tell_which_row_was_not_taken(
    options: dict[str, Any], place: Any, database: Any, delivery: Any
) -> None:
    divert(place, "INSERT")
    results = await database.deliver_many(made(delivery, "here", "away", "there", **options))
    assert [one.summary.startswith(NOT_TAKEN) for one in results] == [False, True, False]
    assert [one.details["rows"] for one in results] == [1, 0, 1]
    assert place.rows("SELECT site FROM inspections ORDER BY doforms_key") == [("here",), ("there",)]
    assert place.rows("SELECT * FROM elsewhere") == [("s1", "away")]


@pytest.mark.parametrize("options", WAYS, ids=repr)
async def test_rows_that_belong_to_a_row_elsewhere_are_not_lost(
    options: dict[str, Any], place: Any, database: Any, delivery: Any
) -> None:
    divert(place, "INSERT")
    await database.deliver_many(made(delivery, "away", children=[CHILD], **options))
    assert place.rows("SELECT * FROM findings") == [("s0", "rust")]


@pytest.mark.parametrize("write", ["update", "upsert", "mirror"])
@pytest.mark.parametrize("guard", [{}, {"guard": "number"}])
async def test_update_that_a_trigger_drops_is_told(
    write: str, guard: dict[str, str], place: Any, database: Any, delivery: Any
) -> None:
    place.run("INSERT INTO inspections (doforms_key, site) VALUES ('s0', 'here')")
    divert(place, "UPDATE")
    more = {**guard, **({"on_delete": {"set": {"site": "gone"}}} if guard and write == "mirror" else {})}
    [result] = await database.deliver_many(made(delivery, "away", write=write, **KEYED, **more))
    assert result.summary.startswith(NOT_TAKEN)
    assert place.rows("SELECT site FROM inspections") == [("here",)]


async def test_newer_row_is_still_called_older(place: Any, database: Any, delivery: Any) -> None:
    place.run("INSERT INTO inspections (doforms_key, site, number) VALUES ('s0', 'new', 9)")
    for write, more in (("upsert", {}), ("update", {}), ("mirror", {"on_delete": {"set": {"site": "gone"}}})):
        for event in (Event.UPDATE, Event.DELETE):
            options = {"write": write, "guard": "number", **KEYED, **more}
            [result] = await database.deliver_many(made(delivery, "old", event=event, **options))
            assert result.summary.startswith("older, left"), (write, event)
    assert place.rows("SELECT site FROM inspections") == [("new",)]


async def test_repeat_is_still_delivered_before(place: Any, database: Any, delivery: Any) -> None:
    divert(place, "INSERT")
    options = {"write": "insert", "delivery_key": "delivery"}
    await database.deliver_many(made(delivery, "here", "away", **options))
    results = await database.deliver_many(made(delivery, "here", "away", **options))
    assert [one.summary[:16] for one in results] == ["delivered before", NOT_TAKEN[:16]]


async def test_delete_that_a_trigger_drops_is_told(place: Any, database: Any, delivery: Any) -> None:
    place.run("INSERT INTO inspections (doforms_key, site) VALUES ('s0', 'away')")
    divert(place, "DELETE")
    for write in ("delete", "mirror"):
        [result] = await database.deliver_many(made(delivery, "x", event=Event.DELETE, write=write, **KEYED))
        assert result.summary.startswith("the database left the row")
        assert result.details["rows"] == 0


async def test_mark_that_a_trigger_drops_is_told(place: Any, database: Any, delivery: Any) -> None:
    place.run("INSERT INTO inspections (doforms_key, site) VALUES ('s0', 'here')")
    divert(place, "UPDATE")
    options = {"write": "mirror", "on_delete": {"set": {"site": "away"}}, **KEYED}
    [result] = await database.deliver_many(made(delivery, "x", event=Event.DELETE, **options))
    assert result.summary.startswith(NOT_TAKEN)


async def test_rows_of_a_table_that_are_not_taken_are_counted(place: Any, database: Any, delivery: Any) -> None:
    divert(place, "INSERT", "findings", "finding = 'rust'")
    record = make_record(id="s0", site="x", findings=[{"finding": one} for one in ("rust", "crack", "rust")])
    receipt = await database.deliver(
        delivery(record=record, write="mirror", columns=COLUMNS, children=[CHILD], **KEYED)
    )
    assert receipt.summary.endswith("took 2 not, as a trigger or rule decides")
    assert place.rows("SELECT finding FROM findings") == [("crack",)]


async def test_view_takes_rows_and_refuses_what_needs_an_index(
    place: Any, database: Any, delivery: Any, use: Any
) -> None:
    place.run("CREATE VIEW seen AS SELECT doforms_key, site FROM inspections")
    if place.kind == "sqlite":
        place.run(
            "CREATE TRIGGER put INSTEAD OF INSERT ON seen BEGIN "
            "INSERT INTO inspections (doforms_key, site) VALUES (NEW.doforms_key, NEW.site); END"
        )
    results = await database.deliver_many(made(delivery, "x", table="seen"))
    assert isinstance(results[0], Receipt)
    assert place.rows("SELECT site FROM inspections") == [("x",)]
    [result] = await database.deliver_many(made(delivery, "x", table="seen", write="upsert", **KEYED))
    assert "seen is a view" in str(result)
    [finding] = await database.check([use(table="seen", write="upsert", columns=COLUMNS, **KEYED)])
    assert "is a view" in finding.found
    assert "CREATE" not in finding.remedy


async def test_rule_that_takes_the_place_of_an_insert_is_told(
    place: Any, database: Any, delivery: Any, use: Any
) -> None:
    if place.kind == "sqlite":
        place.run("CREATE VIEW seen AS SELECT doforms_key, site FROM inspections")
        [result] = await database.deliver_many(made(delivery, "x", table="seen"))  # nothing says where to put it
        assert "table does not fit" in str(result)
        return
    place.run(
        "CREATE RULE away AS ON INSERT TO inspections DO INSTEAD "
        "INSERT INTO elsewhere VALUES (NEW.doforms_key, NEW.site)"
    )
    [result] = await database.deliver_many(made(delivery, "x"))
    assert isinstance(result, Receipt)
    assert place.rows("SELECT * FROM elsewhere") == [("s0", "x")]
    [finding] = await database.check([use(write="upsert", columns=COLUMNS, **KEYED)])
    assert "has rules" in finding.found


async def test_trigger_that_refuses_a_row_names_it(place: Any, database: Any, delivery: Any) -> None:
    place.run("CREATE UNIQUE INDEX one_site ON inspections (site)")
    results = await database.deliver_many(made(delivery, "x", "x", "y", write="upsert", **KEYED))
    assert [type(one) for one in results] == [Receipt, Rejected, Receipt]
