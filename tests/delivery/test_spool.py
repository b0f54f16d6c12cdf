"""The spool: whole files only, one download at a time, nothing of others touched."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from gateway.delivery.spool import Busy, NoRoom, Spool, spool_of
from tests.support.sink import load_routes

NAME = "ab" + "0" * 30


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", least_free=0)


async def test_a_file_has_its_name_only_when_it_is_whole(spool: Spool) -> None:
    part = spool.begin(NAME, None)
    await part.expect(6, None, afresh=True)
    await part.write(b"abc")
    assert not spool.path(NAME).exists()
    await part.write(b"def")
    assert await part.finish() == hashlib.sha256(b"abcdef").hexdigest()
    part.close()
    assert spool.path(NAME).read_bytes() == b"abcdef"
    assert (spool.holds(NAME, 6), spool.holds(NAME, 7)) == (True, False)
    assert spool.path(NAME).stat().st_mode & 0o077 == 0


async def test_what_came_before_is_gone_on_with_and_counts_into_the_checksum(spool: Spool) -> None:
    part = spool.begin(NAME, None)
    await part.write(b"abc")
    part.close()
    again = spool.begin(NAME, '"v1"')
    assert (again.offset, again.validator) == (3, '"v1"')
    await again.write(b"def")
    assert await again.finish() == hashlib.sha256(b"abcdef").hexdigest()
    again.close()


async def test_without_the_tag_of_what_came_it_begins_anew(spool: Spool) -> None:
    part = spool.begin(NAME, None)
    await part.write(b"abc")
    part.close()
    again = spool.begin(NAME, None)
    assert again.offset == 0
    again.close()


async def test_a_weak_tag_does_not_tell_that_it_is_the_same(spool: Spool) -> None:
    part = spool.begin(NAME, None)
    await part.expect(None, 'W/"v1"', afresh=True)
    assert part.validator is None
    part.close()


def test_two_do_not_download_into_one_file(spool: Spool) -> None:
    part = spool.begin(NAME, None)
    other = Spool(spool.root, least_free=0)
    with pytest.raises(Busy):
        other.begin(NAME, None)
    part.close()
    other.begin(NAME, None).close()


async def test_what_would_leave_too_little_on_the_disk_is_not_begun(spool: Spool) -> None:
    part = Spool(spool.root, least_free=1).begin(NAME, None)
    with pytest.raises(NoRoom, match="min_free_disk"):
        await part.expect(10**18, None, afresh=True)
    part.close()


def test_photos_leave_twice_what_receiving_needs(tmp_path: Path) -> None:
    assert spool_of(load_routes(tmp_path, '[gateway]\nmin_free_disk = "1kB"\n')).least_free == 2000


def test_only_files_of_the_spool_are_listed_and_removed(spool: Spool) -> None:
    folder = spool.path(NAME).parent
    folder.mkdir(parents=True)
    for name in (NAME, f"{NAME}.part", "notes.txt", "cd" + "0" * 30):
        (folder / name).write_text("x")
    (spool.root / "other").mkdir()
    assert spool.folders() == [folder]
    assert spool.names(folder) == [NAME]
    assert spool.remove([NAME]) == 2
    assert sorted(path.name for path in folder.iterdir()) == ["cd" + "0" * 30, "notes.txt"]


def test_a_spool_that_is_not_there_has_no_files(spool: Spool) -> None:
    assert spool.folders() == []
