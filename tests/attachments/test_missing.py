"""Attachments that are given up: what is without them, the alarm, and how it ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.attachments.attachment_set import NOTHING
from gateway.models import AttachmentState
from gateway.retry import Deferred, GivenUp
from gateway.store.operator.alarm_conditions import STANDS
from gateway.store.work import attachments
from tests.attachments.conftest import Fetching
from tests.support.keeping import WEBSERVICE

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_one_that_is_given_up_is_missing_and_raises_an_alarm(fetcher: Fetching) -> None:
    fetcher.load("attachment_retry = { attempts = 1 }")
    photo, other = fetcher.put(), fetcher.put("p2")
    fetcher.parts.doforms.faults.add(path_contains="/blobs/p1", status=404, times=None)
    found = await fetcher.attached(photo=photo, other=other)
    assert [one.key for one in found.attachments] == ["p2"]
    [missing] = found.missing
    assert str(missing).startswith("photo (p1.jpg) could not be downloaded: given up after 1 attempt: doForms answered")
    [alarm] = await fetcher.parts.alarms()
    assert (alarm.kind, alarm.subject) == ("attachment missing", WEBSERVICE)
    assert "n1: photo (p1.jpg)" in alarm.text
    assert await fetcher.parts.store.read(lambda c: STANDS[alarm.kind](c, WEBSERVICE))


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ('largest_attachment = "1kB"', "and `largest_attachment` allows 1000"),
        ('attachment_types = ["image/png", "audio/*"]', "it is image/jpeg, and `attachment_types` allows"),
    ],
)
async def test_what_the_settings_refuse_is_refused_at_once(fetcher: Fetching, setting: str, told: str) -> None:
    fetcher.load(setting)
    found = await fetcher.attached(photo=fetcher.put())
    assert told in found.missing[0].reason
    assert (found.attachments, fetcher.files(), fetcher.asked()) == ((), [], ["p1"])


async def test_a_delivery_that_requires_it_is_given_up_with_it(fetcher: Fetching) -> None:
    fetcher.load("attachment_retry = { attempts = 1 }")
    fetcher.parts.doforms.faults.add(path_contains="/blobs/", status=404)
    with pytest.raises(GivenUp, match=r"1 attachment of 1 missing: photo \(p1.jpg\) could not be downloaded"):
        await fetcher.attached(photo=fetcher.put(), required=True)


async def test_a_delivery_that_requires_them_does_not_wait_for_others_once_one_is_given_up(fetcher: Fetching) -> None:
    fetcher.load('largest_attachment = "1kB"')
    fetcher.parts.doforms.faults.add(path_contains="/blobs/p2", status=503)
    photos = {"photo": fetcher.put(), "other": fetcher.put("p2", content=b"\xff\xd8 small")}
    with pytest.raises(GivenUp, match=r"1 attachment of 2 missing: photo \(p1.jpg\)"):
        await fetcher.attached(required=True, **photos)
    assert (await fetcher.rows())["p2"].state is AttachmentState.DUE


async def test_what_was_given_up_is_tried_again_by_a_replay_and_its_alarm_ends_when_it_has_come(
    fetcher: Fetching,
) -> None:
    async def stands() -> bool:
        return await fetcher.parts.store.read(lambda c: STANDS["attachment missing"](c, WEBSERVICE))

    fetcher.load("attachment_retry = { attempts = 2, first = '1ms' }")
    fetcher.parts.doforms.faults.add(path_contains="/blobs/", status=404, times=3)
    await fetcher.put_off(photo=fetcher.put())
    assert not await stands()
    await fetcher.again()
    assert await stands()
    id_ = (await fetcher.parts.row("n1")).id
    await fetcher.parts.store.write(lambda c: attachments.try_again(c, [id_], afresh=False))
    assert await stands()
    with pytest.raises(Deferred):
        await fetcher.again()
    assert await stands()
    found = await fetcher.again()
    assert (len(found.attachments), found.missing) == (1, ())
    assert not await stands()


async def test_a_photo_that_a_later_notification_brings_is_not_missing_any_more(fetcher: Fetching) -> None:
    fetcher.load("attachment_retry = { attempts = 1 }")
    fetcher.parts.doforms.faults.add(path_contains="/blobs/", status=404)
    await fetcher.attached(photo=fetcher.put())
    assert await fetcher.parts.store.read(lambda c: STANDS["attachment missing"](c, WEBSERVICE))
    assert (await fetcher.attached("n2", photo=fetcher.put())).missing == ()
    assert not await fetcher.parts.store.read(lambda c: STANDS["attachment missing"](c, WEBSERVICE))


async def test_what_the_record_does_not_name_any_more_when_it_is_fetched_again_is_forgotten(fetcher: Fetching) -> None:
    fetcher.load("attachment_retry = { attempts = 1 }")
    fetcher.parts.doforms.faults.add(path_contains="/blobs/p1", status=404)
    await fetcher.attached(photo=fetcher.put())
    kept = await fetcher.parts.kept((await fetcher.parts.row("n1")).id)
    record = (await fetcher.parts.fetcher.records(kept)).record
    assert record is not None
    taken_anew = replace(record, paths={"photo": fetcher.put("p2")})
    assert len((await fetcher.fetcher.attached(kept, taken_anew, required=True)).attachments) == 1
    assert (await fetcher.rows()).keys() == {"p2"}
    assert not await fetcher.parts.store.read(lambda c: STANDS["attachment missing"](c, WEBSERVICE))
    assert await fetcher.fetcher.attached(kept, replace(record, paths={}), required=True) == NOTHING
    assert await fetcher.rows() == {}
