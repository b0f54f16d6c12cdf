"""What each way of writing leaves in the table."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from gateway_database.batch import write_all
from gateway_database.engine import make_engine
from gateway_database.options import DatabaseSettings
from gateway_database.tables import Tables
from sqlalchemy import text

from gateway.api import Event, Misconfigured, Rejected
from gateway.testing import settings
from tests.support.records import answer, decode, section

KEYED = {"doforms_key": "{{ record.key }}", "site": "{{ record.fields.site }}", "risk": "{{ record.fields.risk }}"}
UPSERT = {"write": "upsert", "key": ["doforms_key"], "columns": KEYED}
UPDATE = {"write": "update", "key": ["doforms_key"], "columns": KEYED}
DELETE = {"write": "delete", "key": ["doforms_key"], "columns": KEYED}
MIRROR = {"write": "mirror", "key": ["doforms_key"], "columns": KEYED}
MARK = {**MIRROR, "guard": "number", "on_delete": {"set": {"deleted": True}}}
INSPECTIONS = """
CREATE TABLE inspections (
    doforms_key VARCHAR(40) PRIMARY KEY, site TEXT, risk INTEGER, deleted BOOLEAN, number BIGINT
)
"""
LOG = "CREATE TABLE log (id {serial}, site TEXT, delivery VARCHAR(40) UNIQUE)"
OPTIONS_OF_LOG = {
    "table": "log",
    "columns": {"site": "{{ record.fields.site }}"},
    "delivery_key": "delivery",
}
DOCK = {"site": "Dock 4", "risk": 3}
QUAY = {"site": "Quay 1", "risk": 5}


@pytest.fixture(autouse=True)
def tables(place: Any) -> None:
    place.run(INSPECTIONS, LOG.format(serial=place.serial))


async def test_insert_tells_the_generated_key(place: Any, database: Any, delivery: Any) -> None:
    made = delivery(DOCK, table="log", columns={"site": "{{ record.fields.site }}"})
    for number in (1, 2):
        receipt = await database.deliver(made)
        assert receipt.summary == f"row written to log (id = {number})"
    assert receipt.details == {"table": "log", "write": "insert", "rows": 1, "key": {"id": "2"}}
    assert place.rows("SELECT site FROM log") == [("Dock 4",), ("Dock 4",)]


async def test_insert_with_a_delivery_key_writes_once(place: Any, database: Any, delivery: Any) -> None:
    options = OPTIONS_OF_LOG
    assert (await database.deliver(delivery(DOCK, **options))).details["rows"] == 1
    again = await database.deliver(delivery(DOCK, **options))
    assert again.summary == "delivered before: row in log (delivery = delivery-1)"
    assert again.details["rows"] == 0
    await database.deliver(delivery(DOCK, unique="delivery-2", **options))
    assert place.rows("SELECT delivery FROM log ORDER BY id") == [("delivery-1",), ("delivery-2",)]


async def test_upsert_makes_the_row_and_then_changes_it(place: Any, database: Any, delivery: Any) -> None:
    receipt = await database.deliver(delivery(DOCK, **UPSERT))
    assert receipt.summary == "row written to inspections (doforms_key = s1)"
    await database.deliver(delivery(QUAY, **UPSERT))
    assert place.rows("SELECT doforms_key, site, risk FROM inspections") == [("s1", "Quay 1", 5)]


async def test_upsert_of_key_columns_alone_changes_nothing(place: Any, database: Any, delivery: Any) -> None:
    options = {"write": "upsert", "key": ["doforms_key"], "columns": {"doforms_key": "{{ record.key }}"}}
    for _ in range(2):
        await database.deliver(delivery(**options))
    assert place.rows("SELECT doforms_key FROM inspections") == [("s1",)]


async def test_update_changes_the_row_and_is_rejected_without_one(place: Any, database: Any, delivery: Any) -> None:
    with pytest.raises(Rejected, match=r"no row with doforms_key = s1 to update"):
        await database.deliver(delivery(DOCK, **UPDATE))
    place.run("INSERT INTO inspections (doforms_key) VALUES ('s1'), ('s2')")
    await database.deliver(delivery(DOCK, **UPDATE))
    assert place.rows("SELECT site FROM inspections ORDER BY doforms_key") == [("Dock 4",), (None,)]


@pytest.mark.parametrize("options", [UPDATE, UPSERT, {**UPDATE, "guard": "number"}])
async def test_a_row_that_is_as_it_should_be_already_counts_as_written(
    options: dict[str, Any], place: Any, database: Any, delivery: Any
) -> None:
    place.run("INSERT INTO inspections (doforms_key, site, risk, number) VALUES ('s1', 'Dock 4', 3, 1)")
    for _ in range(2):
        assert (await database.deliver(delivery(DOCK, **options))).details["rows"] == 1


async def test_an_upsert_that_clashes_with_another_row_leaves_that_one_alone(
    place: Any, database: Any, delivery: Any
) -> None:
    place.run(
        "CREATE TABLE sites (id INTEGER PRIMARY KEY, doforms_key VARCHAR(40) UNIQUE, site VARCHAR(40) UNIQUE)",
        "INSERT INTO sites VALUES (1, 's2', 'Dock 4')",
    )
    columns = {"id": 2, "doforms_key": "{{ record.key }}", "site": "{{ record.fields.site }}"}
    upsert = {**UPSERT, "table": "sites", "columns": columns}
    with pytest.raises(Rejected, match="refused the row"):
        await database.deliver(delivery(DOCK, **upsert))
    assert place.rows("SELECT * FROM sites") == [(1, "s2", "Dock 4")]
    await database.deliver(delivery(QUAY, **upsert))
    await database.deliver(delivery({"site": "Quay 2"}, **upsert))
    assert place.rows("SELECT * FROM sites ORDER BY id") == [(1, "s2", "Dock 4"), (2, "s1", "Quay 2")]


async def test_a_delivery_that_another_writes_at_the_same_moment_was_delivered_before(
    place: Any, database: Any, delivery: Any
) -> None:
    made = delivery(DOCK, **OPTIONS_OF_LOG)
    await database.deliver(delivery(QUAY, unique="other", **OPTIONS_OF_LOG))
    with place.engine.connect() as connection:
        connection.execute(text("INSERT INTO log (site, delivery) VALUES ('x', 'delivery-1')"))
        waiting = asyncio.create_task(database.deliver(made))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        connection.commit()
    assert (await waiting).summary == "delivered before: row in log (delivery = delivery-1)"


@pytest.mark.parametrize("number", ["number", None])
async def test_a_row_that_another_makes_at_the_same_moment_is_changed(
    number: str | None, place: Any, database: Any, delivery: Any
) -> None:
    with place.engine.connect() as connection:
        connection.execute(text("INSERT INTO inspections (doforms_key, site) VALUES ('s1', 'x')"))
        waiting = asyncio.create_task(database.deliver(delivery(DOCK, guard=number, **UPSERT)))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        connection.commit()
    await waiting
    assert place.rows("SELECT doforms_key, site FROM inspections") == [("s1", "Dock 4")]


async def test_names_may_be_reserved_words_or_hold_any_character(place: Any, database: Any, delivery: Any) -> None:
    names = ["group", "Key", "100% done?", "a:b", "Fläche (m²)", "%(x)s"]
    quoted = ", ".join(f'"{name}" VARCHAR(40)' for name in names)
    place.run_as_written(f'CREATE TABLE "order" ({quoted})')
    options: dict[str, Any] = {"table": "order", "key": ["group", "100% done?"], "columns": dict.fromkeys(names, "x")}
    for write, more in (("upsert", {}), ("update", {}), ("upsert", {"guard": "Key"}), ("delete", {})):
        columns = {name: value for name, value in options["columns"].items() if name not in more.values()}
        made = delivery(write=write, **{**options, **more, "columns": columns})
        if (write, more) == ("upsert", {}):
            with pytest.raises(Misconfigured) as caught:
                await database.deliver(made)
            place.run_as_written(str(caught.value).partition("Run: ")[2])
        if more:
            place.run('UPDATE "order" SET "Key" = NULL')
        assert (await database.deliver(made)).details["rows"] == 1


async def test_a_name_that_is_too_long_for_the_database_is_told(place: Any, database: Any, delivery: Any) -> None:
    long = "a" * 70
    made = delivery({long: 1, "site": "Dock"}, columns={"*": True, "doforms_key": "1"})
    assert list((await database.deliver(made)).left_out) == [long]
    with pytest.raises(Misconfigured, match="aaa"):
        await database.deliver(delivery(table=long, columns=KEYED))
    with pytest.raises(Misconfigured, match="no column 'aaa"):
        await database.deliver(delivery(columns={long: "x"}))


@pytest.mark.parametrize("options", [UPSERT, MIRROR, {**UPSERT, "guard": "number"}])
async def test_any_character_comes_through(options: dict[str, Any], place: Any, database: Any, delivery: Any) -> None:
    value = "Straße 😀 '\\' \n %s %% \" ; -- \t 漢字 \\0"
    await database.deliver(delivery({"site": value, "risk": 1}, **options))
    assert place.rows("SELECT site FROM inspections") == [(value,)]


async def test_delete_removes_the_row_and_is_delivered_without_one(place: Any, database: Any, delivery: Any) -> None:
    place.run("INSERT INTO inspections (doforms_key) VALUES ('s1'), ('s2')")
    first, second = [await database.deliver(delivery(**DELETE)) for _ in range(2)]
    assert first.summary == "row deleted from inspections (doforms_key = s1)"
    assert second.summary == "nothing to delete in inspections (doforms_key = s1)"
    assert place.rows("SELECT doforms_key FROM inspections") == [("s2",)]


@pytest.mark.parametrize("event", [Event.CREATE, Event.UPDATE, Event.STATUS])
async def test_mirror_upserts_and_deletes(event: Event, place: Any, database: Any, delivery: Any) -> None:
    await database.deliver(delivery(DOCK, event=event, **MIRROR))
    assert place.rows("SELECT site FROM inspections") == [("Dock 4",)]
    await database.deliver(delivery(event=Event.DELETE, **MIRROR))
    assert place.rows("SELECT site FROM inspections") == []


async def test_mirror_can_mark_as_deleted(place: Any, database: Any, delivery: Any) -> None:
    await database.deliver(delivery(DOCK, number=1, **MARK))
    receipt = await database.deliver(delivery(event=Event.DELETE, number=2, **MARK))
    assert receipt.summary == "row marked as deleted in inspections (doforms_key = s1)"
    assert place.rows("SELECT site, deleted, number FROM inspections") == [("Dock 4", True, 2)]


@pytest.mark.parametrize("options", [UPSERT, UPDATE, MARK])
async def test_a_guard_leaves_what_is_newer(options: dict[str, Any], place: Any, database: Any, delivery: Any) -> None:
    place.run("INSERT INTO inspections (doforms_key, site) VALUES ('s1', 'no number yet')")
    options = {**options, "guard": "number"}
    await database.deliver(delivery(DOCK, number=7, **options))
    await database.deliver(delivery(QUAY, number=7, **options))  # a repeat is not newer
    receipt = await database.deliver(delivery(DOCK, number=6, **options))
    assert receipt.summary == "older, left: row in inspections (doforms_key = s1)"
    assert receipt.details["rows"] == 0
    assert place.rows("SELECT site, number FROM inspections") == [("Quay 1", 7)]


async def test_a_guard_leaves_what_is_newer_from_deletes(place: Any, database: Any, delivery: Any) -> None:
    place.run("INSERT INTO inspections (doforms_key, number) VALUES ('s1', 7)")
    for options in (MARK, {**DELETE, "guard": "number"}):
        receipt = await database.deliver(delivery(event=Event.DELETE, number=6, **options))
        assert receipt.summary.startswith("older, left")
    assert place.rows("SELECT deleted, number FROM inspections") == [(None, 7)]
    await database.deliver(delivery(number=8, **{**DELETE, "guard": "number"}))
    assert place.rows("SELECT * FROM inspections") == []


async def test_every_question_goes_under_its_own_name(place: Any, database: Any, delivery: Any) -> None:
    columns = {"*": True, "doforms_key": "{{ record.key }}", "site": "of our own"}
    await database.deliver(delivery({"site": "x", "risk": Decimal(4)}, columns=columns))
    assert place.rows("SELECT doforms_key, site, risk FROM inspections") == [("s1", "of our own", 4)]


async def test_a_question_without_a_column_is_left_out_and_named(place: Any, database: Any, delivery: Any) -> None:
    made = delivery({"risks": 4, "site": "Dock"}, columns={"*": True, "doforms_key": "1"})
    receipt = await database.deliver(made)
    assert receipt.left_out == {"risks": 'there is no such column in inspections; did you mean "risk"?'}
    assert receipt.details["left_out"] == ["risks"]
    assert place.rows("SELECT doforms_key, site, risk FROM inspections") == [("1", "Dock", None)]


async def test_a_column_that_was_added_for_a_question_is_found_within_a_minute(
    place: Any, database: Any, delivery: Any
) -> None:
    options: dict[str, Any] = {"write": "upsert", "key": ["doforms_key"], "columns": {"*": True, "doforms_key": "1"}}
    assert (await database.deliver(delivery({"remarks": "a"}, **options))).left_out
    place.run("ALTER TABLE inspections ADD COLUMN remarks TEXT")
    assert (await database.deliver(delivery({"remarks": "b"}, **options))).left_out
    database._tables._looked_at["inspections"] -= 61.0
    assert not (await database.deliver(delivery({"remarks": "c"}, **options))).left_out
    assert place.rows("SELECT remarks FROM inspections") == [("c",)]


async def test_every_question_of_a_form_with_sections_and_tables_has_its_place(
    place: Any, database: Any, delivery: Any
) -> None:
    place.run(
        "ALTER TABLE inspections ADD COLUMN findings TEXT", 'ALTER TABLE inspections ADD COLUMN "after.note" TEXT'
    )
    record = decode(
        section("before", answer("site", "Dock"), answer("note", "wet")),
        section("after", answer("note", "dry"), {"name": "findings", "fields": [[answer("finding", "rust")]]}),
    )
    receipt = await database.deliver(delivery(record=record, columns={"*": True, "doforms_key": "1"}))
    assert list(receipt.left_out) == ["before.note"]
    rows = place.rows('SELECT site, "after.note", findings FROM inspections')
    assert rows == [("Dock", "dry", '[{"finding": "rust"}]')]


@pytest.mark.parametrize("options", [UPSERT, UPDATE, DELETE, MIRROR])
async def test_a_null_in_the_key_is_rejected(options: dict[str, Any], place: Any, database: Any, delivery: Any) -> None:
    options = {**options, "columns": {**KEYED, "doforms_key": "{{ record.fields.missing }}"}}
    for event in (Event.CREATE, Event.DELETE):
        with pytest.raises(Rejected, match=r"inspections.doforms_key would be null"):
            await database.deliver(delivery({**DOCK, "missing": None}, event=event, **options))
    assert place.rows("SELECT * FROM inspections") == []


async def test_a_missing_index_is_told_with_the_statement_and_noticed_when_made(
    place: Any, database: Any, delivery: Any
) -> None:
    place.run("CREATE TABLE bare (doforms_key VARCHAR(40), site TEXT, risk INTEGER, delivery VARCHAR(40))")
    schema = "forms." if place.kind == "postgresql" else ""
    for options, column in ((UPSERT, "doforms_key"), ({"columns": KEYED, "delivery_key": "delivery"}, "delivery")):
        statement = f"CREATE UNIQUE INDEX uq_bare_{column} ON {schema}bare ({column})"
        with pytest.raises(Misconfigured) as caught:
            await database.deliver(delivery(DOCK, table="bare", **options))
        assert statement in str(caught.value)
        place.run(statement)
        assert (await database.deliver(delivery(DOCK, table="bare", **options))).details["rows"] == 1
        place.run("DELETE FROM bare")


async def test_a_partial_index_does_not_count(place: Any, database: Any, delivery: Any) -> None:
    part = "(doforms_key(3))" if place.kind == "mariadb" else "(doforms_key) WHERE risk > 3"
    place.run(
        "CREATE TABLE bare (doforms_key VARCHAR(40), site TEXT, risk INTEGER)",
        f"CREATE UNIQUE INDEX partial_one ON bare {part}",
    )
    with pytest.raises(Misconfigured, match="no unique index on doforms_key"):
        await database.deliver(delivery(DOCK, table="bare", **UPSERT))


async def test_a_missing_table_or_column_is_told_with_the_nearest_name(
    place: Any, database: Any, delivery: Any
) -> None:
    with pytest.raises(Misconfigured, match="no table 'inspection' in the database; did you mean \"inspections\""):
        await database.deliver(delivery(DOCK, table="inspection", columns=KEYED))
    with pytest.raises(Misconfigured, match="table inspections has no column 'sit'; did you mean \"site\""):
        await database.deliver(delivery(DOCK, columns={"doforms_key": "1", "sit": "x"}))
    place.run("ALTER TABLE inspections ADD COLUMN sit TEXT")
    await database.deliver(delivery(DOCK, columns={"doforms_key": "1", "sit": "x"}))
    assert place.rows("SELECT sit FROM inspections") == [("x",)]


@pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)
async def test_a_dialect_without_a_statement_of_its_own_upserts_and_inserts_once(place: Any, delivery: Any) -> None:
    place.run("CREATE UNIQUE INDEX by_delivery ON log (delivery)")
    made = settings(DatabaseSettings, **place.settings)
    engine = make_engine(made)
    engine.dialect.name = "another"  # so that the general way is taken
    guarded = {**UPSERT, "guard": "number"}
    once = {"table": "log", "columns": {"site": "x"}, "delivery_key": "delivery"}
    deliveries = [
        delivery(DOCK, **UPSERT),
        delivery(QUAY, number=7, **guarded),
        delivery(DOCK, number=6, **guarded),
        delivery(**once),
        delivery(**once),
    ]
    results = await asyncio.to_thread(write_all, engine, Tables(made.schema_), deliveries)
    assert [one.details["rows"] for one in results] == [1, 1, 0, 1, 0]  # type: ignore[union-attr]
    assert place.rows("SELECT site, number FROM inspections") == [("Quay 1", 7)]
    assert place.rows("SELECT count(*) FROM log") == [(1,)]
    engine.dispose()
