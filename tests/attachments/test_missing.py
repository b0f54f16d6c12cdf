"""Attachments that are given up: what is without them, the alarm, and how it ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.attachments.attachment_set import NOTHING
from gateway.models import AttachmentState
from gateway.retry import GivenUp, PutOff
from gateway.store.operator.alarm_conditions import STANDS
from gateway.store.work import attachments
from tests.attachments.conftest import Desk
from tests.support.keeping import WEBSERVICE

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_one_that_is_given_up_is_missing_and_raises_an_alarm(desk: Desk) -> None:
    desk.load("attachment_retry = { attempts = 1 }")
    photo, other = desk.put(), desk.put("p2")
    desk.parts.doforms.faults.add(path_contains="/blobs/p1", status=404, times=None)
    found = await desk.attached(photo=photo, other=other)
    assert [one.key for one in found.attachments] == ["p2"]
    [missing] = found.missing
    assert str(missing).startswith("photo (p1.jpg) could not be downloaded: given up after 1 attempt: doForms answered")
    [alarm] = await desk.parts.alarms()
    assert (alarm.kind, alarm.subject) == ("attachment missing", WEBSERVICE)
    assert "n1: photo (p1.jpg)" in alarm.text
    assert await desk.parts.store.read(lambda c: STANDS[alarm.kind](c, WEBSERVICE))


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ('largest_attachment = "1kB"', "and `largest_attachment` allows 1000"),
        ('attachment_types = ["image/png", "audio/*"]', "it is image/jpeg, and `attachment_types` allows"),
    ],
)
async def test_what_the_settings_refuse_is_refused_at_once(desk: Desk, setting: str, told: str) -> None:
    desk.load(setting)
    found = await desk.attached(photo=desk.put())
    assert told in found.missing[0].reason
    assert (found.attachments, desk.files(), desk.asked()) == ((), [], ["p1"])


async def test_a_delivery_that_requires_it_is_given_up_with_it(desk: Desk) -> None:
    desk.load("attachment_retry = { attempts = 1 }")
    desk.parts.doforms.faults.add(path_contains="/blobs/", status=404)
    with pytest.raises(GivenUp, match=r"1 attachment of 1 missing: photo \(p1.jpg\) could not be downloaded"):
        await desk.attached(photo=desk.put(), required=True)


async def test_a_delivery_that_requires_them_does_not_wait_for_others_once_one_is_given_up(desk: Desk) -> None:
    desk.load('largest_attachment = "1kB"')
    desk.parts.doforms.faults.add(path_contains="/blobs/p2", status=503)
    photos = {"photo": desk.put(), "other": desk.put("p2", content=b"\xff\xd8 small")}
    with pytest.raises(GivenUp, match=r"1 attachment of 2 missing: photo \(p1.jpg\)"):
        await desk.attached(required=True, **photos)
    assert (await desk.rows())["p2"].state is AttachmentState.DUE


async def test_what_was_given_up_is_tried_again_by_a_replay_and_its_alarm_ends_when_it_has_come(desk: Desk) -> None:
    async def stands() -> bool:
        return await desk.parts.store.read(lambda c: STANDS["attachment missing"](c, WEBSERVICE))

    desk.load("attachment_retry = { attempts = 2, first = '1ms' }")
    desk.parts.doforms.faults.add(path_contains="/blobs/", status=404, times=3)
    await desk.put_off(photo=desk.put())
    assert not await stands()
    await desk.again()
    assert await stands()
    id_ = (await desk.parts.row("n1")).id
    await desk.parts.store.write(lambda c: attachments.try_again(c, [id_], afresh=False))
    assert await stands()
    with pytest.raises(PutOff):
        await desk.again()
    assert await stands()
    found = await desk.again()
    assert (len(found.attachments), found.missing) == (1, ())
    assert not await stands()


async def test_a_photo_that_a_later_notification_brings_is_not_missing_any_more(desk: Desk) -> None:
    desk.load("attachment_retry = { attempts = 1 }")
    desk.parts.doforms.faults.add(path_contains="/blobs/", status=404)
    await desk.attached(photo=desk.put())
    assert await desk.parts.store.read(lambda c: STANDS["attachment missing"](c, WEBSERVICE))
    assert (await desk.attached("n2", photo=desk.put())).missing == ()
    assert not await desk.parts.store.read(lambda c: STANDS["attachment missing"](c, WEBSERVICE))


async def test_what_the_record_does_not_name_any_more_when_it_is_fetched_again_is_forgotten(desk: Desk) -> None:
    desk.load("attachment_retry = { attempts = 1 }")
    desk.parts.doforms.faults.add(path_contains="/blobs/p1", status=404)
    await desk.attached(photo=desk.put())
    kept = await desk.parts.kept((await desk.parts.row("n1")).id)
    record = (await desk.parts.desk.records(kept)).record
    assert record is not None
    taken_anew = replace(record, paths={"photo": desk.put("p2")})
    assert len((await desk.desk.attached(kept, taken_anew, required=True)).attachments) == 1
    assert (await desk.rows()).keys() == {"p2"}
    assert not await desk.parts.store.read(lambda c: STANDS["attachment missing"](c, WEBSERVICE))
    assert await desk.desk.attached(kept, replace(record, paths={}), required=True) == NOTHING
    assert await desk.rows() == {}
