"""Downloads: what is brought into the spool for a notification, and what is brought but once."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from gateway.attachments.attachment_set import AttachmentSet
from gateway.doforms.record import decode_record
from gateway.models import AttachmentState, Event, RecordKind
from gateway.retry import Deferred
from gateway.store.work import attachments
from tests.attachments.conftest import PHOTO, Fetching
from tests.support.keeping import WEBSERVICE

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_photo_is_downloaded_into_the_spool_with_its_checksum(fetcher: Fetching) -> None:
    found = await fetcher.attached(photo=fetcher.put(file_name="Dock 4.jpg"))
    [one] = found.attachments
    assert (one.place, one.question, one.filename, one.content_type) == ("photo", "photo", "Dock 4.jpg", "image/jpeg")
    assert (one.size, one.sha256) == (len(PHOTO), hashlib.sha256(PHOTO).hexdigest())
    assert one.path.read_bytes() == PHOTO
    assert fetcher.files() == [one.path]
    row = (await fetcher.rows())["p1"]
    assert (row.state, row.sha256, row.attempts) == (AttachmentState.SPOOLED, one.sha256, 0)


async def test_attachments_in_sections_and_tables_are_found_where_they_stand(fetcher: Fetching) -> None:
    a, b, c = (fetcher.put(key) for key in ("a", "b", "c"))
    found = await fetcher.attached(safety={"sign": a}, findings=[{"text": "ok", "photo": b}, {"photo": c}])
    assert [one.place for one in found.attachments] == ["safety.sign", "findings[0].photo", "findings[1].photo"]


async def test_one_that_stands_in_two_places_is_downloaded_once(fetcher: Fetching) -> None:
    photo = fetcher.put()
    found = await fetcher.attached(photo=photo, again=photo)
    assert [one.place for one in found.attachments] == ["photo", "again"]
    assert fetcher.asked() == ["p1"]


async def test_deliveries_of_one_notification_share_a_download(fetcher: Fetching) -> None:
    await fetcher.attached(photo=fetcher.put())
    kept = await fetcher.parts.kept((await fetcher.parts.row("n1")).id)
    record = (await fetcher.parts.fetcher.records(kept)).record
    for _ in range(2):
        await asyncio.gather(*(fetcher.fetcher.attached(kept, record, required=False) for _ in range(3)))
    assert fetcher.asked() == ["p1"]


async def test_a_file_that_was_lost_is_downloaded_again(fetcher: Fetching) -> None:
    [one] = (await fetcher.attached(photo=fetcher.put())).attachments
    one.path.unlink()
    [again] = (await fetcher.attached(photo=fetcher.put())).attachments
    assert again.path.read_bytes() == PHOTO


async def test_the_path_of_a_download_is_a_setting(fetcher: Fetching) -> None:
    fetcher.load('blob_path = "submissions/{record_key}/files/{id}"')
    with pytest.raises(Deferred):
        await fetcher.attached(photo=fetcher.put("p/1"))
    assert [one.path for one in fetcher.parts.doforms.requests][-1].endswith("/submissions/r1/files/id-p/1")
    fetcher.load('blob_path = "submissions/{record_id}/files/{key}"')
    record = decode_record(b'{"key": "r/1", "photo": {"key": "p1", "fileName": "a.jpg"}}', kind=RecordKind.SUBMISSION)
    with pytest.raises(Deferred):
        await fetcher.fetcher.attached(await fetcher.parts.keep("n2"), record, required=False)
    assert [one.path for one in fetcher.parts.doforms.requests][-1].endswith("/submissions/r/1/files/p1")


async def test_nothing_is_downloaded_for_a_delete(fetcher: Fetching) -> None:
    fetcher.parts.doforms.put_record(WEBSERVICE, "r1", {"photo": fetcher.put()})
    await fetcher.parts.fetcher.records(await fetcher.parts.keep("n1"))
    deleted = await fetcher.parts.keep("n2", event=Event.DELETE, fetch=False)
    found = await fetcher.parts.fetcher.records(deleted)
    assert found.record is not None
    assert await fetcher.fetcher.attached(deleted, found.record, required=True) == AttachmentSet()
    assert fetcher.asked() == []


async def test_an_edit_downloads_only_what_is_new(fetcher: Fetching) -> None:
    first = (await fetcher.attached(photo=fetcher.put())).attachments
    second = (await fetcher.attached("n2", photo=fetcher.put(), sign=fetcher.put("p2"))).attachments
    assert fetcher.asked() == ["p1", "p2"]
    assert second[0].sha256 == first[0].sha256
    first[0].path.unlink()
    assert second[0].path.read_bytes() == PHOTO


async def test_a_replay_that_fetches_anew_downloads_anew(fetcher: Fetching) -> None:
    for key in ("n1", "n2"):
        await fetcher.attached(key, photo=fetcher.put())
    id_ = (await fetcher.parts.row("n2")).id
    await fetcher.parts.store.write(lambda c: attachments.try_again(c, [id_], afresh=True))
    fetcher.put(content=PHOTO + b"!")
    [one] = (await fetcher.again("n2")).attachments
    assert one.path.read_bytes() == PHOTO + b"!"
    assert fetcher.asked() == ["p1", "p1"]


async def test_downloads_leave_half_of_the_slots_to_records(fetcher: Fetching) -> None:
    photos = {f"photo{number}": fetcher.put(f"p{number}") for number in range(6)}
    fetcher.parts.doforms.faults.add(path_contains="/blobs/", status=None, delay=0.15, times=2)
    downloads = asyncio.create_task(fetcher.attached(**photos))
    await asyncio.sleep(0.1)
    assert len(fetcher.asked()) == 0  # two are under way: they are noted when they are answered
    fetcher.parts.doforms.put_record(WEBSERVICE, "r2", {"site": "Pier"})
    await fetcher.parts.fetcher.records(await fetcher.parts.keep("n2", "r2"))
    assert fetcher.asked() == []
    assert len((await downloads).attachments) == 6


async def test_photos_of_backfilled_records_do_not_hold_up_those_of_others(fetcher: Fetching) -> None:
    parts = fetcher.parts
    fetcher.load("max_in_flight = 1")
    for key in ("old", "new"):
        parts.doforms.put_record(WEBSERVICE, key, {"photo": fetcher.put(f"p-{key}")})
    old, new = await parts.keep("backfill:old", "old"), await parts.keep("n-new", "new")
    records = [(await parts.fetcher.records(one)).record for one in (old, new)]
    parts.doforms.faults.add(path_contains="/submissions/", status=None, delay=0.5)
    under_way = asyncio.create_task(parts.fetcher.records(await parts.keep("n1")))
    await asyncio.sleep(0.05)
    downloads = [asyncio.create_task(fetcher.fetcher.attached(old, records[0], required=False))]
    await asyncio.sleep(0.05)
    downloads.append(asyncio.create_task(fetcher.fetcher.attached(new, records[1], required=False)))
    await asyncio.gather(under_way, *downloads)
    assert fetcher.asked() == ["p-new", "p-old"]
