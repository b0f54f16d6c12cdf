"""Attachments as the commands show them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from gateway.models import AttachmentState
from gateway.store.store import Store
from gateway.store.work import attachments, records
from gateway.store.work.attachments import NewAttachment
from tests.cli.conftest import Run
from tests.cli.test_explain import payload
from tests.support.keeping import keep


@pytest.fixture
def key(empty: Path) -> str:
    """A notification of whose attachments one is there and one is given up."""
    asyncio.run(_fill(f"sqlite:///{empty.with_name('gateway.db')}"))
    return "n1"


async def _fill(url: str) -> None:
    store = Store(url)
    await store.open()
    id_ = (await store.submit(keep())).id
    kept = (await store.read(lambda c: records.load(c, [id_])))[id_]
    new = [NewAttachment(key=place, place=place, filename="dock.jpg") for place in ("photo", "findings[0].photo")]
    await store.write(lambda c: attachments.note(c, kept, new))
    there, missing = (await store.read(lambda c: attachments.load(c, id_))).values()
    given_up = AttachmentState.GIVEN_UP
    await store.write(
        lambda c: attachments.note_spooled(
            c, there.id, size=1_300_000, sha256="0123456789abcdef", content_type="image/jpeg"
        )
    )
    await store.write(
        lambda c: attachments.note_failed(c, missing.id, state=given_up, reason="no such blob", spent=0, due_at=None)
    )
    await store.close()


def test_a_notification_shows_which_are_there_and_why_others_are_not(run: Run, empty: Path, key: str) -> None:
    shown = run("notifications", "show", key, "--routes", empty)
    for text in (
        "photo spooled dock.jpg",
        "image/jpeg, 1.3MB, sha256 0123456789ab…",
        "findings[0].photo given up dock.jpg",
        "failed 1 time",
        "no such blob",
    ):
        assert text in shown.words


def test_json_has_them_with_their_checksums(run: Run, empty: Path, key: str) -> None:
    shown = run("notifications", "show", key, "--routes", empty, "--json").json
    assert [(one["place"], one["state"], one["sha256"]) for one in shown["attachments"]] == [
        ("photo", "spooled", "0123456789abcdef"),
        ("findings[0].photo", "given up", None),
    ]


def test_its_deliveries_show_them_too(run: Run, empty: Path, key: str) -> None:
    id_ = run("notifications", "show", key, "--routes", empty, "--json").json["all_deliveries"][0]["id"]
    shown = run("deliveries", "show", str(id_), "--routes", empty)
    assert "photo spooled dock.jpg" in shown.words


def test_explain_tells_what_would_be_downloaded(run: Run, site: Path, secrets: None) -> None:
    site.write_text(site.read_text().replace('to = "folder"\n', 'to = "folder"\nattachments = true\n', 1))
    blob = {"key": "p1", "fileName": "a.jpg", "type": "image/jpeg"}
    record = site.with_name("record.json")
    record.write_text(json.dumps({"key": "r1", "fields": [{"name": "photo", "data": "blob", "blob": blob}]}))
    asked = ["explain", payload(site), "--record", record, "--routes", site]
    words = run(*asked).words
    assert "downloads photo" in words
    assert words.count("explain downloads none: below stands which of them are sent") == 1
    assert [one["attachments"] for one in run(*asked, "--json").json["deliveries"]] == [["photo"], []]
