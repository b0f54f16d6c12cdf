"""Downloads that doForms refuses: what pauses the web service, and what says nothing about it."""

from __future__ import annotations

import pytest

from gateway.pauses import Kind
from gateway.retry import Deferred
from gateway.store.operator import pauses
from tests.attachments.conftest import Fetching

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_refused_password_pauses_the_web_service_and_spends_no_attempt(fetcher: Fetching) -> None:
    fetcher.parts.doforms.faults.add(path_contains="/blobs/", status=401)
    assert "is paused: doForms answered 401" in str(await fetcher.put_off(photo=fetcher.put()))
    assert (await fetcher.rows())["p1"].attempts == 0
    await fetcher.put_off(photo=fetcher.put())
    assert fetcher.asked() == ["p1"]


async def test_a_forbidden_photo_pauses_nothing_as_long_as_a_listing_works(fetcher: Fetching) -> None:
    fetcher.parts.doforms.faults.add(path_contains="/blobs/", status=403, body=b"not yours")
    told = str(await fetcher.put_off(photo=fetcher.put()))
    assert "doForms answered 403 for the attachment at blobs/p1: not yours" in told
    assert "though a listing works, so the password is right. Look whether `blob_path` is, too" in told
    assert (await fetcher.rows())["p1"].attempts == 1
    assert await fetcher.parts.store.read(pauses.list_pauses) == []


async def test_a_photo_and_a_listing_that_are_forbidden_pause_the_web_service(fetcher: Fetching) -> None:
    photo = fetcher.put()
    for part in ("/blobs/", "/submissions"):
        fetcher.parts.doforms.faults.add(path_contains=part, call=None if part == "/blobs/" else "list", status=403)
    await fetcher.put_off(photo=photo)
    [pause] = await fetcher.parts.store.read(pauses.list_pauses)
    assert (pause.kind, pause.cause) == (Kind.WEBSERVICE, "unauthorised")
    assert (await fetcher.rows())["p1"].attempts == 0


async def test_too_many_requests_is_no_attempt_at_a_photo(fetcher: Fetching) -> None:
    fetcher.load("attachment_retry = { attempts = 1 }")
    fetcher.parts.doforms.faults.add(path_contains="/blobs/", status=429, headers={"Retry-After": "1"}, times=2)
    await fetcher.put_off(photo=fetcher.put())
    assert (await fetcher.rows())["p1"].attempts == 0
    with pytest.raises(Deferred):
        await fetcher.again()
    assert len((await fetcher.again()).attachments) == 1


@pytest.mark.parametrize(("status", "content_type"), [(400, "text/plain"), (200, "application/json")])
async def test_a_used_up_quota_pauses_the_web_service(fetcher: Fetching, status: int, content_type: str) -> None:
    fetcher.parts.doforms.faults.add(
        path_contains="/blobs/",
        status=status,
        body=b'{"error": "Daily web service quota exceeded."}',
        headers={"Content-Type": content_type},
    )
    await fetcher.put_off(photo=fetcher.put())
    [pause] = await fetcher.parts.store.read(pauses.list_pauses)
    assert (pause.kind, pause.cause) == (Kind.WEBSERVICE, "quota")
    assert (await fetcher.rows())["p1"].attempts == 0


async def test_photo_that_leads_to_a_host_that_is_not_named_is_given_up_at_once(fetcher: Fetching) -> None:
    place = "http://169.254.169.254/latest/meta-data"
    fetcher.parts.doforms.faults.add(path_contains="/blobs/", status=302, headers={"Location": place}, times=None)
    got = await fetcher.attached(photo=fetcher.put())
    assert got.attachments == ()
    [row] = (await fetcher.rows()).values()
    assert (row.state, row.attempts) == ("given up", 1)
    assert "refused: GET http" in (row.reason or "")
    assert "add '169.254.169.254' to `attachment_hosts`" in (row.reason or "")
    assert len(fetcher.asked()) == 1


@pytest.mark.parametrize("key", [".", "..", "..;/x"])
async def test_photo_with_a_key_that_leads_elsewhere_is_given_up_without_a_call(fetcher: Fetching, key: str) -> None:
    got = await fetcher.attached(photo={"key": key, "fileName": "a.jpg", "type": "image/jpeg"})
    assert got.attachments == ()
    [row] = (await fetcher.rows()).values()
    assert row.state == "given up"
    assert "refused: the key" in (row.reason or "")
    assert fetcher.asked() == []
