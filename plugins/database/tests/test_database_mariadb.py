"""What MariaDB does in its own way."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from gateway_database import Database
from gateway_database.batch import write_all
from gateway_database.engine import make_engine
from gateway_database.options import DatabaseSettings
from gateway_database.tables import Tables

from gateway.api import Misconfigured, Receipt, Rejected, Unavailable, Uncertain
from gateway.testing import make_context, make_record, settings
from tests.support.mariadb import MariaDB
from tests.support.tcp import relay

UPSERT = {
    "write": "upsert",
    "key": ["doforms_key"],
    "columns": {"doforms_key": "{{ record.fields.id }}", "site": "{{ record.fields.site }}"},
}
THING = {"table": "things", "columns": {"value": "{{ record.fields.value }}"}}

pytestmark = pytest.mark.parametrize("place", ["mariadb"], indirect=True)


@pytest.fixture(autouse=True)
def tables(place: Any) -> None:
    place.run("CREATE TABLE inspections (doforms_key VARCHAR(40) PRIMARY KEY, site VARCHAR(40), number BIGINT)")


def several(delivery: Any, *sites: str, **more: Any) -> list[Any]:
    return [
        delivery(record=make_record(id=f"s{number}", site=site), unique=f"d{number}", **{**UPSERT, **more})
        for number, site in enumerate(sites)
    ]


def other(place: Any, **given: Any) -> Database:
    return Database(settings(DatabaseSettings, **{**place.settings, **given}), make_context("warehouse"))


async def test_what_a_lax_server_would_cut_off_is_rejected(place: Any, database: Any, delivery: Any) -> None:
    assert "STRICT" not in place.rows("SELECT @@GLOBAL.sql_mode")[0][0]
    [result] = await database.deliver_many(several(delivery, "x" * 41))
    assert isinstance(result, Rejected)
    assert "too long" in str(result)
    for kind, value in (("INTEGER NOT NULL", None), ("ENUM('good', 'bad')", "odd"), ("TEXT", "x" * 70_000)):
        place.run(f"CREATE OR REPLACE TABLE things (value {kind})")
        with pytest.raises(Rejected):
            await database.deliver(delivery({"value": value}, **THING))
    place.run("CREATE OR REPLACE TABLE things (value TEXT, nr INTEGER NOT NULL)")
    with pytest.raises(Rejected, match="nr"):
        await database.deliver(delivery({"value": "x"}, **THING))


async def test_a_zero_in_a_column_that_counts_stays_a_zero(place: Any, database: Any, delivery: Any) -> None:
    place.run("CREATE TABLE things (value INTEGER PRIMARY KEY AUTO_INCREMENT)")
    await database.deliver(delivery({"value": 0}, **THING))
    assert place.rows("SELECT value FROM things") == [(0,)]


async def test_a_timestamp_holds_the_moment_whatever_the_zone_of_the_server(
    place: Any, database: Any, delivery: Any
) -> None:
    assert place.rows("SELECT @@GLOBAL.time_zone") == [("+05:30",)]
    place.run("CREATE TABLE things (value TIMESTAMP(6))")
    await database.deliver(delivery({"value": "2026-01-02T03:04:05.25+02:00"}, **THING))
    moment = datetime.fromisoformat("2026-01-02T03:04:05.25+02:00").timestamp()
    assert [float(seconds) for [seconds] in place.rows("SELECT UNIX_TIMESTAMP(value) FROM things")] == [moment]


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        ("TINYINT(1)", "yes", 1),
        ("TINYINT(1)", 7, 7),
        ("BIT(1)", True, b"\x01"),
        ("BIT(1)", "off", b"\x00"),
        ("DECIMAL(40,20)", "12345678901234567890.12345678901234567890", None),
        ("DOUBLE", "0.1", 0.1),
        ("BIGINT UNSIGNED", 2**63 - 1, None),
        ("UUID", "0c1b8a4e-4c4f-4b7e-9c53-0d1b1a5f1a11", None),
        ("YEAR", "2026", 2026),
        ("SET('a', 'b')", "a,b", None),
        ("LONGBLOB", "x 😀", "x 😀".encode()),
        ("VARBINARY(9)", "x\\'\"", b"x\\'\""),
        ("DATETIME(6)", "2026-01-02T03:04:05.000001Z", datetime(2026, 1, 2, 3, 4, 5, 1)),
        ("TEXT", "back\\slash, 'quote', 100 %s, 😀", None),
        ("JSON", {"a": "😀 'x' \\ \" \n"}, '{"a": "😀 \'x\' \\\\ \\" \\n"}'),
    ],
)
async def test_types_of_mariadb_are_understood(
    kind: str, value: Any, kept: Any, place: Any, database: Any, delivery: Any
) -> None:
    place.run(f"CREATE TABLE things (value {kind})")
    await database.deliver(delivery({"value": value}, **THING))
    [[found]] = place.rows("SELECT value FROM things")
    assert (str(found) if kept is None else found) == (str(value) if kept is None else kept)


@pytest.mark.parametrize("write", ["insert", "upsert", "update"])
async def test_a_character_that_the_column_does_not_have_is_rejected(
    write: str, place: Any, database: Any, delivery: Any
) -> None:
    place.run("ALTER TABLE inspections CONVERT TO CHARACTER SET latin1")
    for column in ("site", "doforms_key"):
        columns = {**UPSERT["columns"], column: "Dock 😀"}  # type: ignore[dict-item]
        key = [] if write == "insert" else ["doforms_key"]
        [result] = await database.deliver_many(several(delivery, "x", write=write, key=key, columns=columns))
        assert isinstance(result, Rejected)
    assert place.rows("SELECT * FROM inspections") == []


async def test_text_without_a_length_can_be_a_key(place: Any, database: Any, delivery: Any) -> None:
    place.run("CREATE OR REPLACE TABLE inspections (doforms_key TEXT, site TEXT)")
    with pytest.raises(Misconfigured, match="no unique index on doforms_key") as caught:
        await database.deliver(several(delivery, "x")[0])
    place.run(str(caught.value).partition("Run: ")[2])
    for site in ("first", "second"):
        results = await database.deliver_many(several(delivery, site, site, site))
        assert {type(one) for one in results} == {Receipt}
    assert place.rows("SELECT doforms_key, site FROM inspections ORDER BY 1") == [
        (f"s{number}", "second") for number in range(3)
    ]


async def test_a_primary_key_over_the_beginning_of_a_text_does_not_count(
    place: Any, database: Any, delivery: Any
) -> None:
    place.run("CREATE OR REPLACE TABLE inspections (doforms_key VARCHAR(40), site TEXT, PRIMARY KEY (doforms_key(1)))")
    with pytest.raises(Misconfigured, match="no unique index on doforms_key"):
        await database.deliver(several(delivery, "x")[0])
    place.run("CREATE UNIQUE INDEX whole ON inspections (doforms_key)")
    results = await database.deliver_many(several(delivery, "x", "y"))
    assert [type(one) for one in results] == [Receipt, Rejected]
    assert place.rows("SELECT doforms_key, site FROM inspections") == [("s0", "x")]


async def test_a_check_warns_of_keys_that_are_one_and_of_tables_without_transactions(
    place: Any, database: Any, use: Any
) -> None:
    made = use(**UPSERT)
    assert await database.check([made]) == []
    place.run("ALTER TABLE inspections CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
    place.run("ALTER TABLE inspections ENGINE = Aria")
    findings = await database.check([made])
    assert [finding.error for finding in findings] == [False, False]
    for finding, word in zip(findings, ("Aria", "differ only in case"), strict=True):
        assert word in finding.found
    place.run(findings[0].remedy.removeprefix("Run: "))
    place.run("ALTER TABLE inspections MODIFY doforms_key VARCHAR(40) COLLATE utf8mb4_bin")
    assert await database.check([made]) == []


async def test_a_row_that_the_server_would_hang_up_on_is_rejected_alone(
    place: Any, mariadb: Any, delivery: Any
) -> None:
    place.run("ALTER TABLE inspections MODIFY site LONGTEXT")
    [[usual]] = mariadb.run("SELECT @@GLOBAL.max_allowed_packet")
    mariadb.run("SET GLOBAL max_allowed_packet = 1048576")
    database = other(place)
    try:
        sites = ("x", "x" * 1_048_500, "😀" * 262_144, "'" * 600_000, "x" * 1_000_000)
        results = await database.deliver_many(several(delivery, *sites))
    finally:
        mariadb.run(f"SET GLOBAL max_allowed_packet = {usual}")
        await database.close()
    assert [type(one) for one in results] == [Receipt, Rejected, Rejected, Rejected, Receipt]
    assert "max_allowed_packet" in str(results[1])
    assert place.rows("SELECT doforms_key FROM inspections ORDER BY 1") == [("s0",), ("s4",)]


async def test_tables_of_another_database_are_reached_by_schema(place: Any, mariadb: Any, delivery: Any) -> None:
    mariadb.make_database("others")
    place.run("CREATE TABLE others.inspections (doforms_key JSON, site VARCHAR(40))")
    url = place.settings["url"].replace("mariadb+pymysql:", "mysql:").replace("/forms", "/")
    database = other(place, url=url, schema="others")
    with pytest.raises(Misconfigured, match=r"CREATE UNIQUE INDEX .* ON `others`\.inspections \(doforms_key\)"):
        await database.deliver(several(delivery, "x")[0])
    made = several(delivery, "x", write="insert", key=[])
    await database.deliver(made[0])
    assert place.rows("SELECT * FROM others.inspections") == [('"s0"', "x")]
    await database.close()
    database = other(place, url=url)
    with pytest.raises(Misconfigured, match="No database selected"):
        await database.deliver(made[0])
    await database.close()


async def test_a_right_that_is_missing_is_misconfigured(place: Any, mariadb: Any, delivery: Any) -> None:
    mariadb.run(
        "CREATE OR REPLACE USER reader@'127.0.0.1' IDENTIFIED BY 'secret'",
        "GRANT SELECT ON forms.* TO reader@'127.0.0.1'",
    )
    database = other(place, username="reader", password="secret")
    with pytest.raises(Misconfigured, match="login or the right"):
        await database.deliver(several(delivery, "x")[0])
    mariadb.run("GRANT INSERT, UPDATE ON forms.* TO reader@'127.0.0.1'")
    place.run("ALTER TABLE inspections MODIFY site JSON")
    assert [type(one) for one in await database.deliver_many(several(delivery, "x"))] == [Receipt]
    assert place.rows("SELECT site FROM inspections") == [('"x"',)]
    await database.close()
    for wrong in ({"password": "wrong"}, {"url": place.settings["url"].replace("/forms", "/nowhere")}):
        database = other(place, **{"username": "reader", "password": "secret", **wrong})
        with pytest.raises(Misconfigured, match="login or the right"):
            await database.deliver(several(delivery, "x")[0])
        await database.close()


@pytest.mark.parametrize("query", ["ssl_ca=/nowhere/ca.pem", "nonsense=1"])
async def test_what_the_driver_cannot_do_is_misconfigured(query: str, place: Any, delivery: Any) -> None:
    database = other(place, url=place.settings["url"].replace("ssl_disabled=true", query))
    with pytest.raises(Misconfigured, match="connecting with this URL"):
        await database.deliver(several(delivery, "x")[0])
    await database.close()


async def test_the_certificate_of_a_server_is_checked_where_an_authority_is_named(
    place: Any, delivery: Any, tmp_path: Path
) -> None:
    ours, theirs = trustme.CA(), trustme.CA()
    certificate = ours.issue_cert("127.0.0.1")
    for name, pem in (
        ("ours", ours.cert_pem),
        ("theirs", theirs.cert_pem),
        ("chain", certificate.cert_chain_pems[0]),
        ("key", certificate.private_key_pem),
    ):
        pem.write_to_path(str(tmp_path / name))
    server = MariaDB(f"--ssl-cert={tmp_path / 'chain'}", f"--ssl-key={tmp_path / 'key'}")
    try:
        server.make_database("forms")
        server.run("CREATE TABLE forms.inspections (doforms_key VARCHAR(40) PRIMARY KEY, site TEXT)")
        url = server.url.set(database="forms")
        for name, expected in (("ours", Receipt), ("theirs", Unavailable)):
            query = {"ssl_ca": str(tmp_path / name)}
            database = other(place, url=url.set(query=query).render_as_string())
            [result] = await database.deliver_many(several(delivery, "x"))
            assert type(result) is expected
            if isinstance(result, Unavailable):
                assert result.whole
                assert "certificate verify failed" in str(result)
            await database.close()
    finally:
        server.end()


async def test_a_deadlock_makes_all_unavailable_and_a_retry_works(place: Any, database: Any, delivery: Any) -> None:
    place.run("INSERT INTO inspections (doforms_key) VALUES ('s0'), ('s1'), ('s2')")
    made = several(delivery, "x", "y", guard="number")
    with place.engine.connect() as connection:
        connection.exec_driver_sql("UPDATE inspections SET site = 'ours' WHERE doforms_key IN ('s1', 's2')")
        waiting = asyncio.create_task(database.deliver_many(made))
        for _ in range(100):
            if place.rows("SELECT 1 FROM information_schema.processlist WHERE state = 'Updating'"):
                break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("the deliveries do not wait for the row")
        await asyncio.to_thread(connection.exec_driver_sql, "UPDATE inspections SET site = 'ours'")
        results = await waiting
        assert [type(one) for one in results] == [Unavailable, Unavailable]
        assert not any(one.whole for one in results)
        assert "Deadlock" in str(results[0])
        connection.rollback()
    assert [type(one) for one in await database.deliver_many(made)] == [Receipt, Receipt]


async def test_a_table_that_is_being_altered_is_waited_for_no_longer_than_a_lock(place: Any, delivery: Any) -> None:
    engine = make_engine(settings(DatabaseSettings, **place.settings), wait=1)
    with place.engine.connect() as connection:
        connection.exec_driver_sql("LOCK TABLES inspections WRITE")
        [result] = await asyncio.to_thread(write_all, engine, Tables(None), several(delivery, "x"))
        assert isinstance(result, Unavailable)
        assert not result.whole
        connection.exec_driver_sql("UNLOCK TABLES")
    engine.dispose()


async def test_a_connection_cut_before_the_commit_is_unavailable(place: Any, mariadb: Any, delivery: Any) -> None:
    async with relay(mariadb.port, cut_at=b"INSERT", passed_on=False) as between:
        database = other(place, url=place.settings["url"].replace(str(mariadb.port), str(between.port)))
        results = await database.deliver_many(several(delivery, "x", "y"))
        assert [type(one) for one in results] == [Unavailable, Unavailable]
        assert all(one.whole for one in results)
        between.cut_at = None
        assert [type(one) for one in await database.deliver_many(several(delivery, "x"))] == [Receipt]
        await database.close()


@pytest.mark.parametrize("passed_on", [True, False])
async def test_a_connection_cut_while_committing_is_uncertain(
    passed_on: bool, place: Any, mariadb: Any, delivery: Any
) -> None:
    async with relay(mariadb.port, cut_at=b"\x03COMMIT", passed_on=passed_on) as between:
        database = other(place, url=place.settings["url"].replace(str(mariadb.port), str(between.port)))
        results = await database.deliver_many(several(delivery, "x", "y"))
        assert [type(one) for one in results] == [Uncertain, Uncertain]
        assert len(place.rows("SELECT * FROM inspections")) == (2 if passed_on else 0)
        between.cut_at = None
        assert [type(one) for one in await database.deliver_many(several(delivery, "x"))] == [Receipt]
        await database.close()


async def test_a_server_that_was_restarted_is_used_again(
    place: Any, mariadb: Any, database: Any, delivery: Any
) -> None:
    made = several(delivery, "x")
    assert [type(one) for one in await database.deliver_many(made)] == [Receipt]
    mariadb.stop()
    try:
        [result] = await database.deliver_many(made)
    finally:
        mariadb.start()
    assert isinstance(result, Unavailable)
    assert result.whole
    assert [type(one) for one in await database.deliver_many(made)] == [Receipt]


async def test_a_server_that_only_reads_is_unavailable_as_a_whole(place: Any, mariadb: Any, delivery: Any) -> None:
    mariadb.run("CREATE OR REPLACE USER writer@'127.0.0.1'", "GRANT ALL ON forms.* TO writer@'127.0.0.1'")
    database = other(place, username="writer")
    mariadb.run("SET GLOBAL read_only = ON")
    try:
        [result] = await database.deliver_many(several(delivery, "x"))
    finally:
        mariadb.run("SET GLOBAL read_only = OFF")
    assert isinstance(result, Unavailable)
    assert result.whole
    await database.close()


async def test_a_server_with_too_many_connections_is_unavailable_as_a_whole(
    place: Any, mariadb: Any, delivery: Any
) -> None:
    mariadb.run("CREATE OR REPLACE USER busy@'127.0.0.1' WITH MAX_USER_CONNECTIONS 1")
    mariadb.run("GRANT ALL ON forms.* TO busy@'127.0.0.1'")
    first, second = other(place, username="busy"), other(place, username="busy")
    assert [type(one) for one in await first.deliver_many(several(delivery, "x"))] == [Receipt]
    [result] = await second.deliver_many(several(delivery, "x"))
    assert isinstance(result, Unavailable)
    assert result.whole
    await first.close()
    await second.close()


async def test_a_server_that_logs_statements_keeps_its_own_isolation(place: Any, mariadb: Any, delivery: Any) -> None:
    mariadb.run("SET GLOBAL binlog_format = STATEMENT")
    database = other(place)
    try:
        assert [type(one) for one in await database.deliver_many(several(delivery, "x"))] == [Receipt]
        assert database._engine is not None
        with database._engine.connect() as connection:
            levels = connection.exec_driver_sql("SELECT @@tx_isolation").scalars().all()
    finally:
        mariadb.run("SET GLOBAL binlog_format = MIXED")
        await database.close()
    assert levels == ["REPEATABLE-READ"]
