"""What is found out before anything is written."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_database import Database
from gateway_database.options import DatabaseOptions, DatabaseSettings
from pydantic import ValidationError

from gateway.api import Event, Repeatable, is_template, peek
from gateway.testing import DestinationConformance, make_context, settings, unrendered

COLUMNS = {"doforms_key": "{{ record.key }}", "site": "{{ record.fields.site }}"}
KEYED = {"key": ["doforms_key"], "columns": COLUMNS}
MARK = {"set": {"deleted": True, "at": "{{ now }}"}}
CHILD = {
    "table": "findings",
    "rows": "record.tables.findings",
    "parent": {"inspection_key": "{{ record.key }}"},
    "columns": {"finding": "{{ row.finding }}", "day": "{{ record.fields.day }}"},
}


def options(**given: Any) -> DatabaseOptions:
    return unrendered(DatabaseOptions, **{"table": "inspections", **given})


def instance() -> Database:
    return Database(settings(DatabaseSettings, url="sqlite:///nowhere.db"), make_context("warehouse"))


class TestConformance(DestinationConformance):
    destination = Database
    settings = {"url": "postgresql://someone@host/name", "password": "secret-word"}  # noqa: RUF012
    options = {"table": "inspections", "write": "mirror", **KEYED, "children": [CHILD]}  # noqa: RUF012


@pytest.mark.parametrize(
    "given",
    [
        {"columns": COLUMNS},
        {"columns": {"*": True}},
        {"columns": {}, "delivery_key": "delivery"},
        {"write": "upsert", **KEYED, "guard": "number", "delivery_key": "delivery"},
        {"write": "update", **KEYED},
        {"write": "delete", "key": ["doforms_key"], "columns": {"doforms_key": "{{ record.key }}"}},
        {"write": "mirror", **KEYED, "on_delete": "delete", "children": [CHILD]},
        {"write": "mirror", **KEYED, "on_delete": MARK, "guard": "number"},
    ],
)
def test_options_that_fit_are_left_alone(given: dict[str, Any]) -> None:
    assert instance().review(options(**given)) == []


@pytest.mark.parametrize(
    ("given", "wheres"),
    [
        ({"write": "upsert", "columns": COLUMNS}, ["key"]),
        ({"write": "mirror", "columns": COLUMNS, "key": ["id"]}, ["key"]),
        ({"write": "upsert", "columns": COLUMNS, "key": ["site", "site"]}, ["key"]),
        ({"columns": COLUMNS, "key": ["site"]}, ["key"]),
        ({"columns": {}}, ["columns"]),
        ({"write": "update", "key": ["site"], "columns": {"site": "x"}}, ["columns"]),
        ({"columns": {"*": False}}, ["columns.*"]),
        ({"columns": {"*": "{{ record.key }}"}}, ["columns.*"]),
        ({"columns": COLUMNS, "delivery_key": "site"}, ["columns.site"]),
        ({"write": "upsert", **KEYED, "guard": "site"}, ["columns.site"]),
        ({"write": "upsert", **KEYED, "guard": "own", "delivery_key": "own"}, ["guard"]),
        ({"columns": COLUMNS, "guard": "number"}, ["guard"]),
        ({"write": "delete", **KEYED, "delivery_key": "delivery"}, ["delivery_key"]),
        ({"write": "upsert", **KEYED, "on_delete": "delete"}, ["on_delete"]),
        ({"columns": COLUMNS, "on_delete": MARK}, ["on_delete"]),
        ({"write": "mirror", **KEYED, "guard": "number"}, ["guard"]),
        ({"write": "mirror", **KEYED, "guard": "number", "on_delete": "delete"}, ["guard"]),
        ({"write": "mirror", **KEYED, "guard": "at", "on_delete": MARK}, ["on_delete.set.at"]),
        ({"write": "mirror", **KEYED, "on_delete": {"set": {}}}, ["on_delete.set"]),
        ({"write": "mirror", **KEYED, "on_delete": {"set": {"doforms_key": 1}}}, ["on_delete.set.doforms_key"]),
        ({"columns": COLUMNS, "children": [{**CHILD, "parent": {}}]}, ["children[0].parent"]),
        ({"columns": COLUMNS, "children": [{**CHILD, "columns": {"*": True}}]}, ["children[0].columns.*"]),
        (
            {"columns": COLUMNS, "children": [CHILD, {**CHILD, "columns": {"inspection_key": 1}}]},
            ["children[1].columns.inspection_key"],
        ),
    ],
)
def test_options_that_do_not_fit_are_found(given: dict[str, Any], wheres: list[str]) -> None:
    findings = instance().review(options(**given))
    assert [finding.where for finding in findings] == wheres
    assert all(finding.error and finding.remedy for finding in findings)


def test_only_an_insert_without_a_delivery_key_may_not_be_repeated() -> None:
    assert instance().traits(options(columns=COLUMNS)).repeatable is Repeatable.NO
    for given in ({"columns": COLUMNS, "delivery_key": "delivery"}, {"write": "upsert", **KEYED}):
        assert instance().traits(options(**given)).repeatable is Repeatable.YES


def test_every_question_needs_the_record() -> None:
    assert instance().traits(options(columns={"*": True})).needs == {"record"}
    assert instance().traits(options(columns=COLUMNS)).needs == frozenset()


def test_a_delete_needs_only_key_marks_and_parents() -> None:
    made = options(write="mirror", **KEYED, on_delete=MARK, children=[CHILD])
    assert made.for_event(Event.UPDATE).columns is made.columns
    gone = made.for_event(Event.DELETE)
    assert list(peek(gone.columns)) == ["doforms_key"]
    assert gone.on_delete == made.on_delete
    [child] = gone.children
    assert is_template(child.parent)
    assert not is_template([child.rows, child.columns])
    assert made.for_event(Event.CREATE).on_delete is None
    delete = options(write="delete", **KEYED)
    assert list(peek(delete.for_event(Event.CREATE).columns)) == ["doforms_key"]
    upsert = options(write="upsert", **KEYED)
    assert upsert.for_event(Event.DELETE) is upsert


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("warehouse", "it is no SQLAlchemy URL"),
        ("nosuch://host/name", "no driver for nosuch is known"),
        ("oracle+oracledb://host/name", "is not installed"),
        ("postgresql+asyncpg://host/name", "is asynchronous"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str, found: str) -> None:
    with pytest.raises(ValidationError, match=found):
        settings(DatabaseSettings, url=url)


def test_username_and_password_are_put_into_the_url_and_shown_nowhere() -> None:
    made = settings(DatabaseSettings, url="postgresql://host/name", username="forms", password="s3cr/t")
    assert made.location.render_as_string(hide_password=False) == "postgresql+psycopg://forms:s3cr%2Ft@host/name"
    assert "s3cr" not in repr(made) + str(made.location)
    with pytest.raises(ValidationError, match="must not stand in the file in the clear"):
        DatabaseSettings(url="postgresql://host/name", password="s3cr/t")  # type: ignore[arg-type]
