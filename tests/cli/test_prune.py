"""``gateway prune``."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from gateway.attachments.spool import Spool
from gateway.config.load import spool_folder_of, store_of
from gateway.store.engine.connect import open_database
from gateway.store.engine.transaction_time import SECOND, now
from gateway.store.tables import attachments, deliveries, notifications, quarantine
from tests.cli.conftest import Run, make_filled


@pytest.fixture(params=["sqlite", "postgresql"])
def aging(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a routes file whose filled store is this test's own."""
    return make_filled(request, tmp_path)


def age(routes: Path, days: int) -> None:
    """Make everything in the store so old."""
    database = open_database(store_of(routes))
    then = now() - days * 86400 * SECOND
    with database.write() as connection:
        connection.execute(update(notifications).values(received_at=then))
        connection.execute(update(notifications).where(notifications.c.outcome_at > 0).values(outcome_at=then))
        connection.execute(update(deliveries).where(deliveries.c.settled_at > 0).values(settled_at=then))
        connection.execute(update(quarantine).values(received_at=then))
    database.close()


def keys(run: Run, routes: Path) -> set[str]:
    return {one["key"] for one in run("notifications", "list", "--routes", routes, "--json").json}


def test_nothing_is_deleted_that_is_younger_than_retention(run: Run, aging: Path) -> None:
    assert "Nothing is old enough." in run("prune", "--routes", aging, "--yes").words


def test_a_dry_run_tells_and_deletes_nothing(run: Run, aging: Path) -> None:
    age(aging, 100)
    before = keys(run, aging)
    assert "2 bodies in quarantine" in run("prune", "--routes", aging, "--dry-run").words
    assert keys(run, aging) == before


def test_without_a_yes_nothing_is_deleted(run: Run, aging: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    age(aging, 100)
    before = keys(run, aging)
    assert run("prune", "--routes", aging).status == 1
    assert keys(run, aging) == before


def test_what_ended_is_deleted_and_the_unfinished_stays(run: Run, aging: Path) -> None:
    age(aging, 40)
    pending = {
        one["notification"] for one in run("deliveries", "list", "--routes", aging, "--state", "pending", "--json").json
    }
    before = keys(run, aging)
    assert "Deleted:" in run("prune", "--routes", aging, "--older-than", "30d", "--yes").words
    after = keys(run, aging)
    assert pending <= after < before


def test_a_span_that_is_none_is_refused(run: Run, aging: Path) -> None:
    refused = run("prune", "--routes", aging, "--older-than", "soon")
    assert refused.status == 2


def test_json_tells_what_was_deleted_and_never_asks(run: Run, aging: Path) -> None:
    age(aging, 100)
    assert run("prune", "--routes", aging, "--json").status == 2
    told = run("prune", "--routes", aging, "--json", "--dry-run").json
    assert told["quarantine"] == 2
    assert run("prune", "--routes", aging, "--json", "--yes").json == told
    assert set(run("prune", "--routes", aging, "--json", "--yes").json.values()) == {0}


def test_of_what_was_deleted_the_key_and_the_outcome_can_still_be_shown(run: Run, aging: Path) -> None:
    age(aging, 100)
    before = keys(run, aging)
    run("prune", "--routes", aging, "--yes")
    gone = sorted(before - keys(run, aging))
    shown = run("notifications", "show", gone[0], "--routes", aging, "--json").json
    assert shown["deleted"] is not None
    assert (shown["body"], shown["all_deliveries"]) == ("", [])
    assert "being older than retention" in run("notifications", "show", gone[0], "--routes", aging).words
    assert run("notifications", "replay", gone[0], "--routes", aging, "--yes").status == 1


def attach(routes: Path) -> dict[int, Path]:
    """Give each notification an attachment in the spool; returns the files by the notification's id."""
    database, spool = open_database(store_of(routes)), Spool(spool_folder_of(routes), least_free=0)
    files = {}
    with database.write() as connection:
        for id_ in connection.execute(select(notifications.c.id)).scalars().all():
            name = f"{id_:032x}"
            values = {"notification_id": id_, "blob_key": "p1", "place": "photo", "filename": "photo.jpg"}
            more = {"webservice_id": "w", "file": name, "state": "spooled", "size": 1}
            connection.execute(insert(attachments).values(values | more))
            files[id_] = spool.path(name)
    for file in files.values():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    database.close()
    return files


def test_the_photos_of_what_was_deleted_go_with_it_and_no_others(run: Run, aging: Path) -> None:
    age(aging, 100)
    files = attach(aging)
    told = run("prune", "--routes", aging, "--dry-run")
    assert all(file.exists() for file in files.values())
    deleted = run("prune", "--routes", aging, "--yes")
    assert [line.partition(":")[0] for line in deleted.out.splitlines() if line.strip()] == ["To delete", "Deleted"]
    database = open_database(store_of(aging))
    with database.read() as connection:
        left = set(connection.execute(select(attachments.c.notification_id)).scalars())
    database.close()
    assert {id_ for id_, file in files.items() if file.exists()} == left
    gone = len(files) - len(left)
    assert gone > 0
    assert f"{gone} attachments" in told.words
    assert f"Deleted: {gone} notifications, {gone} attachments" in deleted.words
