"""Roles that may do no more than they need: what is lacking is told as the statement that grants it, and works."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_database import Database
from gateway_database.options import DatabaseSettings
from sqlalchemy import make_url

from gateway.api import Event, Misconfigured, Receipt
from gateway.testing import make_context, make_record, settings

COLUMNS = {"doforms_key": "{{ record.fields.id }}", "site": "{{ record.fields.site }}"}
CHILD = {
    "table": "findings",
    "rows": "record.fields.findings",
    "parent": {"inspection_key": "{{ record.fields.id }}"},
    "columns": {"finding": "{{ row.finding }}"},
}
KEYED = {"key": ["doforms_key"]}
WAYS: dict[str, dict[str, Any]] = {
    "insert": {"write": "insert"},
    "insert once": {"write": "insert", "delivery_key": "delivery"},
    "insert with rows": {"write": "insert", "children": [CHILD]},
    "upsert": {"write": "upsert", **KEYED},
    "upsert guarded": {"write": "upsert", "guard": "number", **KEYED},
    "upsert with rows": {"write": "upsert", "children": [CHILD], **KEYED},
    "update": {"write": "update", **KEYED},
    "update guarded": {"write": "update", "guard": "number", **KEYED},
    "delete": {"write": "delete", **KEYED},
    "delete guarded": {"write": "delete", "guard": "number", "children": [CHILD], **KEYED},
    "mirror": {"write": "mirror", **KEYED},
    "mirror marking": {"write": "mirror", "guard": "number", "on_delete": {"set": {"gone": True}}, **KEYED},
}


@pytest.fixture(autouse=True)
def tables(place: Any) -> None:
    place.run(
        f"CREATE TABLE inspections (id {place.serial}, doforms_key VARCHAR(40) UNIQUE, site VARCHAR(40), "
        "number BIGINT, delivery VARCHAR(40) UNIQUE, gone BOOLEAN, secret VARCHAR(9))",
        "CREATE TABLE findings (inspection_key VARCHAR(40), finding VARCHAR(40))",
    )


@pytest.fixture
def poor(place: Any) -> Database:
    """The destination as a role that may connect, and nothing else."""
    role = f"poor_{place.kind}"
    if place.kind == "postgresql":
        drop = f"DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN "
        place.run(
            f"{drop} EXECUTE 'DROP OWNED BY {role}'; DROP ROLE {role}; END IF; END $$", f"CREATE ROLE {role} LOGIN"
        )
    elif place.kind == "mariadb":
        place.run(
            f"DROP USER IF EXISTS {role}@'%'",
            f"CREATE USER {role}@'%'",
            f"GRANT SELECT (finding) ON findings TO {role}@'%'",
            f"GRANT SELECT (site) ON inspections TO {role}@'%'",
        )
    url = make_url(place.settings["url"]).set(username=role).render_as_string()
    return Database(settings(DatabaseSettings, **{**place.settings, "url": url}), make_context("warehouse"))


async def grant(place: Any, poor: Database, uses: list[Any]) -> list[str]:
    """Run what the check says until it says nothing more; return that."""
    ran: list[str] = []
    for _ in range(4):
        lacking = [one for one in await poor.check(uses) if one.remedy.startswith("Run: GRANT")]
        if not lacking:
            return ran
        assert all("has no right to" in one.found and one.error for one in lacking)
        statements = [one.remedy.removeprefix("Run: ") for one in lacking]
        place.run(*statements)
        ran += statements
        await poor.close()
    raise AssertionError(ran)


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
@pytest.mark.parametrize("way", WAYS)
async def test_role_with_what_the_check_names_can_write(
    way: str, place: Any, poor: Database, delivery: Any, use: Any
) -> None:
    options = {"columns": COLUMNS, **WAYS[way]}
    place.run("INSERT INTO inspections (doforms_key, site) VALUES ('s1', 'old')")
    events = (Event.CREATE, Event.UPDATE, Event.DELETE) if "insert" not in way else (Event.CREATE,)
    made = [
        delivery(
            record=make_record(id=f"s{number if 'insert' not in way else 9}", site="x", findings=[{"finding": "rust"}]),
            unique=f"d{event.value}", number=order, event=event, **options,
        )
        for number in ((1, 2) if "up" not in way or "upsert" in way else (1,))
        for order, event in enumerate(events, number * 10)
    ]  # fmt: skip
    made = made[:1] if "insert" in way else made
    with pytest.raises(Misconfigured, match="Run: GRANT"):
        await poor.deliver(made[0])
    statements = await grant(place, poor, [use(**options)])
    assert not any("secret" in one for one in statements)
    for one in made:
        assert isinstance(await poor.deliver(one), Receipt)
    if way not in ("insert", "insert with rows"):  # which would show
        assert {type(one) for one in await poor.deliver_many(made)} == {Receipt}
    await poor.close()


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
async def test_role_that_may_only_insert_writes_rows_with_generated_keys(
    place: Any, poor: Database, delivery: Any, use: Any
) -> None:
    place.run(
        "CREATE TABLE visits (id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY, site TEXT)",
        "GRANT USAGE ON SCHEMA forms TO poor_postgresql",
        "GRANT INSERT ON visits, inspections TO poor_postgresql",
    )
    options = {"columns": {"site": "{{ record.fields.site }}"}}
    assert await poor.check([use(table="visits", **options)]) == []
    receipt = await poor.deliver(delivery({"site": "x"}, table="visits", **options))
    assert receipt.summary == "row written to visits"
    [finding] = await poor.check([use(**options)])
    assert finding.remedy == "Run: GRANT USAGE ON SEQUENCE forms.inspections_id_seq TO poor_postgresql"
    [finding] = [one for one in await poor.check([use(delivery_key="delivery", **options)]) if "SELECT" in one.found]
    assert finding.remedy == "Run: GRANT SELECT (delivery) ON forms.inspections TO poor_postgresql"
    place.run(
        finding.remedy.removeprefix("Run: "), "GRANT USAGE ON SEQUENCE forms.inspections_id_seq TO poor_postgresql"
    )
    await poor.close()
    made = [delivery({"site": "x"}, unique=f"d{number}", delivery_key="delivery", **options) for number in range(3)]
    assert [one.details["rows"] for one in await poor.deliver_many(made[:2])] == [1, 1]
    assert [one.details["rows"] for one in await poor.deliver_many(made)] == [0, 0, 1]
    await poor.close()


@pytest.mark.parametrize("place", ["mariadb"], indirect=True)
@pytest.mark.parametrize("way", ["insert", "insert once", "upsert", "upsert guarded", "update", "mirror marking"])
async def test_role_of_mariadb_with_what_the_check_names_can_write(
    way: str, place: Any, poor: Database, delivery: Any, use: Any
) -> None:
    options = {"columns": COLUMNS, **WAYS[way]}
    made = delivery(record=make_record(id="s1", site="x"), **options)
    place.run("INSERT INTO inspections (doforms_key, site) VALUES ('s1', 'old')" if way == "update" else "SELECT 1")
    place.run("GRANT SELECT ON inspections TO poor_mariadb@'%'")  # else it does not see the columns
    with pytest.raises(Misconfigured, match="Run: GRANT"):
        await poor.deliver(made)
    await grant(place, poor, [use(**options)])
    assert (await poor.deliver(made)).details["rows"] == 1
    await poor.close()


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
async def test_question_whose_column_may_not_be_written_is_left_out_and_named(
    place: Any, poor: Database, delivery: Any, use: Any
) -> None:
    place.run(
        "GRANT USAGE ON SCHEMA forms TO poor_postgresql",
        "GRANT SELECT, INSERT (doforms_key, site), UPDATE (site) ON inspections TO poor_postgresql",
        "GRANT USAGE ON SEQUENCE inspections_id_seq TO poor_postgresql",
    )
    options = {"write": "upsert", "columns": {"*": True, "doforms_key": "s1"}, **KEYED}
    receipt = await poor.deliver(delivery({"site": "x", "secret": "y"}, questions={"gone"}, **options))
    assert receipt.left_out.keys() == {"secret"}
    assert "no right to INSERT and UPDATE" in receipt.left_out["secret"]
    findings = await poor.check([use(**options)])
    assert any("inspections.secret" in one.found and not one.error for one in findings)
    assert place.rows("SELECT site, secret FROM inspections") == [("x", None)]
    await poor.close()
