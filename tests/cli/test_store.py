"""``gateway store check`` and ``gateway store backup``."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text

from gateway.config.load import store_of
from gateway.store.engine.connect import open_database
from tests.cli.conftest import Run, make_filled


@pytest.fixture(params=["sqlite", "postgresql"])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a routes file whose filled store is this test's own."""
    return make_filled(request, tmp_path)


def write(routes: Path, statement: str) -> None:
    database = open_database(store_of(routes))
    with database.write() as connection:
        connection.execute(text(statement))
    database.close()


def test_a_store_that_is_whole_is_said_to_be(run: Run, own: Path) -> None:
    ran = run("store", "check", "--routes", own)
    assert (ran.status, ran.words.strip()) == (0, "The store is whole.")


def test_what_is_found_is_explained_and_mended_when_told(run: Run, own: Path) -> None:
    write(own, "UPDATE lanes SET claimable_at = NULL")
    ran = run("store", "check", "--routes", own)
    assert ran.status == 1
    assert "lane that is never claimed" in ran.words
    assert "they wait for ever" in ran.words
    assert "--fix" in ran.words
    mended = run("store", "check", "--routes", own, "--fix", "--json")
    assert mended.status == 0
    assert [(one["name"], one["mended"]) for one in mended.json] == [("lane that is never claimed", True)]
    assert run("store", "check", "--routes", own).status == 0


def test_what_only_a_person_can_mend_leaves_the_exit_status_at_1(run: Run, own: Path) -> None:
    write(own, "DELETE FROM lanes")
    ran = run("store", "check", "--routes", own, "--fix")
    assert ran.status == 1
    assert "Drop it" in ran.words


@pytest.mark.parametrize("own", ["sqlite"], indirect=True)
def test_a_backup_is_a_whole_store_in_one_file(run: Run, own: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    ran = run("store", "backup", copy, "--routes", own)
    assert ran.status == 0
    assert "MB, looked through" in ran.words
    listed = run("notifications", "list", "--routes", own, "--json").json
    own.write_text(own.read_text().replace("gateway.db", "copy.db"))
    assert run("notifications", "list", "--routes", own, "--json").json == listed
    assert run("store", "check", "--routes", own).status == 0


@pytest.mark.parametrize("own", ["sqlite"], indirect=True)
def test_a_backup_writes_over_nothing_unless_told(run: Run, own: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_text("the last one")
    ran = run("store", "backup", copy, "--routes", own)
    assert ran.status == 2
    assert "--replace" in ran.err
    assert copy.read_text() == "the last one"
    assert run("store", "backup", copy, "--routes", own, "--replace").status == 0
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("own", ["sqlite"], indirect=True)
def test_a_folder_that_is_not_there_is_told(run: Run, own: Path, tmp_path: Path) -> None:
    ran = run("store", "backup", tmp_path / "nowhere" / "copy.db", "--routes", own)
    assert ran.status == 1
    assert "could not be copied" in ran.err


@pytest.mark.parametrize("own", ["postgresql"], indirect=True)
def test_a_postgresql_store_is_left_to_pg_dump(run: Run, own: Path, tmp_path: Path) -> None:
    ran = run("store", "backup", tmp_path / "copy.dump", "--routes", own)
    assert ran.status == 1
    assert "pg_dump --format=custom" in " ".join(ran.err.split())
    assert "postgresql://" in "".join(ran.err.split())


@pytest.mark.parametrize("own", ["sqlite"], indirect=True)
def test_a_damaged_file_is_found(run: Run, own: Path) -> None:
    file = own.with_name("gateway.db")
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA journal_mode=DELETE")
        [(page,)] = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ix_deliveries_notification'")
        [(size,)] = database.execute("PRAGMA page_size")
    database.close()
    with file.open("r+b") as opened:
        opened.seek((page - 1) * size + 8)
        opened.write(b"\xff" * 32)
    ran = run("store", "check", "--routes", own)
    assert ran.status == 1
    assert "damaged" in ran.words + ran.err or "malformed" in ran.words + ran.err
