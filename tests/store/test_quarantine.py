"""Quarantine in the store: bounded in bytes and number, chosen by code, text and time, and out of it once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from gateway.errors import Misfit
from gateway.models import AlarmKind
from gateway.store.engine.database import Database
from gateway.store.engine.migrate import migrate
from gateway.store.operator import quarantine
from gateway.store.operator.alarm_conditions import STANDS
from gateway.store.operator.quarantine import MOST_BYTES, NewEntry, QuarantineFilter
from gateway.store.store import Store
from gateway.store.work import alarms
from tests.store.test_upgrades import Open, released

MEBIBYTE = 1024 * 1024


def entry(body: bytes = b"[]", code: Misfit = Misfit.NO_OBJECT, **more: object) -> NewEntry:
    values = {"path": "/hook", "client": None, "reason": "no object", "body": body, "code": code}
    return NewEntry(**(values | more))  # type: ignore[arg-type]


async def put(store: Store, *entries: NewEntry) -> list[int]:
    return [await store.write(lambda c, one=one: quarantine.add(c, one)) for one in entries]


async def test_oldest_give_way_to_what_comes_beyond_the_bytes_that_are_kept(store: Store) -> None:
    numbers = await put(store, *[entry(b"[" + b" " * (4 * MEBIBYTE - 2) + b"]")] * 20)
    kept = await store.read(lambda c: quarantine.find(c, limit=100))
    assert [one.id for one in kept] == numbers[:3:-1]
    assert await store.read(quarantine.size) == sum(len(one.body) for one in kept) == MOST_BYTES
    assert await store.write(lambda c: quarantine.give_way(c, most=9 * MEBIBYTE)) == 56 * MEBIBYTE
    assert [one.id for one in await store.read(quarantine.find)] == numbers[:-3:-1]
    await store.write(lambda c: quarantine.give_way(c, most=0))
    assert await store.read(quarantine.size) == 0


@pytest.mark.parametrize("code", list(Misfit))
async def test_of_what_is_no_json_only_the_beginning_is_kept(store: Store, code: Misfit) -> None:
    [number] = await put(store, entry(b"x" * 100_000, code))
    [kept] = await store.read(lambda c: quarantine.find(c, number=number))
    is_json = code in (Misfit.NO_OBJECT, Misfit.IDENTIFIER, Misfit.TOO_DEEP, Misfit.TOO_MANY)
    assert (len(kept.body), kept.full_size, kept.code) == (100_000 if is_json else 4096, 100_000, code)


async def test_entries_are_chosen_by_code_text_and_time(store: Store) -> None:
    first, second = await put(store, entry(), entry(code=Misfit.IDENTIFIER, reason="`Key` is 100%_ missing"))

    async def fits(**wanted: object) -> list[int]:
        chosen = QuarantineFilter(**wanted)  # type: ignore[arg-type]
        found = await store.read(lambda c: quarantine.find_ids(c, chosen))
        listed = await store.read(lambda c: quarantine.find(c, wanted=chosen))
        assert sorted(one.id for one in listed) == [number for number, _, _ in found]
        return [number for number, _, _ in found]

    hour = timedelta(hours=1)
    assert await fits() == [first, second]
    assert await fits(code=Misfit.IDENTIFIER) == [second]
    assert await fits(error="kEY` is 100%_") == [second]
    assert await fits(error="100%x") == []
    assert await fits(since=datetime.now(UTC) - hour, until=datetime.now(UTC) + hour) == [first, second]
    assert await fits(since=datetime.now(UTC) + hour) == []


async def test_alarm_of_a_code_ends_with_its_last_entry(store: Store) -> None:
    first, second, _ = await put(store, entry(), entry(), entry(code=Misfit.PACKED))
    for code in ("no-object", "packed"):
        await store.write(lambda c, code=code: alarms.raise_alarm(c, AlarmKind.QUARANTINED, code, "text"))
    for number, left in ((first, True), (second, False)):
        assert await store.write(lambda c, one=number: quarantine.remove(c, [one, 10**6])) == [number]
        assert await store.read(lambda c: STANDS[AlarmKind.QUARANTINED](c, "no-object")) is left
        raised = [one.subject for one in await store.read(alarms.list_alarms)]
        assert ("no-object" in raised) is left
        assert "packed" in raised


def test_entries_of_an_older_gateway_are_counted_after_the_upgrade(empty: Open) -> None:
    database: Database = empty()
    released(database, "0001")
    with database.write() as connection:
        old = "INSERT INTO quarantine (id, received_at, path, reason, body) VALUES (1, 1, '/', 'old', :body)"
        connection.execute(text(old), {"body": b"\xff" * 1000})
    migrate(database)
    with database.read() as connection:
        [one] = quarantine.find(connection)
        assert (one.code, one.full_size, one.senders, one.coding) == ("unknown", 1000, None, None)
        assert quarantine.size(connection) == 1000
