"""Several deliveries in one transaction, and what an error in it means."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from gateway_database import Database
from gateway_database.batch import write_all
from gateway_database.engine import make_engine
from gateway_database.options import DatabaseSettings
from gateway_database.tables import Tables
from sqlalchemy.event import listen

from gateway.api import Misconfigured, Receipt, Rejected, Unavailable, Uncertain
from gateway.testing import make_context, make_record, settings

UPSERT = {
    "write": "upsert",
    "key": ["doforms_key"],
    "columns": {"doforms_key": "{{ record.fields.id }}", "risk": "{{ record.fields.risk }}"},
}


@pytest.fixture(autouse=True)
def tables(place: Any) -> None:
    place.run("CREATE TABLE inspections (doforms_key VARCHAR(40) PRIMARY KEY, risk INTEGER CHECK (risk < 10))")


def several(delivery: Any, *risks: Any, **more: Any) -> list[Any]:
    return [
        delivery(record=make_record(id=f"s{number}", risk=risk), unique=f"d{number}", **{**UPSERT, **more})
        for number, risk in enumerate(risks)
    ]


async def test_one_that_fails_leaves_the_others_alone(place: Any, database: Any, delivery: Any) -> None:
    made = [*several(delivery, 1, 11, "x", 4), *several(delivery, 5, table="nowhere")]
    results = await database.deliver_many(made)
    assert [type(one) for one in results] == [Receipt, Rejected, Rejected, Receipt, Misconfigured]
    assert place.rows("SELECT doforms_key, risk FROM inspections ORDER BY 1") == [("s0", 1), ("s3", 4)]


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
async def test_a_deferred_constraint_rejects_only_the_culprit(place: Any, database: Any, delivery: Any) -> None:
    place.run(
        "CREATE TABLE sites (name INTEGER PRIMARY KEY)",
        "INSERT INTO sites VALUES (1), (3)",
        "ALTER TABLE inspections ADD FOREIGN KEY (risk) REFERENCES sites DEFERRABLE INITIALLY DEFERRED",
    )
    results = await database.deliver_many(several(delivery, 1, 2, 3, "x"))
    assert [type(one) for one in results] == [Receipt, Rejected, Receipt, Rejected]
    assert place.rows("SELECT risk FROM inspections ORDER BY 1") == [(1,), (3,)]


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
async def test_a_commit_of_unknown_end_is_uncertain(place: Any, database: Any, delivery: Any) -> None:
    place.run(
        "CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN NULL; END $$",
        "CREATE CONSTRAINT TRIGGER break_off AFTER INSERT ON inspections "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION break_off()",
    )
    results = await database.deliver_many(several(delivery, 1, "x", 3))
    assert [type(one) for one in results] == [Uncertain, Rejected, Uncertain]
    place.run("DROP TRIGGER break_off ON inspections")
    assert [type(one) for one in await database.deliver_many(several(delivery, 1))] == [Receipt]


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
async def test_a_connection_lost_before_the_commit_is_unavailable(place: Any, database: Any, delivery: Any) -> None:
    place.run(
        "CREATE FUNCTION break_off() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN NULL; END $$",
        "CREATE TRIGGER break_off AFTER INSERT ON inspections FOR EACH ROW WHEN (NEW.risk = 3) "
        "EXECUTE FUNCTION break_off()",
    )
    results = await database.deliver_many(several(delivery, 1, "x", 3, 4))
    assert [type(one) for one in results] == [Unavailable] * 4
    assert all(one.whole for one in results)
    assert place.rows("SELECT * FROM inspections") == []


async def test_a_trigger_that_refuses_a_row_rejects_it(place: Any, database: Any, delivery: Any) -> None:
    if place.kind == "sqlite":
        place.run(
            "CREATE TRIGGER refuse BEFORE INSERT ON inspections WHEN NEW.risk = 3 "
            "BEGIN SELECT RAISE(ABORT, 'not three'); END"
        )
    elif place.kind == "mariadb":
        place.run(
            "CREATE TRIGGER refuse BEFORE INSERT ON inspections FOR EACH ROW "
            "IF NEW.risk = 3 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not three'; END IF"
        )
    else:
        place.run(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not three'; END $$",
            "CREATE TRIGGER refuse BEFORE INSERT ON inspections FOR EACH ROW WHEN (NEW.risk = 3) "
            "EXECUTE FUNCTION refuse()",
        )
    results = await database.deliver_many(several(delivery, 1, 3))
    assert [type(one) for one in results] == [Receipt, Rejected]
    assert "not three" in str(results[1])


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
async def test_a_trigger_that_ends_the_transaction_makes_all_unavailable(
    place: Any, database: Any, delivery: Any
) -> None:
    place.run(
        "CREATE TRIGGER refuse BEFORE INSERT ON inspections WHEN NEW.risk = 3 "
        "BEGIN SELECT RAISE(ROLLBACK, 'all back'); END"
    )
    results = await database.deliver_many(several(delivery, 1, 3, 4))
    assert [type(one) for one in results] == [Unavailable] * 3
    assert "all back" in str(results[0])
    assert place.rows("SELECT * FROM inspections") == []


async def test_writers_at_the_same_moment_all_get_through(place: Any, database: Any, delivery: Any) -> None:
    made = several(delivery, *[number % 10 for number in range(40)])
    groups = [made[start : start + 5] for start in range(0, 40, 5)]
    results = await asyncio.gather(*(database.deliver_many(group) for group in groups))
    assert {type(one) for group in results for one in group} == {Receipt}
    assert place.rows("SELECT count(*) FROM inspections") == [(40,)]


async def test_writers_of_new_rows_do_not_stand_in_each_others_way(place: Any, database: Any, delivery: Any) -> None:
    place.run("ALTER TABLE inspections ADD COLUMN number BIGINT")
    made = several(delivery, *[number % 10 for number in range(60)], guard="number")
    results = await asyncio.gather(*(database.deliver_many(made[start::12]) for start in range(12)))
    assert {type(one) for group in results for one in group} == {Receipt}
    assert place.rows("SELECT count(*) FROM inspections") == [(60,)]


async def test_a_locked_database_is_unavailable(place: Any, delivery: Any) -> None:
    made = settings(DatabaseSettings, **place.settings)
    engine, tables = make_engine(made, wait=1), Tables(made.schema_)
    lock = {
        "sqlite": "BEGIN IMMEDIATE",
        "postgresql": "LOCK TABLE inspections",
        "mariadb": "SELECT * FROM inspections FOR UPDATE",
    }
    with place.engine.connect() as connection:
        connection.exec_driver_sql(lock[place.kind])
        [failure] = await asyncio.to_thread(write_all, engine, tables, several(delivery, 1))
        assert isinstance(failure, Unavailable)
        assert not failure.whole
        connection.rollback()
    [receipt] = await asyncio.to_thread(write_all, engine, tables, several(delivery, 1))
    assert isinstance(receipt, Receipt)
    engine.dispose()


async def test_a_refused_login_or_right_is_misconfigured(place: Any, delivery: Any) -> None:
    wrong: dict[str, Any] = {"username": "nobody_here"}
    if place.kind == "sqlite":
        path = place.settings["url"].removeprefix("sqlite:///")
        wrong = {"url": f"sqlite:///file:{path}?mode=ro&uri=true"}
    database = Database(settings(DatabaseSettings, **{**place.settings, **wrong}), make_context("warehouse"))
    with pytest.raises(Misconfigured, match="login or the right"):
        await database.deliver(several(delivery, 1)[0])
    await database.close()


async def test_a_database_that_is_not_there_is_unavailable_and_not_made(
    place: Any, delivery: Any, tmp_path: Any
) -> None:
    gone = tmp_path / "gone.db"
    url = f"sqlite:///{gone}" if place.kind == "sqlite" else f"{place.kind}://somebody@127.0.0.1:1/forms"
    database = Database(settings(DatabaseSettings, url=url), make_context("warehouse"))
    await database.open()
    with pytest.raises(Unavailable) as caught:
        await database.deliver(several(delivery, 1)[0])
    assert caught.value.whole
    [finding] = await database.check([])
    assert finding.where == "url"
    assert not gone.exists()
    await database.close()


INSERT = {
    "table": "visits",
    "write": "insert",
    "key": [],
    "delivery_key": "delivery",
    "columns": {"site": "{{ record.fields.id }}"},
}


async def test_rows_of_one_shape_go_by_one_statement_and_each_gets_its_receipt(
    place: Any, database: Any, delivery: Any
) -> None:
    place.run(f"CREATE TABLE visits (id {place.serial}, site VARCHAR(40), delivery VARCHAR(40) UNIQUE)")
    statements: list[str] = []
    await database.open()
    listen(database._engine, "before_cursor_execute", lambda _c, _u, statement, *_: statements.append(statement))
    await database.deliver_many(several(delivery, 1, **INSERT))
    results = await database.deliver_many([*several(delivery, 1, 2, 3, **INSERT), *several(delivery, 4, 5)])
    rows = dict(place.rows("SELECT delivery, id FROM visits"))
    told = [result.summary for result in results]
    assert told[0] == "delivered before: row in visits (delivery = d0)"
    assert told[1:3] == [f"row written to visits (id = {rows[key]})" for key in ("d1", "d2")]
    assert told[3:] == [f"row written to inspections (doforms_key = s{number})" for number in (0, 1)]
    written = [statement for statement in statements if statement.startswith("INSERT")]
    assert len(written) == (5 if place.kind == "mariadb" else 3)  # that one goes row by row where it must tell keys
    assert not [statement for statement in statements if "SAVEPOINT" in statement]


async def test_two_deliveries_of_one_row_in_a_batch_both_get_through(place: Any, database: Any, delivery: Any) -> None:
    made = [*several(delivery, 1), *several(delivery, 2)]
    assert [type(one) for one in await database.deliver_many(made)] == [Receipt, Receipt]
    assert place.rows("SELECT doforms_key, risk FROM inspections") == [("s0", 2)]


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
async def test_whoever_waits_for_the_database_does_not_keep_others_from_the_tables(place: Any, delivery: Any) -> None:
    made = settings(DatabaseSettings, **place.settings)
    engine, tables = make_engine(made, wait=10), Tables(made.schema_)
    with place.engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(asyncio.to_thread(write_all, engine, tables, several(delivery, 1)))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        assert tables._lock.acquire(timeout=1)
        tables._lock.release()
        connection.rollback()
    [receipt] = await waiting
    assert isinstance(receipt, Receipt)
    engine.dispose()
