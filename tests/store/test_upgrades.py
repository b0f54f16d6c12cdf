"""Upgrades: from the schema of each release, side by side with the program before, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from gateway.errors import StoreTooNew
from gateway.store.engine import schema_version
from gateway.store.engine.database import Database
from gateway.store.engine.migrate import migrate
from gateway.store.engine.schema_version import newest, works_on
from gateway.store.store import Store
from gateway.store.tables import metadata
from tests.store.schemas import DIALECTS, FOLDER, ddl, file
from tests.store.test_queue import ALL, delivered
from tests.support.keeping import keep, notification

Open = Callable[[], Database]
RELEASED = sorted({path.name.split(".")[0] for path in FOLDER.glob("*.sql")} - {"rows"})

FOLLOWING = '''"""One that follows."""

import sqlalchemy as sa
from alembic import op

revision = "{number}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add something that older programs need not know."""
    op.add_column("notifications", sa.Column("colour", sa.Text(), nullable=True))
    {mark}
'''
NEXT = f"{int(newest()) + 1:04}"
RAISES_THE_MARK = f"op.execute(\"UPDATE compatibility SET oldest = '{NEXT}'\")"


def released(store: Database, revision: str, *, rows: bool = True) -> None:
    """Make what a release has left behind."""
    with store.write() as connection:
        scripts = [file(revision, connection.dialect.name)] + ([FOLDER / "rows.sql"] if rows else [])
        for statement in "".join(script.read_text() for script in scripts).split(";\n"):
            if statement.strip() and statement.strip() not in ("BEGIN", "COMMIT"):
                connection.exec_driver_sql(statement.replace("%", "%%"))


@pytest.fixture
def upgraded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Callable[[], None]]:
    """Make this program the next one, which has one revision more; what is returned makes it this one again."""

    def make(*, mark: str = "") -> Callable[[], None]:
        folder, ours = tmp_path / "migrations", schema_version.FOLDER
        shutil.copytree(ours, folder)
        following = FOLLOWING.format(number=NEXT, before=newest(), mark=mark)
        (folder / "versions" / f"{NEXT}_following.py").write_text(following)
        monkeypatch.setattr(schema_version, "FOLDER", folder)
        return lambda: monkeypatch.setattr(schema_version, "FOLDER", ours)

    return make


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("revision", RELEASED)
def test_the_schema_of_a_release_is_still_what_its_migration_makes(revision: str, dialect: str) -> None:
    assert ddl(revision, dialect) == file(revision, dialect).read_text(), "a released migration never changes"


@pytest.mark.parametrize("revision", RELEASED)
def test_the_store_of_each_release_is_brought_to_this_programs_schema(empty: Open, revision: str) -> None:
    store = empty()
    released(store, revision)
    assert migrate(store) == (revision, newest())
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


@pytest.mark.parametrize("revision", RELEASED)
async def test_what_a_release_has_left_is_delivered_by_this_program(
    empty: Open, url_of_empty: str, revision: str
) -> None:
    released(empty(), revision)
    store = Store(url_of_empty)
    await store.open()
    try:
        (due,) = await store.claim(ALL)
        assert (due.delivery_key, due.number) == ("old-key", 5)
        assert (await store.settle([delivered(due)]))[0].accepted
    finally:
        await store.close()


def test_a_store_that_a_newer_program_has_added_to_can_still_be_worked_on(
    empty: Open, upgraded: Callable[..., Callable[[], None]]
) -> None:
    store, back = empty(), upgraded()
    migrate(store)
    back()
    assert migrate(store) == (NEXT, NEXT)
    with store.read() as connection:
        assert works_on(connection)


def test_a_store_whose_mark_is_above_this_program_is_refused(
    empty: Open, upgraded: Callable[..., Callable[[], None]]
) -> None:
    store, back = empty(), upgraded(mark=RAISES_THE_MARK)
    migrate(store)
    back()
    with pytest.raises(StoreTooNew, match=f"schema {NEXT}, on which this gateway"):
        migrate(store)
    with store.read() as connection:
        assert not works_on(connection)


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_the_program_before_goes_on_while_the_next_one_brings_the_store_forward_and_works_beside_it(
    url: str, upgraded: Callable[..., Callable[[], None]]
) -> None:
    before = Store(url)
    await before.open()
    first = await before.submit(keep())
    back = upgraded()
    after = Store(url)
    await after.open()
    second = await after.submit(keep(notification("n2")))
    third = await before.submit(keep(notification("n3")))
    assert len({first.id, second.id, third.id}) == 3
    for store in (before, after, before):  # one lane: what one leaves the other goes on with
        (due,) = await store.claim(ALL)
        settled = (await store.settle([delivered(due)]))[0]
        assert settled.accepted
        if settled.next is not None:
            await store.release([settled.next])
    assert await after.read(lambda c: c.execute(text("SELECT count(*) FROM deliveries WHERE in_lane")).scalar()) == 0
    back()
    again = Store(url)  # the program before, started once more amid the upgrade
    await again.open()
    for store in (before, after, again):
        await store.close()
