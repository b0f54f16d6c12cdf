"""Pauses: kept in the store, with an alarm, until their cause ends."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from gateway.pauses import PROBE_AFTER, Cause, Kind, Pauses
from gateway.store.engine.transaction_time import from_store
from gateway.store.operator import pauses
from gateway.store.operator.pauses import Pause
from gateway.store.store import Store
from gateway.store.work import alarms
from gateway.store.work.alarms import Alarm

pytestmark = pytest.mark.asyncio(loop_scope="module")
OVER = datetime.now(UTC) - timedelta(seconds=1)


async def kept(store: Store) -> list[Pause]:
    return await store.read(pauses.list_pauses)


async def raised(store: Store) -> list[Alarm]:
    return await store.read(alarms.list_alarms)


async def test_a_pause_is_known_at_once_kept_and_raises_an_alarm(store: Store) -> None:
    some = Pauses(store)
    await some.pause(Kind.DESTINATION, "table", "login refused", cause=Cause.MISCONFIGURED)
    assert some.reason(Kind.DESTINATION, "table") == "login refused"
    assert some.reason(Kind.WEBSERVICE, "table") is None
    assert some.names(Kind.DESTINATION) == ["table"]
    [one] = await kept(store)
    until = from_store(one.until)
    assert until is not None
    assert abs(until - datetime.now(UTC) - PROBE_AFTER) < timedelta(seconds=5)
    [alarm] = await raised(store)
    assert (alarm.kind, alarm.subject) == ("destination paused", "table")
    assert alarm.text.startswith("login refused. ")


MIDNIGHT = datetime(2999, 11, 27, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "cause", "until", "remedy"),
    [
        (
            Kind.DESTINATION,
            Cause.MISCONFIGURED,
            None,
            "Mend it, then `gateway destinations resume it` or `gateway reload`; it is tried with one delivery once "
            "an hour",
        ),
        (
            Kind.WEBSERVICE,
            Cause.UNAUTHORISED,
            None,
            "Mend its password; then `gateway webservices resume it`, or `gateway reload` if a running gateway has to "
            "learn the new one from a file; from an environment variable it learns it by a restart. It is tried again "
            "by itself once an hour",
        ),
        (
            Kind.WEBSERVICE,
            Cause.QUOTA,
            MIDNIGHT,
            "It goes on by itself at 2999-11-27 00:00 UTC; `gateway webservices resume it` lets it go on before that",
        ),
    ],
)
async def test_its_alarm_says_what_to_do_by_the_name_in_the_routes_file_and_when_it_goes_on_by_itself(
    store: Store, kind: Kind, cause: Cause, until: datetime | None, remedy: str
) -> None:
    some = Pauses(store)
    await some.pause(kind, "id", "refused", cause=cause, until=until, called="it")
    [alarm] = await raised(store)
    assert alarm.text == f"refused. {remedy}"
    assert some.remedy(kind, "id", called="it") == remedy
    assert some.remedy(kind, "other", called="it") is None


async def test_a_pause_that_is_over_lets_one_call_probe(store: Store) -> None:
    some = Pauses(store)
    await some.pause(Kind.DESTINATION, "table", "login refused", cause=Cause.MISCONFIGURED, until=OVER)
    assert some.reason(Kind.DESTINATION, "table") is None
    assert some.names(Kind.DESTINATION) == []
    assert some.probing(Kind.DESTINATION, "table")
    assert not some.probing(Kind.DESTINATION, "mail")


async def test_a_probe_that_works_ends_the_pause_and_its_alarm(store: Store) -> None:
    some = Pauses(store)
    await some.pause(Kind.DESTINATION, "table", "login refused", cause=Cause.MISCONFIGURED, until=OVER)
    await some.worked(Kind.DESTINATION, "table")
    assert not some.probing(Kind.DESTINATION, "table")
    assert (await kept(store), await raised(store)) == ([], [])


async def test_a_call_that_was_under_way_does_not_end_a_pause(store: Store) -> None:
    some = Pauses(store)
    await some.pause(Kind.DESTINATION, "table", "login refused", cause=Cause.MISCONFIGURED)
    await some.worked(Kind.DESTINATION, "table")
    assert some.reason(Kind.DESTINATION, "table") == "login refused"
    assert len(await raised(store)) == 1


async def test_a_probe_that_fails_pauses_again_under_the_same_alarm_and_since_the_same_time(store: Store) -> None:
    some = Pauses(store)
    await some.pause(Kind.DESTINATION, "table", "login refused", cause=Cause.MISCONFIGURED, until=OVER)
    [before] = await kept(store)
    await some.pause(Kind.DESTINATION, "table", "still refused", cause=Cause.MISCONFIGURED)
    assert some.reason(Kind.DESTINATION, "table") == "still refused"
    [after] = await kept(store)
    assert (after.since, after.reason) == (before.since, "still refused")
    assert len(await raised(store)) == 1


async def test_what_another_process_or_a_command_does_is_noticed(store: Store) -> None:
    some, other = Pauses(store), Pauses(store)
    await other.pause(Kind.WEBSERVICE, "acme", "refused", cause=Cause.UNAUTHORISED)
    assert some.reason(Kind.WEBSERVICE, "acme") is None
    await some.refresh()
    assert some.reason(Kind.WEBSERVICE, "acme") == "refused"
    await other.resume(Kind.WEBSERVICE, "acme")
    await some.refresh()
    assert some.reason(Kind.WEBSERVICE, "acme") is None


async def test_what_a_person_orders_is_neither_replaced_nor_ended_by_a_process_that_has_not_seen_it_yet(
    store: Store,
) -> None:
    some, person = Pauses(store), Pauses(store)
    await some.pause(Kind.DESTINATION, "table", "login refused", cause=Cause.MISCONFIGURED)
    await person.pause(Kind.DESTINATION, "table", "moving house", cause=Cause.ORDERED)
    await some.pause(Kind.DESTINATION, "table", "login refused again", cause=Cause.MISCONFIGURED)
    assert [(one.cause, one.reason) for one in await kept(store)] == [("ordered", "moving house")]
    await some.resume_if(Kind.DESTINATION, "table", Cause.MISCONFIGURED)
    assert [one.cause for one in await kept(store)] == ["ordered"]
    await some.refresh()
    assert some.reason(Kind.DESTINATION, "table") == "moving house"


async def test_new_settings_end_what_they_may_have_mended_but_not_a_quota(store: Store) -> None:
    some = Pauses(store)
    await some.pause(Kind.DESTINATION, "table", "login refused", cause=Cause.MISCONFIGURED)
    await some.pause(Kind.WEBSERVICE, "one", "refused", cause=Cause.UNAUTHORISED)
    await some.pause(Kind.WEBSERVICE, "two", "used up", cause=Cause.QUOTA)
    restarted = Pauses(store)
    await restarted.mended()
    assert [one.name for one in await kept(store)] == ["two"]
    assert [one.subject for one in await raised(store)] == ["two"]
    assert restarted.reason(Kind.WEBSERVICE, "two") == "used up"


async def test_a_look_at_the_store_that_began_before_a_pause_does_not_end_it(store: Store) -> None:
    some = Pauses(store)
    looking = asyncio.create_task(some.refresh())
    await asyncio.sleep(0)
    await some.pause(Kind.WEBSERVICE, "acme", "over quota", cause=Cause.QUOTA)
    await looking
    assert some.reason(Kind.WEBSERVICE, "acme") == "over quota"
