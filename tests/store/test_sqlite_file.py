"""The file of an SQLite store: one `gateway serve` by whatever name, nobody else's to read, and not larger for ever."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from gateway.attachments.spool import Spool
from gateway.errors import StoreError, StoreInUse
from gateway.store.engine.backup import back_up
from gateway.store.engine.sqlite import LARGEST_LOG, SqliteDatabase
from gateway.store.engine.sqlite_file import holder_of
from gateway.store.store import Store
from tests.support.keeping import keep, notification

HOLD = """
import sys
from sqlalchemy import make_url
from gateway.store.engine.sqlite import SqliteDatabase
SqliteDatabase(make_url("sqlite:///" + sys.argv[1])).hold()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(path: Path, folder: Path | None = None) -> Iterator[int]:
    """Hold a store in a process of its own; yields its number."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process.pid
        process.kill()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes(folder: Path) -> dict[str, int]:
    return {file.name: mode(file) for file in folder.iterdir()}


def database(path: Path) -> SqliteDatabase:
    return SqliteDatabase(make_url(f"sqlite:///{path}"))


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.parametrize("way", ["same", "symbolic link", "link to the folder", "hard link", "dots", "chain of links"])
def test_store_that_is_held_is_refused_by_whatever_name(tmp_path: Path, way: str) -> None:
    real, other = tmp_path / "real", tmp_path / "other"
    real.mkdir()
    other.mkdir()
    path = real / "gateway.db"
    with held(path) as holder:
        name = path
        if way == "symbolic link":
            name = other / "store.db"
            name.symlink_to(path)
        elif way == "link to the folder":
            (tmp_path / "linked").symlink_to(real)
            name = tmp_path / "linked" / "gateway.db"
        elif way == "hard link":
            name = other / "gateway.db"
            name.hardlink_to(path)
        elif way == "dots":
            name = real / ".." / "real" / "gateway.db"
        elif way == "chain of links":
            (other / "first.db").symlink_to(path)
            name = other / "second.db"
            name.symlink_to("first.db")
        with pytest.raises(StoreInUse, match=rf"in use by another `gateway serve` \(process {holder}\)"):
            database(name).hold()
        assert holder_of(name) == holder
    again = database(path)
    again.hold()
    again.close()
    assert holder_of(path) is None


def test_relative_path_is_the_same_store(tmp_path: Path) -> None:
    with held(Path("gateway.db"), tmp_path), pytest.raises(StoreInUse):
        database(tmp_path / "gateway.db").hold()


async def test_files_of_a_store_are_their_owners_alone(tmp_path: Path, umask: None) -> None:
    path = tmp_path / "gateway.db"
    store = Store(f"sqlite:///{path}")
    await store.open()
    await store.submit(keep(notification("n1")))
    assert sorted(modes(tmp_path)) == ["gateway.db", "gateway.db-shm", "gateway.db-wal", "gateway.db.lock"]
    back_up(path, tmp_path / "copy.db")
    assert set(modes(tmp_path).values()) == {0o600}
    await store.close()


async def test_files_of_an_earlier_version_are_closed_to_others_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    first = Store(f"sqlite:///{path}")
    await first.open()
    await first.close()
    path.chmod(0o644)
    path.with_name("gateway.db.lock").chmod(0o664)
    store = Store(f"sqlite:///{path}")
    await store.open()
    await store.submit(keep(notification("n1")))
    assert set(modes(tmp_path).values()) == {0o600}
    await store.close()


def test_spool_folders_are_their_owners_alone(tmp_path: Path, umask: None) -> None:
    part = Spool(tmp_path / "a" / "gateway.db.spool", least_free=0).begin("ab" * 16, None)
    made = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert {mode(path) for path in made} == {0o700}
    assert len(made) == 3
    part.close()


async def test_write_ahead_log_is_cut_after_a_long_reader(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    store = Store(f"sqlite:///{path}")
    await store.open()
    log = path.with_name("gateway.db-wal")
    await store.submit(keep(notification("n0")))
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM notifications").fetchall()
        await store.write(lambda c: c.execute(text("CREATE TABLE ballast (b BLOB)")))
        for _ in range(20):
            await store.write(lambda c: c.execute(text("INSERT INTO ballast VALUES (zeroblob(1000000))")))
        assert log.stat().st_size > 3 * LARGEST_LOG
    for number in range(5):
        await store.submit(keep(notification(f"n{number + 1}")))
    assert log.stat().st_size <= LARGEST_LOG
    await store.close()


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("nowhere/deep/gateway.db", "the folder {0}/nowhere/deep of the store {0}/nowhere/deep/gateway.db does not"),
        ("file/gateway.db", "{0}/file/gateway.db"),
        ("folder", "the store {0}/folder is no file"),
        ("dangling.db", "does not exist"),
    ],
)
def test_store_that_cannot_be_there_is_refused_with_its_path(tmp_path: Path, place: str, told: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling.db").symlink_to(tmp_path / "gone" / "gateway.db")
    for use in (SqliteDatabase.hold, SqliteDatabase.exists, SqliteDatabase.prepare):
        with pytest.raises(StoreError) as refused:
            use(database(tmp_path / place))
        assert told.format(tmp_path) in str(refused.value)
    assert not (tmp_path / "nowhere").exists()
    assert not (tmp_path / "gone").exists()
