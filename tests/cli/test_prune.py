"""``gateway prune``."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from sqlalchemy import update

from gateway.store.clock import SECOND, now
from gateway.store.engine import Database
from gateway.store.tables import deliveries, notifications, quarantine
from tests.cli.conftest import Run


@pytest.fixture
def aging(filled: Path, tmp_path: Path) -> Path:
    """Return a copy of the filled store: all tests of the session share the original."""
    shutil.copytree(filled.parent, tmp_path / "aging")
    return tmp_path / "aging" / filled.name


def age(routes: Path, days: int) -> None:
    """Make everything in the store so old."""
    database = Database(f"sqlite:///{routes.with_name('gateway.db')}")
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
