"""What a record and the routes ask of each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gateway.drift.mismatch import not_asked_for, not_in_record
from gateway.drift.usage import Mapped, Mappings, Wanted
from tests.support.records import answer, decode, section


def asked(*wanted: Wanted, choosing: bool = True, whole: frozenset[Wanted] = frozenset()) -> Mappings:
    places = tuple(Mapped("route", "table", f"columns.{one.column or one.name}", one) for one in wanted)
    return Mappings(places, (("route", "table"),) if choosing else (), whole)


def record() -> Mapping[str, str]:
    table = {"name": "findings", "fields": [{"fields": [answer("finding", "Rust"), answer("photo", "p")]}]}
    return decode(section("a", answer("site", "Dock")), table, {"name": "tools", "fields": []}).kinds


SITE, FINDINGS = Wanted("fields", "site"), Wanted("tables", "findings")
FINDING = Wanted("tables", "findings", "finding")


def test_questions_that_no_template_asks_for_are_named_of_a_table_only_the_table() -> None:
    assert not_asked_for(record(), asked(SITE)) == ("findings",)
    assert not_asked_for(record(), asked(SITE, FINDINGS, FINDING)) == ("findings[].photo",)
    assert not_asked_for(record(), asked(SITE, FINDINGS, whole=frozenset({FINDINGS}))) == ()
    assert not_asked_for(record(), asked(choosing=False)) == ()


def test_photos_are_asked_for_where_a_delivery_takes_the_attachments() -> None:
    photo = answer("photo", {"key": "p1", "type": "image"}, "blob")
    kinds = decode(answer("site", "Dock"), photo).kinds
    assert not_asked_for(kinds, asked(SITE)) == ("photo",)
    assert not_asked_for(kinds, replace(asked(SITE), attachments=True)) == ()


def test_questions_that_are_asked_for_in_vain_are_named_with_the_places_columns_only_of_tables_with_rows() -> None:
    crew, depth = Wanted("fields", "crew"), Wanted("tables", "findings", "fnding")
    assert not_in_record(record(), asked(SITE, FINDINGS, FINDING, Wanted("tables", "tools", "tool"))) == ()
    found = not_in_record(record(), asked(crew, depth, crew))
    assert [(one.question, len(one.asked_by), one.meant) for one in found] == [
        ("crew", 2, None),
        ("findings[].fnding", 1, "findings[].finding"),
    ]


def test_what_was_meant_is_a_question_never_a_row_and_for_a_column_one_of_its_table() -> None:
    photo = Wanted("tables", "findings", "photograph")
    assert [one.meant for one in not_in_record(record(), asked(photo))] == ["findings[].photo"]
    depth = Wanted("tables", "findings", "depth")
    assert [one.meant for one in not_in_record(record(), asked(depth))] == [None]
    measures = decode({"name": "measures", "fields": [{"fields": [answer("depths", "3 mm")]}]}).kinds
    assert [one.meant for one in not_in_record({**record(), **measures}, asked(depth))] == [None]
    assert [one.meant for one in not_in_record(record(), asked(Wanted("fields", "findngs")))] == ["findings"]
