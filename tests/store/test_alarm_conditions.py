"""What waits and why, and the causes of alarms, as the store shows them."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, update

from gateway.models import DeliveryState, FetchState, Outcome, ReasonCode, ReportState
from gateway.store.engine.transaction_time import SECOND, now
from gateway.store.operator import alarm_conditions, pauses
from gateway.store.operator.actions import Actor
from gateway.store.operator.alarm_conditions import STANDS, Waiting
from gateway.store.operator.drop import drop_unmatched
from gateway.store.operator.pauses import Pause
from gateway.store.store import Store
from gateway.store.tables import deliveries, notifications
from gateway.store.work import alarms, outbox
from gateway.store.work.outbox import Report
from gateway.store.work.queue import Settlement
from tests.support.keeping import WEBSERVICE, keep, notification

HOUR = 3600 * SECOND


async def put_off(store: Store, reason: str, code: ReasonCode | None = None, subject: str | None = None) -> None:
    """Put off what is due, for this reason."""
    wait = {"attempt_id": None, "state": DeliveryState.PENDING, "due_at": now() + HOUR, "counted": False}
    claimed = await store.claim({"table": 9, "mail": 9})
    settlements = [Settlement(due=due, reason=reason, code=code, subject=subject, **wait) for due in claimed]  # type: ignore[arg-type]
    await store.settle(settlements)


async def stands(store: Store, kind: str) -> bool:
    return await store.read(lambda connection: STANDS[kind](connection, WEBSERVICE))


async def test_what_waits_is_counted_by_its_way_through_the_routes_file(store: Store) -> None:
    for key in ("n1", "n2"):
        await store.submit(keep(notification(key), to=("table", "mail")))
    await store.submit(keep(notification("n3", record="r3"), to=("mail",)))
    assert await store.read(alarm_conditions.waiting_destinations) == {"table", "mail"}
    found = await store.read(alarm_conditions.waiting_deliveries)
    assert sorted(found, key=lambda one: one.name) == [
        Waiting(route="route", name="mail", destination="mail", deliveries=3),
        Waiting(route="route", name="table", destination="table", deliveries=2),
    ]


async def test_what_waits_for_a_cause_is_made_due_and_nothing_else_whatever_its_reason_says(store: Store) -> None:
    first = await store.submit(keep(notification("n1"), to=("table",)))
    await put_off(store, "refused", ReasonCode.WEBSERVICE_WAITS, WEBSERVICE)
    await store.submit(keep(notification("n2", record="r2"), to=("table",)))
    await put_off(store, "the web service answered 503")
    assert await store.read(lambda c: alarm_conditions.waits_because(c, ReasonCode.WEBSERVICE_WAITS))
    assert not await store.read(
        lambda c: alarm_conditions.waits_because(c, ReasonCode.NOT_LOADED, ReasonCode.ACCOUNT_WAITS)
    )
    await store.write(lambda c: alarm_conditions.make_due(c, ReasonCode.WEBSERVICE_WAITS))
    [due] = await store.claim({"table": 9})
    assert due.notification_id == first.id
    assert not await store.read(lambda c: alarm_conditions.waits_because(c, ReasonCode.WEBSERVICE_WAITS))


async def paused(store: Store, name: str) -> None:
    pause = Pause(kind="webservice", name=name, cause="unauthorised", reason="refused", since=now(), until=None)
    await store.write(lambda c: pauses.pause(c, pause))


async def test_ending_the_pause_of_a_web_service_lets_go_what_waited_for_it(store: Store) -> None:
    await store.submit(keep())
    await paused(store, WEBSERVICE)
    await put_off(store, "it is paused", ReasonCode.WEBSERVICE_WAITS, WEBSERVICE)
    assert await stands(store, "webservice paused")
    assert await store.write(lambda c: pauses.resume(c, "webservice", WEBSERVICE))
    assert not await stands(store, "webservice paused")
    assert len(await store.claim({"table": 1})) == 1


@pytest.mark.parametrize(
    ("code", "subject"),
    [
        (ReasonCode.WEBSERVICE_WAITS, "acme$$1$$Published$$3"),
        (ReasonCode.WEBSERVICE_WAITS, WEBSERVICE + "0"),
        (ReasonCode.ACCOUNT_WAITS, WEBSERVICE),
        (ReasonCode.NOT_LOADED, WEBSERVICE),
        (None, None),
    ],
)
async def test_ending_the_pause_of_a_web_service_leaves_what_waits_for_something_else_where_it_is(
    store: Store, code: ReasonCode | None, subject: str | None
) -> None:
    await store.submit(keep())
    await paused(store, WEBSERVICE)
    await put_off(store, f"the web service {WEBSERVICE} is paused: refused", code, subject)
    assert await store.write(lambda c: pauses.resume(c, "webservice", WEBSERVICE))
    assert await store.claim({"table": 1}) == []


async def test_an_unmatched_notification_is_decided_by_a_drop_not_by_what_its_reason_says(store: Store) -> None:
    kept = await store.submit(keep(matched=False, reason="dropped by nobody", alarm="no route"))
    assert await stands(store, "unmatched")
    await store.write(lambda c: drop_unmatched(c, [kept.id], Actor(who="ann")))
    assert not await stands(store, "unmatched")


async def test_the_causes_of_alarms_stand_as_long_as_the_store_shows_them(store: Store) -> None:
    assert not any([await stands(store, kind) for kind in STANDS])
    await store.submit(keep(matched=False, alarm="no route"))

    def spoil(connection: Connection) -> None:
        states = {"fetch_state": FetchState.GIVEN_UP.value, "report_state": ReportState.REFUSED.value}
        connection.execute(update(notifications).values(**states))
        connection.execute(update(deliveries).values(state=DeliveryState.DEAD.value))

    await store.write(spoil)
    for kind in ("unmatched", "record not fetched", "outcome not reported"):
        assert await stands(store, kind)


async def test_an_alarm_is_raised_once_and_counted_until_it_is_cleared(store: Store) -> None:
    new = [
        await store.write(lambda c, text=text: alarms.raise_alarm(c, "unmatched", WEBSERVICE, text))  # type: ignore[misc]
        for text in ("first", "second")
    ]
    assert new == [True, False]
    [one] = await store.read(alarms.list_alarms)
    assert (one.text, one.times) == ("second", 2)
    assert one.raised <= one.last
    assert await store.write(lambda c: alarms.clear_by_id(c, one.id))
    assert not await store.write(lambda c: alarms.clear_by_id(c, one.id))
    assert await store.write(lambda c: alarms.raise_alarm(c, "unmatched", WEBSERVICE, "third"))


async def test_a_report_that_is_handed_back_is_due_at_once_unless_another_holds_it(store: Store) -> None:
    await store.submit(keep(to=(), outcome=Outcome.COMPLETED))
    await store.write(lambda c: c.execute(update(notifications).values(report_due_at=now())))

    async def claimed(token: str) -> list[Report]:
        return await store.write(lambda c: outbox.claim_reports(c, most=1, token=token, lease=60.0))

    [report] = await claimed("one")
    assert await claimed("two") == []
    await store.write(lambda c: outbox.release(c, [report]))
    assert len(await claimed("two")) == 1
    await store.write(lambda c: outbox.release(c, [report]))
    assert await claimed("three") == []
