"""Photos of several gateways on one PostgreSQL store, with one spool between them or one each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import FORM, Make
from tests.end_to_end.several import Several, several_gateways
from tests.support.postgresql import Server

FILE = 'to = "folder"\nfilename = "{{ record.key }}.json"\nattachments = "required"'
OTHER = FILE.replace("{{ record.key }}", "copies/{{ record.key }}") + '\nname = "copy"'
RECORDS, PHOTOS = 6, 5


@pytest.fixture
async def several(tmp_path: Path, postgresql: Server) -> AsyncIterator[Several]:
    async with several_gateways(tmp_path, postgresql) as made:
        yield made


@pytest.mark.parametrize("shared", [True, False])
async def test_photos_arrive_whole_though_one_gateway_is_killed_amid_their_downloads(
    several: Several, route: Make, *, shared: bool
) -> None:
    (several.folder / "files").mkdir(exist_ok=True)
    several.write(
        route(FILE, OTHER, head='mode = "delayed"'), gateway=f'spool = "{several.folder}/photos"' if shared else ""
    )
    await several.start()
    doforms = several.doforms
    doforms.faults.add(call="blob", status=None, delay=0.1, times=None)
    seen = []
    for number in range(RECORDS):
        photos = {f"p{one}": doforms.put_blob(FORM, f"{number}-{one}", (300_000, number)) for one in range(PHOTOS)}
        seen.append(await doforms.create(FORM, photos, key=f"r{number}"))
    blobs = list(doforms.world.blobs)
    await doforms.until(lambda: any("/blobs/" in one.path for one in doforms.requests))
    several.gateways[0].kill()
    several.send_to(several.gateways[1])
    doforms.faults.clear()
    await doforms.until(lambda: all(one.belief == "completed" for one in seen), timeout=40)
    for folder in (several.folder / "files", several.folder / "files" / "copies"):
        for number in range(RECORDS):
            for one in range(PHOTOS):
                written = folder / f"r{number}-attachments" / f"p{one}.jpg"
                assert written.read_bytes() == doforms.world.blobs[f"{number}-{one}"].whole()
    asked = [one.path.rpartition("/")[2] for one in doforms.requests if one.status == 200 and "/blobs/" in one.path]
    assert set(asked) == set(blobs)
    assert len(asked) < 2 * len(blobs)
    several.gateways[1].stop()


async def test_each_photo_is_downloaded_once_by_gateways_that_share_a_spool(several: Several, route: Make) -> None:
    (several.folder / "files").mkdir(exist_ok=True)
    several.write(route(FILE, OTHER, head='mode = "delayed"'), gateway=f'spool = "{several.folder}/photos"')
    await several.start()
    doforms = several.doforms
    records = [
        {f"p{one}": doforms.put_blob(FORM, f"{number}-{one}", (50_000, one)) for one in range(PHOTOS)}
        for number in range(RECORDS)
    ]
    seen = await asyncio.gather(
        *(doforms.create(FORM, photos, key=f"r{number}") for number, photos in enumerate(records))
    )
    await doforms.until(lambda: all(one.belief == "completed" for one in seen), timeout=40)
    assert len(list((several.folder / "files" / "copies").rglob("*.jpg"))) == RECORDS * PHOTOS
    asked = [one.path.rpartition("/")[2] for one in doforms.requests if "/blobs/" in one.path]
    assert sorted(asked) == sorted(doforms.world.blobs)
    await several.stop()
