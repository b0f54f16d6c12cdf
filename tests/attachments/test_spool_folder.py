"""The spool: whole files only, one download at a time, nothing of others touched."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.attachments.spool import Busy, NoRoom, Spool, spool_of
from gateway.attachments.sweep import sweep
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


def put(spool: Spool, name: str, content: bytes = b"abc") -> None:
    spool.path(name).parent.mkdir(parents=True, exist_ok=True)
    spool.path(name).write_bytes(content)


def test_a_whole_file_gets_another_name_in_place_of_what_was_there(spool: Spool) -> None:
    other = "cd" + "0" * 30
    put(spool, NAME)
    put(spool, other, b"a")
    assert spool.share(NAME, other, 3)
    assert spool.path(other).read_bytes() == b"abc"
    assert not spool.share(NAME, other, 4), "what is not whole is not shared"
    assert spool.path(other).read_bytes() == b"abc"


def test_where_a_file_cannot_get_another_name_that_is_told(spool: Spool) -> None:
    other = "cd" + "0" * 30
    put(spool, NAME)
    spool.path(other).parent.write_text("no folder")
    assert not spool.share(NAME, other, 3)


def test_what_stands_in_the_way_of_a_spool_shows_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert Spool(tmp_path / "not" / "there yet", least_free=0).obstacle() is None
    assert Spool(tmp_path / "file" / "spool", least_free=0).obstacle() == f"{tmp_path / 'file'} is no folder"


async def test_what_would_leave_too_little_on_the_disk_is_not_begun(spool: Spool) -> None:
    part = Spool(spool.root, least_free=1).begin(NAME, None)
    with pytest.raises(NoRoom, match="min_free_disk"):
        await part.expect(10**18, None, afresh=True)
    part.close()


async def test_the_disk_is_looked_at_again_while_a_large_file_comes(spool: Spool) -> None:
    part = spool.begin(NAME, None)
    await part.expect(None, None, afresh=True)
    spool.least_free = 10**18
    for _ in range(17):
        await part.write(b"x" * 1024 * 1024)
    with pytest.raises(NoRoom, match="min_free_disk"):
        await part.write(b"x")
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


async def test_the_sweep_removes_what_belongs_to_nothing_and_tells_how_many_files_that_were(spool: Spool) -> None:
    names = [f"{number:032x}" for number in range(450)]
    for name in names:
        put(spool, name)
    put(spool, "ab" + "1" * 30)
    asked: list[int] = []

    async def belonging(some: Sequence[str]) -> set[str]:
        asked.append(len(some))
        return {name for name in some if name in names[:100]}

    assert await sweep(spool, belonging) == 351
    assert [name for folder in spool.folders() for name in spool.names(folder)] == names[:100]
    assert max(asked) <= 200
