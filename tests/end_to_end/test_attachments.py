"""Photos and files from doForms to the destinations, through a real gateway process."""

from __future__ import annotations

import json
import re
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from gateway.cli import app
from gateway.doforms.simulator import Seen
from tests.end_to_end.conftest import FORM, Make, World

FILE = 'to = "folder"\nfilename = "{{ record.key }}.json"\n'
ROW = 'to = "table"\ntable = "plain"\ncolumns = { record = "{{ record.key }}" }\n'
ONCE = "\n[accounts.acme]\nattachment_retry = { attempts = 1 }\n"
DELAYED = 'mode = "delayed"'
PHOTO = b"\xff\xd8\xff" + b"photo" * 1000


def resident(world: World, what: str) -> int:
    """Return the resident memory of the gateway in bytes: ``VmRSS`` now, ``VmHWM`` at most so far."""
    status = Path(f"/proc/{world.gateway.process.pid}/status").read_text()  # type: ignore[union-attr]
    return int(re.search(rf"{what}:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]


def order(world: World, *words: str) -> Any:
    """Give an order by the command line; returns what became of it."""
    ran = CliRunner().invoke(app, [*words, "--routes", str(world.folder / "routes.toml"), "--json"])
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout)


def shown(world: World, seen: Seen) -> Any:
    return order(world, "notifications", "show", seen.key)


async def test_the_file_destination_writes_photos_beside_the_record(world: World, route: Make) -> None:
    photo = world.doforms.put_blob(FORM, "p1", PHOTO, file_name="../Dock.jpg")
    signature = world.doforms.put_blob(FORM, "s1", PHOTO + b"!", type="image/png", file_name="sign.png")
    known = "{{ record.fields.photo.fileName }} {{ record.fields.photo.sha256 }} {{ attachments | length }}"
    row = f'to = "table"\ntable = "plain"\nattachments = true\ncolumns = {{ record = "{known}" }}\n'
    with world.running(route(FILE + "attachments = true", row)):
        fields = {"photo": photo, "findings": [{"text": "rail"}, {"sign": signature}]}
        seen = await world.doforms.create(FORM, fields, key="r1")
        await world.doforms.until(lambda: seen.belief == "completed")
        found = shown(world, seen)
    folder = world.folder / "files"
    assert (folder / "r1-attachments" / "photo.jpg").read_bytes() == PHOTO
    assert (folder / "r1-attachments" / "findings-2-sign.png").read_bytes() == PHOTO + b"!"
    assert sorted(path.name for path in folder.iterdir()) == ["r1-attachments", "r1.json"]
    assert [(one["place"], one["state"], one["size"]) for one in found["attachments"]] == [
        ("photo", "spooled", len(PHOTO)),
        ("findings[1].sign", "spooled", len(PHOTO) + 1),
    ]
    sha256 = found["attachments"][0]["sha256"]
    assert world.rows("SELECT record FROM plain") == [(f"../Dock.jpg {sha256} 2",)]
    written = json.loads((folder / "r1.json").read_text())
    assert written["record"]["fields"]["photo"]["sha256"] == sha256


async def test_only_what_a_delivery_asks_for_is_downloaded(world: World, route: Make) -> None:
    photo = world.doforms.put_blob(FORM, "p1", PHOTO)
    refused = FILE + "attachments = true\nwhen = \"record.fields.site == 'Dock'\""
    with world.running(route(FILE, name="plain") + route(refused, name="refused")):
        seen = await world.doforms.create(FORM, {"photo": photo, "site": "Pier"}, key="r1")
        await world.doforms.until(lambda: seen.belief == "completed")
    assert not [one for one in world.doforms.requests if "/blobs/" in one.path]
    assert not world.gateway.store.with_name("gateway.db.spool").exists()  # type: ignore[union-attr]


async def test_a_missing_photo_neither_blocks_nor_hides(world: World, route: Make) -> None:
    photo = world.doforms.put_blob(FORM, "p1", PHOTO)
    world.doforms.faults.add(path_contains="/blobs/", status=404, times=None)
    with world.running(ONCE + route(ROW, FILE + 'name = "with"\nattachments = true', head=DELAYED)):
        seen = await world.doforms.create(FORM, {"photo": photo}, key="r1")
        await world.doforms.until(lambda: seen.belief == "completed")
        found = shown(world, seen)
        [one] = [one for one in found["all_deliveries"] if one["name"] == "with"]
        assert "without 1 attachment: photo (p1.jpg) could not be downloaded" in one["receipt"]["summary"]
        assert found["attachments"][0]["state"] == "given up"
        [alarm] = order(world, "alarms")
        assert alarm["kind"] == "attachment missing"
        assert "`gateway deliveries replay --attachment-missing --force`" in alarm["text"]
        assert [each["id"] for each in order(world, "deliveries", "list", "--attachment-missing")] == [one["id"]]
        world.doforms.faults.clear()
        order(world, "deliveries", "replay", "--attachment-missing", "--force", "--yes")
        target = world.folder / "files" / "r1-attachments" / "photo.jpg"
        await world.doforms.until(target.exists)
        await world.doforms.until(lambda: order(world, "deliveries", "list", "--attachment-missing") == [])
    assert target.read_bytes() == PHOTO


async def test_a_delivery_that_requires_its_photos_is_dead_without_and_goes_by_a_replay(
    world: World, route: Make
) -> None:
    photo = world.doforms.put_blob(FORM, "p1", PHOTO)
    world.doforms.faults.add(path_contains="/blobs/", status=404)
    with world.running(ONCE + route(FILE + 'attachments = "required"', head=DELAYED)):
        seen = await world.doforms.create(FORM, {"photo": photo}, key="r1")
        await world.doforms.until(lambda: seen.belief == "failed")
        assert not (world.folder / "files" / "r1.json").exists()
        [dead] = order(world, "deliveries", "list", "--state", "dead")
        assert "1 attachment of 1 missing: photo (p1.jpg)" in dead["reason"]
        order(world, "deliveries", "replay", str(dead["id"]))
        await world.doforms.until(lambda: seen.belief == "completed")
    assert (world.folder / "files" / "r1-attachments" / "photo.jpg").read_bytes() == PHOTO


async def test_a_photo_that_is_late_holds_up_only_the_delivery_that_waits_for_it(world: World, route: Make) -> None:
    photo = world.doforms.put_blob(FORM, "p1", PHOTO)
    world.doforms.faults.add(path_contains="/blobs/", status=503, times=3)
    plain = route(ROW, FILE + 'name = "with"\nattachments = true', head=DELAYED)
    with world.running(plain):
        first = await world.doforms.create(FORM, {"photo": photo}, key="r1")
        second = await world.doforms.create(FORM, {"site": "Pier"}, key="r2")
        await world.doforms.until(lambda: second.belief == "completed")
        await world.doforms.until(lambda: len(world.rows("SELECT record FROM plain")) == 2)
        await world.doforms.until(lambda: first.belief == "completed")
        assert shown(world, first)["attachments"][0]["attempts"] == 3


async def test_forty_megabytes_in_thirty_photos_pass_without_filling_the_memory(world: World, route: Make) -> None:
    size = 40_000_000 // 30
    photos = [
        {"photo": world.doforms.put_blob(FORM, f"p{number}", (size, number), file_name=f"{number}.jpg")}
        for number in range(30)
    ]
    with world.running(route(FILE + "attachments = true", head=DELAYED)):
        warm = await world.doforms.create(FORM, {"photo": world.doforms.put_blob(FORM, "w", PHOTO)})
        await world.doforms.until(lambda: warm.belief == "completed")
        before = resident(world, "VmRSS")
        seen = await world.doforms.create(FORM, {"findings": photos}, key="r1")
        await world.doforms.until(lambda: seen.belief == "completed", timeout=60)
        grown = resident(world, "VmHWM") - before
    written = sorted((world.folder / "files" / "r1-attachments").iterdir())
    assert [path.stat().st_size for path in written] == [size] * 30
    assert (world.folder / "files" / "r1-attachments" / "findings-8-photo.jpg").read_bytes() == (
        world.doforms.world.blobs["p7"].whole()
    )
    assert grown < 30_000_000


async def test_a_mail_with_twenty_megabytes_of_photos_passes_without_filling_the_memory(
    world: World, route: Make
) -> None:
    photos = [{"photo": world.doforms.put_blob(FORM, f"p{number}", (1_000_000, number))} for number in range(20)]
    post = f"""
[destinations.post]
plugin = "email"
host = "127.0.0.1"
port = {world.mail.port}
security = "none"
from = "forms@example.com"
attach_limit = "21MB"
"""
    mail = """
to = "post"
attachments = "required"
attach = ["*"]
recipients = ["a@example.com"]
subject = "s"
text = "t"
"""
    with world.running(post + route(mail, head=DELAYED)):
        warm = await world.doforms.create(FORM, {"photo": world.doforms.put_blob(FORM, "w", PHOTO)})
        await world.doforms.until(lambda: warm.belief == "completed")
        before = resident(world, "VmRSS")
        seen = await world.doforms.create(FORM, {"findings": photos}, key="r1")
        await world.doforms.until(lambda: seen.belief == "completed", timeout=60)
        grown = resident(world, "VmHWM") - before
    sent = message_from_bytes(world.mail.mails[1].read_bytes(), policy=policy.default)
    contents = [part.get_content() for part in sent.iter_attachments()]  # type: ignore[attr-defined]
    assert contents == [world.doforms.world.blobs[f"p{number}"].whole() for number in range(20)]
    assert grown < 30_000_000


async def test_what_came_and_what_was_fetched_can_be_given_to_explain(world: World, route: Make) -> None:
    photo = world.doforms.put_blob(FORM, "p1", PHOTO)
    length = 'to = "table"\ntable = "plain"\nattachments = true\ncolumns = { record = "{{ attachments | length }}" }\n'
    with world.running(route(length, head=DELAYED)):
        seen = await world.doforms.create(FORM, {"photo": photo}, key="r1")
        await world.doforms.until(lambda: seen.belief == "completed")
    routes = str(world.folder / "routes.toml")
    for option, name in (("--body", "payload.json"), ("--record", "record.json")):
        printed = CliRunner().invoke(app, ["notifications", "show", seen.key, option, "--routes", routes])
        (world.folder / name).write_text(printed.stdout)
    payload, record = str(world.folder / "payload.json"), str(world.folder / "record.json")
    [one] = order(world, "explain", payload, "--record", record)["deliveries"]
    assert (one["result"], one["attachments"]) == ("sent", ["photo"])
    assert world.rows("SELECT record FROM plain") == [("1",)]
