"""The marks: one process moves one, forward only; and what notifications say that doForms received."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.models import Event
from gateway.store.engine.transaction_time import now, to_store
from gateway.store.store import Store
from gateway.store.work import watermarks
from gateway.store.work.watermarks import Mark
from tests.support.keeping import WEBSERVICE, keep, notification

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


async def test_a_mark_is_taken_by_one_and_goes_only_forward(store: Store) -> None:
    def take(token: str, **more: int) -> Mark | None:
        with store.database.write() as connection:
            return watermarks.take(connection, "a", token=token, lease=more.pop("lease", 60), before=more.get("before"))

    assert take("one") == Mark(webservice_id="a", held=True)
    assert take("two") is None
    for until in (50, None, 20):
        await store.write(lambda c, at=until: watermarks.go_on(c, "a", token="one", lease=60, until=at))
    assert not await store.write(lambda c: watermarks.go_on(c, "a", token="two", lease=60, until=99))
    await store.write(lambda c: watermarks.let_go(c, "a", token="one", ended=True))
    mark = (await store.read(watermarks.marks))["a"]
    assert (mark.until, mark.held) == (50, False)
    assert mark.round_at is not None
    assert take("two", before=mark.round_at - 1) is None
    assert take("two", before=mark.round_at, lease=-1) is not None
    assert take("three") is not None  # the lease has lapsed
    await store.write(watermarks.void_leases)
    assert take("four") is not None


async def test_each_web_service_has_a_mark_of_its_own(store: Store) -> None:
    for name in ("a", "b"):
        await store.write(lambda c, of=name: watermarks.take(c, of, token=f"of {of}", lease=60))
    assert await store.write(lambda c: watermarks.go_on(c, "a", token="of a", lease=60, until=50))
    assert not await store.write(lambda c: watermarks.go_on(c, "b", token="of a", lease=60, until=50))
    await store.write(lambda c: watermarks.let_go(c, "a", token="of a", ended=False))
    assert await store.read(watermarks.marks) == {
        "a": Mark(webservice_id="a", until=50),
        "b": Mark(webservice_id="b", held=True),
    }


async def test_what_notifications_tell_of_a_window_is_found_among_others(store: Store) -> None:
    for number in range(40):
        created = AT + timedelta(minutes=number - 20)
        await store.submit(keep(notification(f"n{number}", record=f"r{number}", created=created, received=created)))
    for key, event in (("r20", Event.UPDATE), ("r21", Event.DELETE)):
        await store.submit(keep(notification(key, record=key, event=event, created=AT, received=AT)))
    begin, end = to_store(AT), to_store(AT + timedelta(minutes=5))
    assert begin is not None
    assert end is not None
    found = await store.read(lambda c: watermarks.said_to_be_created(c, WEBSERVICE, begin, end, most=9))
    assert sorted(found) == ["r22", "r23", "r24"]
    assert await store.read(lambda c: watermarks.said_to_be_created(c, "other", begin, end, most=9)) == {}
    assert len(await store.read(lambda c: watermarks.said_to_be_created(c, WEBSERVICE, 0, now(), most=2))) == 2


async def test_a_window_is_found_among_notifications_of_many_hours(store: Store) -> None:
    for number in range(40):
        created = AT + timedelta(hours=number - 20)
        await store.submit(keep(notification(f"n{number}", record=f"r{number}", created=created, received=created)))
    for hours, records in ((-30, []), (-20, ["r0", "r1", "r2"]), (0, ["r20", "r21", "r22"]), (18, ["r38", "r39"])):
        begin, end = (to_store(AT + timedelta(hours=hours + more)) or 0 for more in (0, 3))
        found = await store.read(
            lambda c, begin=begin, end=end: watermarks.said_to_be_created(c, WEBSERVICE, begin, end, most=9)
        )
        assert sorted(found) == records


async def test_of_an_empty_store_nothing_is_found(store: Store) -> None:
    assert await store.read(lambda c: watermarks.said_to_be_created(c, WEBSERVICE, 0, now(), most=9)) == {}
