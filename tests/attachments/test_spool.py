"""The spool below the downloads: full, not writable, shared by processes or not, and swept."""

from __future__ import annotations

import asyncio

import pytest

from gateway.maintenance.retention import Retention
from gateway.store.engine.transaction_time import SECOND, now
from gateway.store.work import attachments
from tests.attachments.conftest import PHOTO, Desk
from tests.support.parts import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
