"""Downloads: what is brought into the spool for a notification, and what is brought but once."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from gateway.attachments.attachment_set import Attached
from gateway.doforms.record import decode_record
from gateway.models import AttachmentState, Event, RecordKind
from gateway.retry import PutOff
from gateway.store.work import attachments
from tests.attachments.conftest import PHOTO, Desk
from tests.support.keeping import WEBSERVICE

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_photo_is_downloaded_into_the_spool_with_its_checksum(desk: Desk) -> None:
    found = await desk.attached(photo=desk.put(file_name="Dock 4.jpg"))
    [one] = found.attachments
    assert (one.place, one.question, one.filename, one.content_type) == ("photo", "photo", "Dock 4.jpg", "image/jpeg")
    assert (one.size, one.sha256) == (len(PHOTO), hashlib.sha256(PHOTO).hexdigest())
    assert one.path.read_bytes() == PHOTO
    assert desk.files() == [one.path]
    row = (await desk.rows())["p1"]
    assert (row.state, row.sha256, row.attempts) == (AttachmentState.SPOOLED, one.sha256, 0)


async def test_attachments_in_sections_and_tables_are_found_where_they_stand(desk: Desk) -> None:
    a, b, c = (desk.put(key) for key in ("a", "b", "c"))
    found = await desk.attached(safety={"sign": a}, findings=[{"text": "ok", "photo": b}, {"photo": c}])
    assert [one.place for one in found.attachments] == ["safety.sign", "findings[0].photo", "findings[1].photo"]


async def test_one_that_stands_in_two_places_is_downloaded_once(desk: Desk) -> None:
    photo = desk.put()
    found = await desk.attached(photo=photo, again=photo)
    assert [one.place for one in found.attachments] == ["photo", "again"]
    assert desk.asked() == ["p1"]


async def test_deliveries_of_one_notification_share_a_download(desk: Desk) -> None:
    await desk.attached(photo=desk.put())
    kept = await desk.parts.kept((await desk.parts.row("n1")).id)
    record = (await desk.parts.desk.records(kept)).record
    for _ in range(2):
        await asyncio.gather(*(desk.desk.attached(kept, record, required=False) for _ in range(3)))
    assert desk.asked() == ["p1"]


async def test_a_file_that_was_lost_is_downloaded_again(desk: Desk) -> None:
    [one] = (await desk.attached(photo=desk.put())).attachments
    one.path.unlink()
    [again] = (await desk.attached(photo=desk.put())).attachments
    assert again.path.read_bytes() == PHOTO


async def test_the_path_of_a_download_is_a_setting(desk: Desk) -> None:
    desk.load('blob_path = "submissions/{record_key}/files/{id}"')
    with pytest.raises(PutOff):
        await desk.attached(photo=desk.put("p/1"))
    assert [one.path for one in desk.parts.doforms.requests][-1].endswith("/submissions/r1/files/id-p/1")
    desk.load('blob_path = "submissions/{record_id}/files/{key}"')
    record = decode_record(b'{"key": "r/1", "photo": {"key": "p1", "fileName": "a.jpg"}}', kind=RecordKind.SUBMISSION)
    with pytest.raises(PutOff):
        await desk.desk.attached(await desk.parts.keep("n2"), record, required=False)
    assert [one.path for one in desk.parts.doforms.requests][-1].endswith("/submissions/r/1/files/p1")


async def test_nothing_is_downloaded_for_a_delete(desk: Desk) -> None:
    desk.parts.doforms.put_record(WEBSERVICE, "r1", {"photo": desk.put()})
    await desk.parts.desk.records(await desk.parts.keep("n1"))
    deleted = await desk.parts.keep("n2", event=Event.DELETE, fetch=False)
    found = await desk.parts.desk.records(deleted)
    assert found.record is not None
    assert await desk.desk.attached(deleted, found.record, required=True) == Attached()
    assert desk.asked() == []


async def test_an_edit_downloads_only_what_is_new(desk: Desk) -> None:
    first = (await desk.attached(photo=desk.put())).attachments
    second = (await desk.attached("n2", photo=desk.put(), sign=desk.put("p2"))).attachments
    assert desk.asked() == ["p1", "p2"]
    assert second[0].sha256 == first[0].sha256
    first[0].path.unlink()
    assert second[0].path.read_bytes() == PHOTO


async def test_a_replay_that_fetches_anew_downloads_anew(desk: Desk) -> None:
    for key in ("n1", "n2"):
        await desk.attached(key, photo=desk.put())
    id_ = (await desk.parts.row("n2")).id
    await desk.parts.store.write(lambda c: attachments.try_again(c, [id_], afresh=True))
    desk.put(content=PHOTO + b"!")
    [one] = (await desk.again("n2")).attachments
    assert one.path.read_bytes() == PHOTO + b"!"
    assert desk.asked() == ["p1", "p1"]


async def test_downloads_leave_half_of_the_slots_to_records(desk: Desk) -> None:
    photos = {f"photo{number}": desk.put(f"p{number}") for number in range(6)}
    desk.parts.doforms.faults.add(path_contains="/blobs/", status=None, delay=0.15, times=2)
    downloads = asyncio.create_task(desk.attached(**photos))
    await asyncio.sleep(0.1)
    assert len(desk.asked()) == 0  # two are under way: they are noted when they are answered
    desk.parts.doforms.put_record(WEBSERVICE, "r2", {"site": "Pier"})
    await desk.parts.desk.records(await desk.parts.keep("n2", "r2"))
    assert desk.asked() == []
    assert len((await downloads).attachments) == 6


async def test_photos_of_backfilled_records_do_not_hold_up_those_of_others(desk: Desk) -> None:
    parts = desk.parts
    desk.load("max_in_flight = 1")
    for key in ("old", "new"):
        parts.doforms.put_record(WEBSERVICE, key, {"photo": desk.put(f"p-{key}")})
    old, new = await parts.keep("backfill:old", "old"), await parts.keep("n-new", "new")
    records = [(await parts.desk.records(one)).record for one in (old, new)]
    parts.doforms.faults.add(path_contains="/submissions/", status=None, delay=0.5)
    under_way = asyncio.create_task(parts.desk.records(await parts.keep("n1")))
    await asyncio.sleep(0.05)
    downloads = [asyncio.create_task(desk.desk.attached(old, records[0], required=False))]
    await asyncio.sleep(0.05)
    downloads.append(asyncio.create_task(desk.desk.attached(new, records[1], required=False)))
    await asyncio.gather(under_way, *downloads)
    assert desk.asked() == ["p-new", "p-old"]
