"""`"*"`: every question in its column, and what is not answered any more is cleared."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.api import Event, Receipt, Record, Rejected
from gateway.testing import make_record
from tests.support.records import answer, decode, section

EVERYTHING = {"*": True, "doforms_key": "{{ record.key }}"}
WRITES = ["upsert", "mirror", "update"]


@pytest.fixture(autouse=True)
def tables(place: Any) -> None:
    place.run(
        "CREATE TABLE inspections (doforms_key VARCHAR(40) PRIMARY KEY, site VARCHAR(40), comment VARCHAR(40), "
        "risk INTEGER, findings VARCHAR(200), photos VARCHAR(200), reviewed_by VARCHAR(40), number BIGINT, "
        "created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, score INTEGER DEFAULT 5, "
        "must INTEGER DEFAULT 7 NOT NULL, colour VARCHAR(9) DEFAULT 'it''s %' NOT NULL, strict INTEGER)"
    )


def form(delivery: Any, write: str, known: dict[str, Any], **more: Any) -> Any:
    """Return what makes a delivery of these answers, of a form that is known to ask for ``known`` as well."""
    options = {"write": write, "key": ["doforms_key"], "columns": EVERYTHING, **more}

    def make(**fields: Any) -> Any:
        return delivery(fields, questions={*known, *fields}, **options)

    return make


@pytest.mark.parametrize("guard", [{}, {"guard": "number"}])
@pytest.mark.parametrize("write", WRITES)
async def test_answer_that_is_gone_is_cleared(
    write: str, guard: dict[str, str], place: Any, database: Any, delivery: Any
) -> None:
    if write == "update":
        place.run("INSERT INTO inspections (doforms_key) VALUES ('s1')")
    full = {"site": "Dock", "comment": "wet", "risk": 3, "findings": [{"a": 1}], "score": 9}
    make = form(delivery, write, full, **guard)
    await database.deliver(make(**full))
    place.run("UPDATE inspections SET reviewed_by = 'Ann'")
    await database.deliver(make(site="Dock"))
    seen = "site, comment, risk, findings, score, reviewed_by, must, created_at IS NULL"
    assert place.rows(f"SELECT {seen} FROM inspections") == [("Dock", None, None, None, None, "Ann", 7, False)]


@pytest.mark.parametrize("write", WRITES)
async def test_column_that_must_not_be_null_gets_its_default(
    write: str, place: Any, database: Any, delivery: Any
) -> None:
    if write == "update":
        place.run("INSERT INTO inspections (doforms_key) VALUES ('s1')")
    full = {"must": 1, "colour": "red"}
    make = form(delivery, write, full)
    await database.deliver(make(site="new"))
    assert place.rows("SELECT must, colour FROM inspections") == [(7, "it's %")]
    await database.deliver(make(**full))
    assert place.rows("SELECT must, colour FROM inspections") == [(1, "red")]
    await database.deliver(make(site="x"))
    assert place.rows("SELECT must, colour FROM inspections") == [(7, "it's %")]


async def test_default_of_a_guarded_row_is_set_too(place: Any, database: Any, delivery: Any) -> None:
    make = form(delivery, "mirror", {"must": 1, "colour": ""}, guard="number", on_delete={"set": {"site": "gone"}})
    await database.deliver(make(must=1, colour="red"))
    await database.deliver(make(site="x"))
    assert place.rows("SELECT must, colour FROM inspections") == [(7, "it's %")]


async def test_clearing_a_column_without_default_that_must_not_be_null_is_refused(
    place: Any, database: Any, delivery: Any
) -> None:
    place.run("CREATE TABLE firm (doforms_key VARCHAR(40) PRIMARY KEY, site VARCHAR(40), firm_answer INTEGER NOT NULL)")
    make = form(delivery, "mirror", {"firm_answer": 1}, table="firm")
    await database.deliver(make(firm_answer=1))
    with pytest.raises(Rejected, match="firm_answer"):
        await database.deliver(make(site="x"))
    assert place.rows("SELECT site, firm_answer FROM firm") == [(None, 1)]


async def test_insert_leaves_the_database_its_defaults(place: Any, database: Any, delivery: Any) -> None:
    await database.deliver(
        delivery({"site": "x"}, questions={"score", "must", "comment"}, write="insert", columns=EVERYTHING)
    )
    assert place.rows("SELECT site, score, must, comment FROM inspections") == [("x", 5, 7, None)]


async def test_named_columns_win_and_the_guard_stays(place: Any, database: Any, delivery: Any) -> None:
    columns = {**EVERYTHING, "comment": "{{ record.fields.site }}!"}
    make = form(delivery, "mirror", {"comment": 1, "number": 1, "doforms_key": 1}, guard="number", columns=columns,
                on_delete={"set": {"site": "gone"}})  # fmt: skip
    await database.deliver(make(site="x", comment="y"))
    await database.deliver(make(site="z"))
    assert place.rows("SELECT doforms_key, comment, number FROM inspections") == [("s1", "z!", 1)]


async def test_delete_clears_nothing(place: Any, database: Any, delivery: Any) -> None:
    make = form(delivery, "mirror", {"comment": 1}, on_delete={"set": {"reviewed_by": "gone"}})
    await database.deliver(make(site="x", comment="y"))
    gone = delivery(
        {}, event=Event.DELETE, questions={"comment", "site"}, write="mirror", key=["doforms_key"],
        columns=EVERYTHING, on_delete={"set": {"reviewed_by": "gone"}},
    )  # fmt: skip
    await database.deliver(gone)
    assert place.rows("SELECT site, comment, reviewed_by FROM inspections") == [("x", "y", "gone")]


async def test_records_with_different_answers_go_by_one_statement(place: Any, database: Any, delivery: Any) -> None:
    place.run("INSERT INTO inspections (doforms_key, comment) VALUES ('s0', 'old'), ('s1', 'old'), ('s2', 'old')")
    known = {"site", "comment", "risk"}
    made = [
        delivery(
            fields, unique=f"d{number}", questions=known, write="upsert", key=["doforms_key"],
            columns={"*": True, "doforms_key": f"s{number}"},
        )
        for number, fields in enumerate(({"site": "a"}, {"comment": "b"}, {"risk": 3}))
    ]  # fmt: skip
    assert [type(one) for one in await database.deliver_many(made)] == [Receipt] * 3
    rows = place.rows("SELECT site, comment, risk FROM inspections ORDER BY doforms_key")
    assert rows == [("a", None, None), (None, "b", None), (None, None, 3)]


def noted(**answers: str) -> Record:
    return decode([section(name, answer("note", value)) for name, value in answers.items()])


PATHS = {"before.note", "after.note"}


async def test_name_in_several_sections_is_kept_by_its_path(place: Any, database: Any, delivery: Any) -> None:
    quote = "`" if place.kind == "mariadb" else '"'
    columns = ", ".join(f"{quote}{name}{quote} VARCHAR(9)" for name in sorted(PATHS))
    place.run(f"CREATE TABLE notes (doforms_key VARCHAR(40) PRIMARY KEY, {columns})")
    select = f"SELECT {quote}before.note{quote}, {quote}after.note{quote} FROM notes"
    for record, expected in (
        (noted(before="a", after="b"), ("a", "b")),
        (noted(before="c"), ("c", None)),
        (noted(after="d"), (None, "d")),
        (noted(), (None, None)),
    ):
        made = delivery(
            record=record, questions=PATHS, table="notes", write="mirror", key=["doforms_key"],
            columns={"*": True, "doforms_key": "s1"},
        )  # fmt: skip
        receipt = await database.deliver(made)
        assert place.rows(select) == [expected]
        assert receipt.left_out == {}


async def test_name_in_several_sections_with_one_column_never_keeps_an_old_answer(
    place: Any, database: Any, delivery: Any
) -> None:
    place.run("CREATE TABLE notes (doforms_key VARCHAR(40) PRIMARY KEY, note VARCHAR(9))")
    for record, expected, left in (
        (noted(before="a"), "a", set()),
        (noted(after="b"), "b", set()),
        (noted(before="c", after="d"), None, PATHS),
        (noted(before="e"), "e", set()),
        (noted(), None, set()),
    ):
        made = delivery(
            record=record, questions=PATHS, table="notes", write="upsert", key=["doforms_key"],
            columns={"*": True, "doforms_key": "s1"},
        )  # fmt: skip
        receipt = await database.deliver(made)
        assert place.rows("SELECT note FROM notes") == [(expected,)]
        assert receipt.left_out.keys() == left


def test_preview_shows_what_is_cleared(database: Any, delivery: Any) -> None:
    made = delivery(
        record=make_record(site="x"), questions={"comment"}, write="upsert", key=["doforms_key"], columns=EVERYTHING
    )
    assert "  set comment = null" in database.preview(made).splitlines()
    assert database.traits(made.options).questions
