"""Attachments: downloaded once for a notification into the spool, retried apart from the record, never mistaken."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from gateway.delivery.attached import NOTHING, Attached
from gateway.delivery.attachments import AttachmentDesk
from gateway.delivery.pauses import Kind
from gateway.delivery.put_off import GivenUp, PutOff
from gateway.delivery.retention import Retention
from gateway.doforms.record import decode_record
from gateway.models import AttachmentState, Event, RecordKind
from gateway.store import attachments, pauses
from gateway.store.attachments import KeptAttachment
from gateway.store.causes import STANDS
from gateway.store.clock import SECOND, now
from tests.delivery.conftest import ROUTES, TEXT, Parts, eventually
from tests.support.keeping import WEBSERVICE
from tests.support.records import answer, decode
from tests.support.sink import load_routes

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHOTO = b"\xff\xd8\xff" + bytes(range(256)) * 800
"""More than one piece."""


def desk_of(parts: Parts) -> AttachmentDesk:
    return AttachmentDesk(
        store=parts.store, current=parts.current, calls=parts.calls, callers=parts.callers, pauses=parts.pauses
    )


@dataclass
class Desk:
    """The desk with what it works on."""

    parts: Parts
    folder: Path
    desk: AttachmentDesk

    def another(self) -> AttachmentDesk:
        """Make the desk of another process on the same store."""
        return desk_of(self.parts)

    def load(self, doforms: str = "", gateway: str = "") -> None:
        """Load routes with more settings in ``[doforms]`` and ``[gateway]``."""
        text = ROUTES.format(api=self.parts.doforms.api, webservice=WEBSERVICE, more="", text=TEXT)
        text = text.replace("[webservices.i", f"{doforms}\n[webservices.i", 1)
        self.parts.current.load(load_routes(self.folder, f"[gateway]\n{gateway}\n{text}"))

    def put(self, key: str = "p1", content: bytes | tuple[int, int] = PHOTO, **more: Any) -> dict[str, str]:
        return self.parts.doforms.put_blob(WEBSERVICE, key, content, **more)

    async def attached(self, key: str = "n1", *, required: bool = False, **fields: Any) -> Attached:
        """Ask for the attachments of a notification whose record has these answers."""
        self.parts.doforms.put_record(WEBSERVICE, "r1", fields)
        try:
            kept = await self.parts.kept((await self.parts.row(key)).id)
        except Exception:
            kept = await self.parts.keep(key)
        found = await self.parts.desk.records(kept)
        return await self.desk.attached(kept, found.record, required=required)

    async def again(self, key: str = "n1", *, required: bool = False) -> Attached:
        """Ask once more, when it is due."""
        kept = await self.parts.kept((await self.parts.row(key)).id)
        await self.parts.store.write(
            lambda c: c.execute(attachments.update(attachments.attachments).values(due_at=None))
        )
        return await self.desk.attached(kept, (await self.parts.desk.records(kept)).record, required=required)

    async def put_off(self, **fields: Any) -> PutOff:
        with pytest.raises(PutOff) as raised:
            await self.attached(**fields)
        return raised.value

    async def rows(self, key: str = "n1") -> dict[str, KeptAttachment]:
        id_ = (await self.parts.row(key)).id
        return await self.parts.store.read(lambda c: attachments.load(c, id_))

    def asked(self) -> list[str]:
        return [one.path.rpartition("/")[2] for one in self.parts.doforms.requests if "/blobs/" in one.path]

    async def has_begun(self) -> bool:
        return bool(self.files())

    def files(self) -> list[Path]:
        spool = self.parts.current.routes.spool
        return [path for path in spool.rglob("*") if path.is_file()] if spool.exists() else []


@pytest.fixture
def desk(parts: Parts, tmp_path: Path) -> Desk:
    parts.doforms.world.blobs.clear()
    made = desk_of(parts)
    return Desk(parts, tmp_path, made)


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


async def test_a_failed_download_is_put_off_by_its_own_settings_and_not_tried_before(desk: Desk) -> None:
    photo = desk.put()
    desk.parts.doforms.faults.add(path_contains="/blobs/", status=503, body=b"down")
    first = await desk.put_off(photo=photo)
    assert "1 of 1 attachment not there yet: photo: could not be downloaded: doForms answered 503" in str(first)
    assert 7 * SECOND < first.until - now() < 13 * SECOND
    assert (await desk.put_off(photo=photo)).until == first.until
    assert desk.asked() == ["p1"]
    assert 7 * SECOND < (await desk.rows())["p1"].spent < 15 * SECOND  # the wait, and the call before it
    assert await desk.parts.alarms() == []
    assert (await desk.again()).attachments


async def test_what_broke_off_goes_on_where_it_stopped(desk: Desk) -> None:
    photo = desk.put(content=(1_000_000, 7), cut_after=[600_000])
    await desk.put_off(photo=photo)
    row = (await desk.rows())["p1"]
    assert (row.attempts, bool(row.etag)) == (1, True)
    blob = desk.parts.doforms.world.blobs["p1"]
    blob.cuts.append(900_000)  # enough for the rest, and not for all of it
    [one] = (await desk.again()).attachments
    assert one.path.read_bytes() == blob.whole()
    assert one.sha256 == hashlib.sha256(blob.whole()).hexdigest()


async def test_what_changed_meanwhile_begins_anew(desk: Desk) -> None:
    photo = desk.put(content=(1_000_000, 7), cut_after=[600_000])
    await desk.put_off(photo=photo)
    desk.put(content=PHOTO)
    [one] = (await desk.again()).attachments
    assert one.path.read_bytes() == PHOTO


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "image/jpeg"),
        (b'{"error": "Internal error"}', "application/json"),
        (b'{"error": "Internal error"}', "image/jpeg"),
        (b"<html>log in</html>", "text/html"),
        (b"\n <html>log in</html>", ""),
        (b"not now", "text/plain"),
    ],
)
async def test_a_success_with_something_else_in_it_is_no_attachment(desk: Desk, body: bytes, content_type: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    desk.parts.doforms.faults.add(path_contains="/blobs/", status=200, body=body, headers=headers)
    assert "instead of" in str(await desk.put_off(photo=desk.put()))
    assert not [path for path in desk.files() if path.stat().st_size]
    assert (await desk.again()).attachments[0].path.read_bytes() == PHOTO


async def test_a_text_is_no_attachment_where_a_document_was_expected(desk: Desk) -> None:
    report = desk.put(content=b"%PDF-1.7 \x00", type="application/pdf", file_name="report.pdf")
    desk.parts.doforms.faults.add(
        path_contains="/blobs/", status=200, body=b"not now", headers={"Content-Type": "text/plain"}
    )
    assert "answered with text/plain instead of application/pdf" in str(await desk.put_off(report=report))


async def test_a_json_file_is_an_attachment_where_one_was_expected(desk: Desk) -> None:
    file = desk.put(content=b'{"a": 1}', type="application/json", file_name="a.json")
    assert (await desk.attached(file=file)).attachments[0].path.read_bytes() == b'{"a": 1}'


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


async def test_the_record_is_not_fetched_again_for_a_photo(desk: Desk) -> None:
    desk.parts.doforms.faults.add(path_contains="/blobs/", status=503)
    await desk.put_off(photo=desk.put())
    await desk.again()
    assert [one.path.rpartition("/")[2] for one in desk.parts.doforms.requests] == ["r1", "p1", "p1"]


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


async def test_a_refused_password_pauses_the_web_service_and_spends_no_attempt(desk: Desk) -> None:
    desk.parts.doforms.faults.add(path_contains="/blobs/", status=401)
    assert "is paused: doForms answered 401" in str(await desk.put_off(photo=desk.put()))
    assert (await desk.rows())["p1"].attempts == 0
    await desk.put_off(photo=desk.put())
    assert desk.asked() == ["p1"]


async def test_a_forbidden_photo_pauses_nothing_as_long_as_a_listing_works(desk: Desk) -> None:
    desk.parts.doforms.faults.add(path_contains="/blobs/", status=403, body=b"not yours")
    told = str(await desk.put_off(photo=desk.put()))
    assert "doForms answered 403 for the attachment at blobs/p1: not yours" in told
    assert "though a listing works, so the password is right. Look whether `blob_path` is, too" in told
    assert (await desk.rows())["p1"].attempts == 1
    assert await desk.parts.store.read(pauses.list_pauses) == []


async def test_a_photo_and_a_listing_that_are_forbidden_pause_the_web_service(desk: Desk) -> None:
    photo = desk.put()
    for part in ("/blobs/", "/submissions"):
        desk.parts.doforms.faults.add(path_contains=part, call=None if part == "/blobs/" else "list", status=403)
    await desk.put_off(photo=photo)
    [pause] = await desk.parts.store.read(pauses.list_pauses)
    assert (pause.kind, pause.cause) == (Kind.WEBSERVICE, "unauthorised")
    assert (await desk.rows())["p1"].attempts == 0


async def test_too_many_requests_is_no_attempt_at_a_photo(desk: Desk) -> None:
    desk.load("attachment_retry = { attempts = 1 }")
    desk.parts.doforms.faults.add(path_contains="/blobs/", status=429, headers={"Retry-After": "1"}, times=2)
    await desk.put_off(photo=desk.put())
    assert (await desk.rows())["p1"].attempts == 0
    with pytest.raises(PutOff):
        await desk.again()
    assert len((await desk.again()).attachments) == 1


@pytest.mark.parametrize(("status", "content_type"), [(400, "text/plain"), (200, "application/json")])
async def test_a_used_up_quota_pauses_the_web_service(desk: Desk, status: int, content_type: str) -> None:
    desk.parts.doforms.faults.add(
        path_contains="/blobs/",
        status=status,
        body=b'{"error": "Daily web service quota exceeded."}',
        headers={"Content-Type": content_type},
    )
    await desk.put_off(photo=desk.put())
    [pause] = await desk.parts.store.read(pauses.list_pauses)
    assert (pause.kind, pause.cause) == (Kind.WEBSERVICE, "quota")
    assert (await desk.rows())["p1"].attempts == 0


async def test_a_disk_that_is_nearly_full_puts_it_off_with_an_alarm_that_ends_by_itself(desk: Desk) -> None:
    photo = desk.put()
    desk.load(gateway='min_free_disk = "900TB"')
    told = await desk.put_off(photo=photo)
    assert "above min_free_disk" in str(told)
    assert told.until > now() + 55 * SECOND
    assert [one.kind for one in await desk.parts.alarms()] == ["spool not writable"]
    assert (await desk.rows())["p1"].attempts == 0
    desk.load()
    await desk.again()
    assert await desk.parts.alarms() == []


async def test_a_spool_that_cannot_be_written_puts_it_off_with_an_alarm(desk: Desk) -> None:
    (desk.folder / "taken").write_text("a file")
    desk.load(gateway='spool = "taken"')
    assert "attachments cannot be spooled" in str(await desk.put_off(photo=desk.put()))
    assert [one.kind for one in await desk.parts.alarms()] == ["spool not writable"]


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


async def test_a_hundred_deliveries_that_wait_for_downloads_are_a_crowd(desk: Desk) -> None:
    parts = desk.parts
    desk.put()
    parts.doforms.faults.add(path_contains="/blobs/", hang=True, times=None)
    record = decode(answer("photo", {"key": "p1", "fileName": "a.jpg"}, "blob"))
    waiting = []
    for number in range(100):
        assert not desk.desk.crowded
        kept = await parts.keep(f"n{number}", f"r{number}")
        waiting.append(asyncio.create_task(desk.desk.attached(kept, record, required=False)))
        await asyncio.sleep(0)
    assert desk.desk.crowded
    await desk.desk.stop()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert not desk.desk.crowded


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


async def test_processes_that_share_a_spool_download_once(desk: Desk) -> None:
    photo = desk.put()
    desk.parts.doforms.faults.add(path_contains="/blobs/", status=None, delay=0.1)
    first = asyncio.create_task(desk.attached(photo=photo))
    await eventually(desk.has_begun)
    other = Desk(desk.parts, desk.folder, desk.another())
    assert "by another process" in str(await other.put_off(photo=photo))
    assert (await first).attachments == (await other.attached(photo=photo)).attachments
    assert desk.asked() == ["p1"]


async def test_a_process_with_a_spool_of_its_own_downloads_for_itself(desk: Desk) -> None:
    photo = desk.put()
    [here] = (await desk.attached(photo=photo)).attachments
    desk.load(gateway='spool = "elsewhere"')
    [there] = (await Desk(desk.parts, desk.folder, desk.another()).attached(photo=photo)).attachments
    assert (here.path != there.path, here.sha256 == there.sha256) == (True, True)
    assert (here.path.exists(), there.path.exists()) == (True, True)


async def test_a_download_that_the_end_of_the_process_broke_off_is_made_again(desk: Desk) -> None:
    photo = desk.put()
    desk.parts.doforms.faults.add(path_contains="/blobs/", hang=True)
    going = asyncio.create_task(desk.attached(photo=photo))
    await eventually(desk.has_begun)
    await desk.desk.stop()
    with pytest.raises(asyncio.CancelledError):
        await going
    assert (await desk.rows())["p1"].attempts == 0
    [one] = (await Desk(desk.parts, desk.folder, desk.another()).attached(photo=photo)).attachments
    assert one.path.read_bytes() == PHOTO


async def test_files_whose_notification_is_gone_are_swept_and_others_are_left_alone(desk: Desk) -> None:
    [one] = (await desk.attached(photo=desk.put())).attachments
    spool = desk.parts.current.routes.spool
    left = spool / "00" / f"00{'f' * 30}.part"
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"half")
    foreign = spool / "00" / "README"
    foreign.write_text("ours")
    sweeper = Retention(store=desk.parts.store, current=desk.parts.current)
    await sweeper.walk()
    assert sorted(desk.files()) == sorted([one.path, foreign])
    id_ = (await desk.parts.row("n1")).id
    await desk.parts.store.write(lambda c: attachments.forget(c, [id_]))
    await sweeper.walk()
    assert desk.files() == [foreign]
