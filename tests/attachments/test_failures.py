"""Downloads that fail: put off apart from the record, gone on with, and never mistaken for a file."""

from __future__ import annotations

import hashlib

import pytest

from gateway.store.engine.transaction_time import SECOND, now
from tests.attachments.conftest import PHOTO, Fetching

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_failed_download_is_put_off_by_its_own_settings_and_not_tried_before(fetcher: Fetching) -> None:
    photo = fetcher.put()
    fetcher.parts.doforms.faults.add(path_contains="/blobs/", status=503, body=b"down")
    first = await fetcher.put_off(photo=photo)
    assert "1 of 1 attachment not there yet: photo: could not be downloaded: doForms answered 503" in str(first)
    assert 7 * SECOND < first.until - now() < 13 * SECOND
    assert (await fetcher.put_off(photo=photo)).until == first.until
    assert fetcher.asked() == ["p1"]
    assert 7 * SECOND < (await fetcher.rows())["p1"].spent < 15 * SECOND  # the wait, and the call before it
    assert await fetcher.parts.alarms() == []
    assert (await fetcher.again()).attachments


async def test_the_record_is_not_fetched_again_for_a_photo(fetcher: Fetching) -> None:
    fetcher.parts.doforms.faults.add(path_contains="/blobs/", status=503)
    await fetcher.put_off(photo=fetcher.put())
    await fetcher.again()
    assert [one.path.rpartition("/")[2] for one in fetcher.parts.doforms.requests] == ["r1", "p1", "p1"]


async def test_what_broke_off_goes_on_where_it_stopped(fetcher: Fetching) -> None:
    photo = fetcher.put(content=(1_000_000, 7), cut_after=[600_000])
    await fetcher.put_off(photo=photo)
    row = (await fetcher.rows())["p1"]
    assert (row.attempts, bool(row.etag)) == (1, True)
    blob = fetcher.parts.doforms.world.blobs["p1"]
    blob.cuts.append(900_000)  # enough for the rest, and not for all of it
    [one] = (await fetcher.again()).attachments
    assert one.path.read_bytes() == blob.whole()
    assert one.sha256 == hashlib.sha256(blob.whole()).hexdigest()


async def test_what_changed_meanwhile_begins_anew(fetcher: Fetching) -> None:
    photo = fetcher.put(content=(1_000_000, 7), cut_after=[600_000])
    await fetcher.put_off(photo=photo)
    fetcher.put(content=PHOTO)
    [one] = (await fetcher.again()).attachments
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
async def test_a_success_with_something_else_in_it_is_no_attachment(
    fetcher: Fetching, body: bytes, content_type: str
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    fetcher.parts.doforms.faults.add(path_contains="/blobs/", status=200, body=body, headers=headers)
    assert "instead of" in str(await fetcher.put_off(photo=fetcher.put()))
    assert not [path for path in fetcher.files() if path.stat().st_size]
    assert (await fetcher.again()).attachments[0].path.read_bytes() == PHOTO


async def test_a_text_is_no_attachment_where_a_document_was_expected(fetcher: Fetching) -> None:
    report = fetcher.put(content=b"%PDF-1.7 \x00", type="application/pdf", file_name="report.pdf")
    fetcher.parts.doforms.faults.add(
        path_contains="/blobs/", status=200, body=b"not now", headers={"Content-Type": "text/plain"}
    )
    assert "answered with text/plain instead of application/pdf" in str(await fetcher.put_off(report=report))


async def test_a_json_file_is_an_attachment_where_one_was_expected(fetcher: Fetching) -> None:
    file = fetcher.put(content=b'{"a": 1}', type="application/json", file_name="a.json")
    assert (await fetcher.attached(file=file)).attachments[0].path.read_bytes() == b'{"a": 1}'
