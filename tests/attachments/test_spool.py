"""The spool below the downloads: full, not writable, shared by processes or not, and swept."""

from __future__ import annotations

import asyncio

import pytest

from gateway.maintenance.retention import Retention
from gateway.store.engine.transaction_time import SECOND, now
from gateway.store.work import attachments
from tests.attachments.conftest import PHOTO, Fetching
from tests.support.parts import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_disk_that_is_nearly_full_puts_it_off_with_an_alarm_that_ends_by_itself(fetcher: Fetching) -> None:
    photo = fetcher.put()
    fetcher.load(gateway='min_free_disk = "900TB"')
    told = await fetcher.put_off(photo=photo)
    assert "above min_free_disk" in str(told)
    assert told.until > now() + 55 * SECOND
    assert [one.kind for one in await fetcher.parts.alarms()] == ["spool not writable"]
    assert (await fetcher.rows())["p1"].attempts == 0
    fetcher.load()
    await fetcher.again()
    assert await fetcher.parts.alarms() == []


async def test_a_spool_that_cannot_be_written_puts_it_off_with_an_alarm(fetcher: Fetching) -> None:
    (fetcher.folder / "taken").write_text("a file")
    fetcher.load(gateway='spool = "taken"')
    assert "attachments cannot be spooled" in str(await fetcher.put_off(photo=fetcher.put()))
    assert [one.kind for one in await fetcher.parts.alarms()] == ["spool not writable"]


async def test_processes_that_share_a_spool_download_once(fetcher: Fetching) -> None:
    photo = fetcher.put()
    fetcher.parts.doforms.faults.add(path_contains="/blobs/", status=None, delay=0.1)
    first = asyncio.create_task(fetcher.attached(photo=photo))
    await eventually(fetcher.has_begun)
    other = Fetching(fetcher.parts, fetcher.folder, fetcher.another())
    assert "by another process" in str(await other.put_off(photo=photo))
    assert (await first).attachments == (await other.attached(photo=photo)).attachments
    assert fetcher.asked() == ["p1"]


async def test_a_process_with_a_spool_of_its_own_downloads_for_itself(fetcher: Fetching) -> None:
    photo = fetcher.put()
    [here] = (await fetcher.attached(photo=photo)).attachments
    fetcher.load(gateway='spool = "elsewhere"')
    [there] = (await Fetching(fetcher.parts, fetcher.folder, fetcher.another()).attached(photo=photo)).attachments
    assert (here.path != there.path, here.sha256 == there.sha256) == (True, True)
    assert (here.path.exists(), there.path.exists()) == (True, True)


async def test_a_download_that_the_end_of_the_process_broke_off_is_made_again(fetcher: Fetching) -> None:
    photo = fetcher.put()
    fetcher.parts.doforms.faults.add(path_contains="/blobs/", hang=True)
    going = asyncio.create_task(fetcher.attached(photo=photo))
    await eventually(fetcher.has_begun)
    await fetcher.fetcher.stop()
    with pytest.raises(asyncio.CancelledError):
        await going
    assert (await fetcher.rows())["p1"].attempts == 0
    [one] = (await Fetching(fetcher.parts, fetcher.folder, fetcher.another()).attached(photo=photo)).attachments
    assert one.path.read_bytes() == PHOTO


async def test_files_whose_notification_is_gone_are_swept_and_others_are_left_alone(fetcher: Fetching) -> None:
    [one] = (await fetcher.attached(photo=fetcher.put())).attachments
    spool = fetcher.parts.active.routes.spool
    left = spool / "00" / f"00{'f' * 30}.part"
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"half")
    foreign = spool / "00" / "README"
    foreign.write_text("ours")
    sweeper = Retention(store=fetcher.parts.store, active=fetcher.parts.active)
    await sweeper.walk()
    assert sorted(fetcher.files()) == sorted([one.path, foreign])
    id_ = (await fetcher.parts.row("n1")).id
    await fetcher.parts.store.write(lambda c: attachments.forget(c, [id_]))
    await sweeper.walk()
    assert fetcher.files() == [foreign]
