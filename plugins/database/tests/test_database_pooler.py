"""PostgreSQL behind a pooler that lends its sessions out, and what a URL tells a driver."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
from gateway_database import Database
from gateway_database.batch import write_all
from gateway_database.drivers import arguments_of
from gateway_database.engine import make_engine
from gateway_database.failures import failure_of
from gateway_database.options import DatabaseSettings
from gateway_database.tables import Tables
from pydantic import ValidationError
from sqlalchemy import make_url, text
from sqlalchemy.event import listen
from sqlalchemy.exc import DBAPIError

from gateway.api import Misconfigured, Receipt, Unavailable, Uncertain
from gateway.testing import make_context, make_record, settings
from tests.support.pgbouncer import PgBouncer

on_postgresql = pytest.mark.parametrize("place", ["postgresql"], indirect=True)

OPTIONS = {
    "write": "mirror",
    "key": ["doforms_key"],
    "guard": "number",
    "on_delete": {"set": {"gone": True}},
    "columns": {"doforms_key": "{{ record.fields.id }}", "site": "{{ record.fields.site }}"},
    "children": [
        {
            "table": "findings",
            "rows": "record.fields.findings",
            "parent": {"inspection_key": "{{ record.fields.id }}"},
            "columns": {"finding": "{{ row.finding }}"},
        }
    ],
}


@pytest.fixture(params=["transaction", "session"])
def pooler(request: pytest.FixtureRequest, place: Any) -> Iterator[PgBouncer]:
    place.run(
        "CREATE TABLE inspections (doforms_key TEXT PRIMARY KEY, site TEXT, number BIGINT, gone BOOLEAN)",
        "CREATE TABLE findings (inspection_key TEXT REFERENCES inspections, finding TEXT)",
    )
    size = 20 if request.param == "session" else 3  # for a transaction, fewer than the destination opens
    made = PgBouncer(make_url(place.settings["url"]), request.param, default_pool_size=size)
    yield made
    made.end()


def through(pooler: PgBouncer, **query: str) -> Database:
    url = pooler.url().update_query_dict(query).render_as_string()
    return Database(settings(DatabaseSettings, url=url, schema="forms"), make_context("warehouse"))


def records(delivery: Any, count: int, site: str = "Dock") -> list[Any]:
    return [
        delivery(
            record=make_record(id=f"s{one}", site=site, findings=[{"finding": "rust"}, {"finding": "crack"}]),
            unique=f"{site}{one}",
            **OPTIONS,
        )
        for one in range(count)
    ]


@on_postgresql
@pytest.mark.parametrize("query", [{}, {"connect_timeout": "5", "prepare_threshold": "none"}])
async def test_records_with_children_go_through_a_pooler(
    query: dict[str, str], pooler: PgBouncer, place: Any, delivery: Any
) -> None:
    database = through(pooler, **query)
    for site in ("Dock", "Quay"):
        made = records(delivery, 60, site)
        results = await asyncio.gather(*(database.deliver_many(made[start::12]) for start in range(12)))
        assert {type(one) for group in results for one in group} == {Receipt}
    assert place.rows("SELECT count(*), min(site) FROM inspections") == [(60, "Quay")]
    assert place.rows("SELECT count(*) FROM findings") == [(120,)]
    await database.close()


@on_postgresql
async def test_limits_stay_with_their_transaction(pooler: PgBouncer, place: Any, delivery: Any) -> None:
    database = through(pooler)
    await database.deliver_many(records(delivery, 5))
    engine = make_engine(settings(DatabaseSettings, url=pooler.url().render_as_string(), schema="forms"))
    with engine.connect() as connection:
        assert connection.execute(text("SHOW lock_timeout")).scalar() == "10s"
    with contextlib.closing(engine.raw_connection()) as raw:
        for _ in range(5):
            assert raw.cursor().execute("SHOW lock_timeout").fetchone() == ("0",)
            raw.commit()
    engine.dispose()
    await database.close()


@on_postgresql
@pytest.mark.parametrize("pooler", ["transaction"], indirect=True)
async def test_a_lost_prepared_statement_is_tried_again(pooler: PgBouncer, place: Any, delivery: Any) -> None:
    database = through(pooler, prepare_threshold="0")
    results = []
    for _ in range(4):
        made = records(delivery, 12)
        groups = await asyncio.gather(*(database.deliver_many(made[start::6]) for start in range(6)))
        results += [one for group in groups for one in group]
    failures = [one for one in results if not isinstance(one, Receipt)]
    assert failures
    assert {type(one) for one in failures} == {Unavailable}
    assert any("prepare_threshold" in str(one) for one in failures)
    assert not any(getattr(one, "whole", False) for one in failures)
    await database.close()


@on_postgresql
@pytest.mark.parametrize("pooler", ["statement"], indirect=True)
async def test_a_pooler_that_lends_for_a_statement_is_refused_with_the_remedy(
    pooler: PgBouncer, place: Any, delivery: Any
) -> None:
    database = through(pooler)
    with pytest.raises(Misconfigured, match="pool_mode = transaction"):
        await database.deliver(records(delivery, 1)[0])
    [finding] = await database.check([])
    assert "pool_mode = transaction" in finding.found
    await database.close()


@on_postgresql
@pytest.mark.parametrize("pooler", ["transaction"], indirect=True)
async def test_what_a_pooler_does_not_pass_on_is_told(pooler: PgBouncer, place: Any, delivery: Any) -> None:
    database = through(pooler, options="-c search_path=forms")
    with pytest.raises(Misconfigured, match="PgBouncer does not pass this on"):
        await database.deliver(records(delivery, 1)[0])
    await database.close()


@on_postgresql
@pytest.mark.parametrize("pooler", ["session"], indirect=True)
@pytest.mark.parametrize("when", ["before", "amid", "at the commit"])
async def test_server_that_says_nothing_any_more_is_given_up(
    when: str, pooler: PgBouncer, place: Any, delivery: Any
) -> None:
    made = settings(DatabaseSettings, url=pooler.url().render_as_string(), schema="forms")
    engine, tables = make_engine(made, wait=1), Tables(made.schema_)
    assert isinstance(write_all(engine, tables, records(delivery, 1))[0], Receipt)
    if when == "before":
        pooler.freeze()
    elif when == "amid":
        listen(engine, "before_cursor_execute", lambda *_: pooler.freeze())
    else:
        listen(engine, "commit", lambda _: pooler.freeze())
    started = time.monotonic()
    [failure] = await asyncio.to_thread(write_all, engine, tables, records(delivery, 1, "Quay"))
    assert time.monotonic() - started < 30  # not for ever
    assert type(failure) is (Uncertain if when == "at the commit" else Unavailable)
    pooler.thaw()
    engine.dispose()
    again = make_engine(made)
    assert isinstance(write_all(again, tables, records(delivery, 1, "Pier"))[0], Receipt)
    assert place.rows("SELECT site FROM inspections") == [("Pier",)]
    again.dispose()


@on_postgresql
async def test_a_replica_after_a_fail_over_is_left_for_another_session(place: Any, delivery: Any) -> None:
    place.run("CREATE TABLE inspections (doforms_key TEXT PRIMARY KEY, site TEXT, number BIGINT, gone BOOLEAN)")
    database = Database(settings(DatabaseSettings, **place.settings), make_context("warehouse"))
    made = delivery(record=make_record(id="s1", site="x"), **{**OPTIONS, "children": []})
    await database.deliver(made)
    name = make_url(place.settings["url"]).database
    place.run(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    try:
        await database.close()
        with pytest.raises(Unavailable, match="as a replica does") as caught:
            await database.deliver(made)
        assert caught.value.whole
    finally:
        place.run(
            "SET default_transaction_read_only = off", f'ALTER DATABASE "{name}" RESET default_transaction_read_only'
        )
    assert isinstance(await database.deliver(made), Receipt)
    await database.close()


@pytest.mark.parametrize("state", ["26000", "42P05"])
def test_both_codes_of_a_lost_prepared_statement_are_unavailable(state: str) -> None:
    import psycopg

    error = psycopg.errors.lookup(state)("said by the server")
    failure = failure_of(DBAPIError.instance("INSERT", {}, error, psycopg.Error))  # type: ignore[arg-type]
    assert type(failure) is Unavailable
    assert not failure.whole


@pytest.mark.parametrize(
    ("url", "argument", "value"),
    [
        ("postgresql://db/x", "prepare_threshold", None),
        ("postgresql://db/x?prepare_threshold=0", "prepare_threshold", 0),
        ("postgresql://db/x?prepare_threshold=None", "prepare_threshold", None),
        ("postgresql://db/x?connect_timeout=5", "connect_timeout", 5),
        ("postgresql://db/x?sslmode=require", "connect_timeout", 10),
        ("postgresql://db/x?keepalives_idle=7", "keepalives_idle", 7),
        ("mysql://db/x?read_timeout=7", "read_timeout", 7),
        ("mysql://db/x?ssl_disabled=false", "ssl_disabled", False),
        ("mariadb://db/x?ssl_verify_cert=Yes", "ssl_verify_cert", True),
        ("mariadb://db/x?max_allowed_packet=1000", "max_allowed_packet", 1000),
    ],
)
def test_a_url_is_read_as_its_driver_wants_it(url: str, argument: str, value: Any) -> None:
    made = settings(DatabaseSettings, url=url)
    left, arguments = arguments_of(made.location, 10)
    assert arguments[argument] == value
    assert type(arguments[argument]) is type(value)
    assert argument not in left.query


def test_what_the_url_leaves_to_sqlalchemy_is_not_overruled() -> None:
    left, arguments = arguments_of(make_url("sqlite:////x.db?timeout=3"), 10)
    assert left.query == {"timeout": "3"}
    assert "timeout" not in arguments


@pytest.mark.parametrize(
    "query",
    [
        "prepare_threshold=often",
        "prepare_threshold=-1",
        "connect_timeout=5s",
        "connect_timeout=1_0",
        "connect_timeout=5&connect_timeout=6",
        "autocommit=true",
    ],
)
def test_what_a_driver_cannot_take_is_refused_with_its_name(query: str) -> None:
    with pytest.raises(ValidationError, match=query.partition("=")[0]):
        settings(DatabaseSettings, url=f"postgresql://db/x?{query}")
