"""Names that templates ask for, and that stand in several places of the form."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.drift.ambiguity import in_several_places
from gateway.drift.usage import Mapped, Mappings, Wanted
from tests.support.records import answer, decode, section


def table(*rows: list[Any]) -> dict[str, Any]:
    return {"name": "findings", "fields": [{"fields": list(row)} for row in rows]}


BEFORE, AFTER = section("before", answer("note", "a")), section("after", answer("note", "b"))
ONE_EACH = (decode(BEFORE), decode(AFTER))
TWICE = (decode(answer("note", "a"), answer("note", "b")),)
EMPTY = (decode({"name": "note", "fields": []}, BEFORE),)
TABLES = (decode(section("a", table([answer("x", 1)])), section("b", table([answer("x", 1)]))),)
ROWS = (decode(table([BEFORE, AFTER], [AFTER])),)
DOTS = (decode(section("a", answer("Serial no.", "1")), section("b", answer("Serial no.", "2"))),)


@pytest.mark.parametrize(
    ("records", "wanted", "told"),
    [
        (ONE_EACH, Wanted("fields", "note"), [("note", ("before.note", "after.note"))]),
        (ONE_EACH[:1], Wanted("fields", "note"), []),
        (ONE_EACH, Wanted("paths", "after.note"), []),
        (ONE_EACH, Wanted("fields", "after.note"), []),
        (TWICE, Wanted("fields", "note"), [("note", ("note", "note[2]"))]),
        (EMPTY, Wanted("fields", "note"), []),
        (TABLES, Wanted("tables", "findings"), [("findings", ("a.findings", "b.findings"))]),
        (TABLES, Wanted("tables", "findings", "x"), []),
        ((*ONE_EACH, decode(table([answer("x", 1)]))), Wanted("tables", "note"), []),
        (
            ROWS,
            Wanted("tables", "findings", "note"),
            [("findings[].note", ("findings[].before.note", "findings[].after.note"))],
        ),
        (ROWS, Wanted("tables", "findings", "after.note"), []),
        ((decode(table([AFTER], [BEFORE])),), Wanted("tables", "findings", "note"), []),
        (DOTS, Wanted("fields", "Serial no."), [("Serial no.", ("a.Serial no.", "b.Serial no."))]),
    ],
)
def test_a_name_is_ambiguous_if_records_had_it_in_several_places_be_it_not_at_once(
    records: tuple[Any, ...], wanted: Wanted, told: list[tuple[str, tuple[str, ...]]]
) -> None:
    kinds = {path: kind for record in records for path, kind in record.kinds.items()}
    places = Mapped("route", "table", "columns.note", wanted), Mapped("route", "table", "text", wanted)
    found = in_several_places(kinds, Mappings(places))
    assert [(one.question, one.paths) for one in found] == told
    assert all(one.asked_by == tuple(map(str, places)) for one in found)
