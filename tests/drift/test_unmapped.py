"""What a destination has no place for: an alarm for each question, until the destination takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy.exc import DBAPIError

from gateway.delivery.preparing.prepare import Job
from gateway.drift.tracker import Drift
from gateway.models import Event, Receipt
from gateway.records.fetcher import Records
from tests.support.keeping import WEBSERVICE, keep, notification
from tests.support.parts import ROUTES, Parts
from tests.support.records import answer, decode
from tests.support.sink import load_routes

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def drift(parts: Parts) -> Drift:
    return Drift(store=parts.store, active=parts.active)


async def job(parts: Parts, key: str, *, event: Event = Event.CREATE, **answers: Any) -> Job:
    await parts.store.submit(keep(notification(key, record=key, event=event)))
    [due] = await parts.store.claim({"table": 1})
    found = parts.active.delivery("route", "table")
    assert found is not None
    record = decode(*(answer(*pair) for pair in answers.items()))
    kept = await parts.kept(due.notification_id)
    return Job(due=due, kept=kept, route=found[0], spec=found[1], records=Records(record=record, known=True))


async def raised(parts: Parts, drift: Drift) -> list[tuple[str, str, int]]:
    await drift.write()
    return sorted((one.kind, one.subject, one.times) for one in await parts.alarms())


def receipt(**left_out: str) -> Receipt:
    return Receipt(summary="taken", left_out=left_out)


ALARM = ("question left out", "route/table: remarks", 1)


async def test_a_question_is_told_once_and_settled_when_it_was_taken(parts: Parts, drift: Drift) -> None:
    one = await job(parts, "n1", remarks="wet")
    for _ in range(3):
        drift.delivered(one, receipt(remarks="there is no such column"))
        assert await raised(parts, drift) == [ALARM]
    drift.delivered(await job(parts, "n2", other="x"), receipt())
    deleted = await job(parts, "n3", event=Event.DELETE, remarks="wet")
    drift.delivered(deleted, receipt())
    assert await raised(parts, drift) == [ALARM]
    [alarm] = await parts.alarms()
    assert alarm.text == (
        "the question 'remarks' of the form \"Inspection\" is left out by route route, delivery table: there is no "
        "such column. The rest is sent; make a place for it, and it is sent with the next record"
    )
    drift.delivered(one, receipt())
    assert await raised(parts, drift) == []


async def test_a_process_that_starts_later_settles_it_too(parts: Parts, drift: Drift) -> None:
    one = await job(parts, "n1", remarks="wet")
    drift.delivered(one, receipt(remarks="no column"))
    await drift.write()
    following = Drift(store=parts.store, active=parts.active)
    assert await raised(parts, following) == [ALARM]
    following.delivered(one, receipt())
    assert await raised(parts, following) == []


async def test_a_question_that_the_templates_of_the_delivery_take_elsewhere_is_none_left_out(
    parts: Parts, drift: Drift
) -> None:
    drift.delivered(await job(parts, "n1", site="Dock"), receipt(site="no column"))
    assert await raised(parts, drift) == []


async def test_what_could_not_be_written_is_told_the_next_time(parts: Parts, drift: Drift) -> None:
    one = await job(parts, "n1", remarks="wet")
    drift.delivered(one, receipt(remarks="no column"))
    await parts.store.write(lambda c: c.exec_driver_sql("ALTER TABLE alarms RENAME TO hidden"))
    await parts.store.write(lambda c: c.exec_driver_sql("CREATE VIEW alarms AS SELECT * FROM hidden"))
    with pytest.raises(DBAPIError):
        await drift.write()
    await parts.store.write(lambda c: c.exec_driver_sql("DROP VIEW alarms"))
    await parts.store.write(lambda c: c.exec_driver_sql("ALTER TABLE hidden RENAME TO alarms"))
    assert await raised(parts, drift) == [ALARM]


async def test_it_is_told_again_when_it_comes_again_after_it_was_settled(parts: Parts, drift: Drift) -> None:
    one = await job(parts, "n1", remarks="wet")
    for _ in range(2):
        drift.delivered(one, receipt(remarks="no column"))
        assert await raised(parts, drift) == [ALARM]
        drift.delivered(one, receipt())
        assert await raised(parts, drift) == []


async def test_it_ends_when_its_delivery_is_not_loaded_any_more(parts: Parts, drift: Drift, tmp_path: Path) -> None:
    drift.delivered(await job(parts, "n1", remarks="wet"), receipt(remarks="no column"))
    assert await raised(parts, drift) == [ALARM]
    text = ROUTES.format(api=parts.doforms.api, webservice=WEBSERVICE, more="", text="x")
    parts.active.load(load_routes(tmp_path, text.replace('name = "route"', 'name = "other"')))
    assert await raised(parts, drift) == []
