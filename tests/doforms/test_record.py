"""Decoding records: questions by name, sections by path, tables in both shapes, and no value lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from gateway.doforms.failures import NotARecord
from gateway.doforms.record import decode_record, unknown_kinds
from gateway.errors import TemplateError
from gateway.models import Record, RecordKind
from gateway.record_answers import every_answer
from gateway.templates.template import compile_expression
from gateway.text.json_text import to_json


def decoded(*fields: Any, kind: RecordKind = RecordKind.SUBMISSION) -> Record:
    return decode_record(to_json({"key": "k", "id": "17", "fields": list(fields)}).encode(), kind=kind)


def question(name: str, value: Any, word: str = "text") -> dict[str, Any]:
    return {"name": name, "data": word, word: value}


def section(name: str, *fields: Any) -> dict[str, Any]:
    return {"name": name, "type": "section", "fields": list(fields)}


def test_the_documented_example_is_read() -> None:
    record = decode_record(
        b'{"key":"k","id":"17","fields":['
        b'{"name":"GroupID","data":"text","type":"text","text":"2634NN2EN"},'
        b'{"name":"Died","data":"integer","type":"numeric","integer":31},'
        b'{"name":"untitled2","fields":[{"name":"Why","data":"strings","type":"choose","strings":["Cold","Wet"]}]}]}',
        kind=RecordKind.DISPATCH,
    )
    assert (record.kind, record.key, record.id) == (RecordKind.DISPATCH, "k", "17")
    assert record.fields == {"GroupID": "2634NN2EN", "Died": 31, "Why": ["Cold", "Wet"]}
    assert record.paths == {"GroupID": "2634NN2EN", "Died": 31, "untitled2.Why": ["Cold", "Wet"]}
    assert record.tables == {}
    assert record.raw["fields"][1]["integer"] == 31


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param(question("q", "2026-01-02", "date"), "2026-01-02", id="a date stays text"),
        pytest.param(question("q", "2026-01-02T03:04", "dateTime"), "2026-01-02T03:04", id="a wall clock stays text"),
        pytest.param(question("q", False, "boolean"), False, id="false is an answer"),
        pytest.param(question("q", 0, "integer"), 0, id="zero is an answer"),
        pytest.param(question("q", "", "text"), "", id="an empty text is an answer"),
        pytest.param(question("q", {"key": "b", "fileName": "a.jpg"}, "blob"), {"key": "b", "fileName": "a.jpg"}),
        pytest.param({"name": "q", "data": "text"}, None, id="unanswered"),
        pytest.param({"name": "q", "data": "text", "text": None}, None, id="answered with null"),
        pytest.param({"name": "q", "data": "text", "required": True}, None, id="unanswered, with a new property"),
        pytest.param({"name": "q"}, None, id="only a name"),
        pytest.param({"name": "q", "text": "a"}, "a", id="no data"),
        pytest.param({"name": "q", "data": 7, "text": "a"}, "a", id="data is no text"),
        pytest.param({"name": "q", "data": "sketch", "sketch": [1]}, [1], id="an unknown word"),
        pytest.param({"name": "q", "data": "sketch", "lines": [1]}, [1], id="the one property that is left"),
        pytest.param({"name": "q", "data": "location", "lat": 1, "lon": 2}, {"lat": 1, "lon": 2}, id="several left"),
        pytest.param({"name": "q", "data": "label", "label": "a"}, "a", id="a word that usually is no value"),
        pytest.param({"name": "q", "data": "text", "text": "a", "fields": None}, "a", id="fields is null"),
    ],
)
def test_the_value_is_the_property_that_data_names(field: dict[str, Any], value: Any) -> None:
    record = decoded(field)
    assert record.fields == {"q": value}
    assert record.paths == {"q": value}


def test_the_kind_of_each_value_is_known_also_of_those_in_rows() -> None:
    table = {"name": "rows", "fields": [[question("a", 1, "integer"), section("s", question("b", 2, "hologram"))]]}
    record = decoded(section("part", question("site", "Dock"), table), {"name": "none", "fields": []})
    assert record.kinds == {
        "part.site": "text",
        "part.rows": "table",
        "part.rows[]": "row",
        "part.rows[].a": "integer",
        "part.rows[].b": "hologram",
        "none": "empty",
    }
    assert unknown_kinds(record) == {"part.rows[].b": "hologram"}


def test_numbers_keep_every_digit() -> None:
    price = b'{"name":"price","data":"decimal","decimal":0.10}'
    number = b'{"name":"number","data":"integer","integer":12345678901234567890}'
    record = decode_record(b'{"key":"k","fields":[' + price + b"," + number + b"]}", kind=RecordKind.SUBMISSION)
    assert record.fields == {"price": Decimal("0.10"), "number": 12345678901234567890}
    assert str(record.fields["price"]) == "0.10"
    assert str(record.raw["fields"][0]["decimal"]) == "0.10"


@pytest.mark.parametrize(
    "digits",
    ["9" * 5000, "-" + "1" * 4301, "0." + "3" * 5000, "1e400", "1E-999999999999999999999", "1e99999999999999999999"],
)
def test_a_number_of_any_size_keeps_every_digit(digits: str) -> None:
    body = f'{{"key": "k", "fields": [{{"name": "q", "data": "number", "number": {digits}}}]}}'
    value = decode_record(body.encode(), kind=RecordKind.SUBMISSION).fields["q"]
    assert str(value).replace("+", "").lower() == digits.lower()


@pytest.mark.parametrize("digits", ["1e999999999", "1E-5001", "-1.5e+123456"])
def test_a_number_that_would_fill_the_memory_when_written_out_stays_a_text(digits: str) -> None:
    body = f'{{"key": "k", "fields": [{{"name": "q", "data": "number", "number": {digits}}}]}}'
    assert decode_record(body.encode(), kind=RecordKind.SUBMISSION).fields["q"] == digits


def test_sections_nest_and_a_single_name_is_found_at_any_depth() -> None:
    record = decoded(section("a", section("b", question("site", "Dock")), question("risk", "High")))
    assert record.fields == {"site": "Dock", "risk": "High"}
    assert record.paths == {"a.b.site": "Dock", "a.risk": "High"}


def test_a_section_without_a_name_hides_nothing() -> None:
    assert decoded({"fields": [question("site", "Dock")]}).paths == {"site": "Dock"}


@pytest.mark.parametrize(
    ("fields", "paths"),
    [
        pytest.param([{"data": "text", "text": "a"}], {"?": "a"}, id="a field without a name"),
        pytest.param([{"name": 7, "data": "text", "text": "a"}], {"7": "a"}, id="a number for a name"),
        pytest.param(["a", None, 3], {"?": "a", "?[2]": 3}, id="values among the fields"),
        pytest.param([[question("site", "Dock")]], {"site": "Dock"}, id="a list among the fields"),
        pytest.param([{**section("s", question("a", 1)), "data": "x", "x": 2}], {"s.a": 1, "s": 2}, id="both"),
        pytest.param([{"name": "s", "fields": {"a": 1}}], {"s.a": 1}, id="a flattened section"),
        pytest.param([{"name": "q", "fields": "a"}], {"q": "a"}, id="fields that are a value"),
        pytest.param([{"name": "t", "fields": [], "data": "t", "t": [{"a": 1}]}], {"t": [{"a": 1}]}, id="empty fields"),
        pytest.param([{"name": "t", "fields": [{"fields": [], "a": 1}]}], {"t": [{"a": 1}]}, id="a row with both"),
        pytest.param([{"name": "q", "data": "x", "x": [{"fields": "a"}]}], {"q": [{"fields": "a"}]}, id="a column"),
        pytest.param(
            [{"name": "q", "data": "x", "x": [{"fields": ["a"], "type": "b"}]}],
            {"q": [{"fields": ["a"], "type": "b"}]},
            id="a column that is a list",
        ),
        pytest.param([{**section("s", question("a", 1)), "data": ["x"]}], {"s.a": 1}, id="data of a section no text"),
        pytest.param([{**section("s", question("a", 1)), "data": "fields"}], {"s.a": 1}, id="data is what is inside"),
        pytest.param([question("q", [[1, 2], [3, 4]], "x")], {"q": [[1, 2], [3, 4]]}, id="a list of lists"),
        pytest.param(
            [{"name": "t", "fields": [[{"fields": [question("a", 1)]}]]}], {"t": [{"a": 1}]}, id="a nameless section"
        ),
    ],
)
def test_an_odd_shape_hides_no_value(fields: list[Any], paths: dict[str, Any]) -> None:
    assert decoded(*fields).paths == paths


def test_every_answer_is_there_once_by_its_name_or_its_paths() -> None:
    record = decoded(section("a", question("site", "Dock")), section("b", question("site", "Pier")), question("n", 1))
    assert every_answer(record) == {"n": 1, "a.site": "Dock", "b.site": "Pier"}
    tricky = decoded(*(section(one, question("site", one)) for one in "ab"), question("a.site", "own"))
    assert sorted(every_answer(tricky).values()) == ["a", "b", "own"]


def test_a_name_in_several_places_is_refused_naming_the_paths_and_found_by_them() -> None:
    record = decoded(section("a", question("site", "Dock")), section("b", question("site", "Pier")))
    for ask in (lambda: record.fields["site"], lambda: record.fields.get("site")):
        with pytest.raises(TemplateError, match=r"^'site' stands in several places .*: 'a\.site' or 'b\.site'$"):
            ask()
    assert record.fields == record.paths == {"a.site": "Dock", "b.site": "Pier"}
    assert record.fields["b.site"] == "Pier"


def test_whoever_takes_the_answers_as_a_whole_gets_those_of_an_ambiguous_name_by_their_paths() -> None:
    record = decoded(section("a", question("site", "Dock")), section("b", question("site", "Pier")), question("n", 1))
    whole = compile_expression("record.fields").evaluate({"record": {"fields": record.fields}})
    each = compile_expression("record.fields | items | list").evaluate({"record": {"fields": record.fields}})
    assert whole == dict(each) == {"n": 1, "a.site": "Dock", "b.site": "Pier"}


def test_a_name_that_is_not_there_is_no_mistake_of_the_form() -> None:
    record = decoded(question("site", "Dock"))
    assert record.fields.get("other") is None
    with pytest.raises(KeyError):
        record.fields["other"]


def test_the_same_name_twice_in_one_section_loses_neither() -> None:
    record = decoded(question("site", "Dock"), question("site", "Pier"))
    assert record.paths == {"site": "Dock", "site[2]": "Pier"}
    with pytest.raises(TemplateError, match=r"'site' or 'site\[2\]'"):
        record.fields.get("site")


ROWS = [{"finding": "Loose rail", "photo": None}, {"finding": "Rust", "photo": {"key": "b1"}}]
FIELD_ROWS = [
    [question("finding", row["finding"]), {"name": "photo", "data": "blob"} | ({"blob": row["photo"]} if n else {})]
    for n, row in enumerate(ROWS)
]


@pytest.mark.parametrize(
    "table",
    [
        pytest.param({"name": "findings", "fields": FIELD_ROWS}, id="lists of fields"),
        pytest.param({"name": "findings", "fields": [{"fields": row} for row in FIELD_ROWS]}, id="holders of fields"),
        pytest.param({"name": "findings", "fields": ROWS}, id="objects in place of fields"),
        pytest.param({"name": "findings", "data": "table", "table": ROWS}, id="objects as a value"),
        pytest.param({"name": "findings", "data": "rows", "rows": FIELD_ROWS}, id="lists of fields as a value"),
        pytest.param(
            {"name": "findings", "data": "rows", "rows": [{"key": "1", "fields": row} for row in FIELD_ROWS]},
            id="holders with keys as a value",
        ),
    ],
)
def test_a_table_is_read_in_every_shape_and_under_every_name(table: dict[str, Any]) -> None:
    record = decoded(section("part", table))
    assert record.tables == {"findings": ROWS}
    assert record.fields == {"findings": ROWS}
    assert record.paths == {"part.findings": ROWS}


def test_a_table_with_a_column_called_name_is_read_where_it_is_a_value() -> None:
    rows = [{"name": "Ada", "hours": 3}]
    assert decoded({"name": "people", "data": "table", "table": rows}).tables == {"people": rows}


def test_tables_and_sections_nest_in_rows() -> None:
    tools = {"name": "tools", "fields": [[question("tool", "Saw")], [question("tool", "Axe")]]}
    record = decoded({"name": "crew", "fields": [[section("who", question("person", "Ada")), tools]]})
    assert record.tables == {"crew": [{"person": "Ada", "tools": [{"tool": "Saw"}, {"tool": "Axe"}]}]}


def test_a_name_in_several_places_of_a_row_is_found_by_its_path() -> None:
    row = [section("a", question("site", "Dock")), section("b", question("site", "Pier"))]
    record = decoded({"name": "rows", "fields": [row]})
    assert list(record.kinds) == ["rows", "rows[]", "rows[].a.site", "rows[].b.site"]
    [found] = record.tables["rows"]
    assert dict(found) == {"a.site": "Dock", "b.site": "Pier"}
    assert found["b.site"] == "Pier"
    with pytest.raises(TemplateError, match=r"'a\.site' or 'b\.site'"):
        found.get("site")


def test_two_tables_of_one_name_are_kept_apart() -> None:
    one, two = ({"name": "findings", "fields": [[question("finding", word)]]} for word in ("Rust", "Rot"))
    record = decoded(section("a", one), section("b", two))
    assert record.paths == {"a.findings": [{"finding": "Rust"}], "b.findings": [{"finding": "Rot"}]}
    with pytest.raises(TemplateError, match=r"'a\.findings' or 'b\.findings'"):
        record.tables["findings"]


def test_a_dot_in_a_name_hides_no_question_of_a_section() -> None:
    record = decoded(section("a", question("site", "Dock")), question("a.site", "Pier"))
    assert record.paths == {"a.site": "Dock", "a.site[2]": "Pier"}
    assert record.fields == {"site": "Dock", "a.site": "Pier"}


def test_an_empty_table_is_no_rows() -> None:
    record = decoded({"name": "findings", "fields": []}, {"name": "others", "data": "table", "table": []})
    assert record.tables == {}
    assert record.fields == {"others": []}


def test_a_flattened_record_that_says_a_name_twice_loses_neither_answer() -> None:
    body = b'{"key": "k", "site": "Dock", "rows": [{"a": 1, "a": 2}], "site": "Pier"}'
    record = decode_record(body, kind=RecordKind.SUBMISSION)
    assert record.paths == {"site": "Dock", "rows": [{"a": 1, "a[2]": 2}], "site[2]": "Pier"}
    with pytest.raises(TemplateError, match=r"'site' or 'site\[2\]'"):
        record.fields["site"]
    body = b'{"key": "k", "a": 1, "a": 2, "a[2]": 3, "a": 4}'
    assert sorted(decode_record(body, kind=RecordKind.SUBMISSION).paths.values()) == [1, 2, 3, 4]


FLAT = {"site": "Dock", "findings": ROWS, "photo": {"key": "b1", "id": "2", "fileName": "a.jpg"}, "risk": None}


@pytest.mark.parametrize("document", [{"key": "k", "id": 17, **FLAT}, {"key": "k", "id": 17, "fields": FLAT}])
def test_the_flattened_form_is_read(document: dict[str, Any]) -> None:
    record = decode_record(json.dumps(document).encode(), kind=RecordKind.SUBMISSION)
    assert (record.key, record.id) == ("k", "17")
    assert record.fields == record.paths == FLAT
    assert record.tables == {"findings": ROWS}


@pytest.mark.parametrize("wrapper", ["submission", "dispatch", "record"])
def test_a_record_may_stand_inside_a_wrapper(wrapper: str) -> None:
    for around in ({}, {"key": "of the wrapper"}):
        document = {**around, wrapper: {"key": "k", "id": "17", "fields": [question("site", "Dock")]}}
        record = decode_record(json.dumps(document).encode(), kind=RecordKind.SUBMISSION)
        assert (record.key, record.fields) == ("k", {"site": "Dock"})


def test_of_two_records_in_one_wrapper_that_of_the_kind_counts() -> None:
    document = json.dumps({kind.value: {"key": kind.value, "fields": []} for kind in RecordKind}).encode()
    assert [decode_record(document, kind=kind).key for kind in RecordKind] == ["submission", "dispatch"]


def test_a_key_that_is_none_does_not_hide_the_id() -> None:
    record = decode_record(b'{"key": true, "id": "17", "fields": []}', kind=RecordKind.SUBMISSION)
    assert (record.key, record.id) == ("17", "17")


def test_a_question_named_like_a_wrapper_is_no_wrapper() -> None:
    document = {"key": "k", "record": {"key": "b1", "fileName": "a.jpg"}, "site": "Dock"}
    record = decode_record(json.dumps(document).encode(), kind=RecordKind.SUBMISSION)
    assert (record.key, record.fields["site"]) == ("k", "Dock")


def test_a_record_that_holds_another_one_beside_its_fields_is_itself() -> None:
    document = {"key": "k", "fields": [question("site", "Dock")], "dispatch": {"key": "d", "fields": []}}
    record = decode_record(json.dumps(document).encode(), kind=RecordKind.DISPATCH)
    assert (record.key, record.fields) == ("k", {"site": "Dock"})


def test_a_record_known_by_its_id_only_is_known_by_that() -> None:
    record = decode_record(b'{"id": 17, "fields": []}', kind=RecordKind.SUBMISSION)
    assert (record.key, record.id) == ("17", "17")


@pytest.mark.parametrize("document", ['{"key": "k", "fields": null}', '{"key": "k", "fields": []}', '{"key": "k"}'])
def test_a_record_without_answers_is_a_record(document: str) -> None:
    assert decode_record(document.encode(), kind=RecordKind.SUBMISSION).fields == {}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "an empty body instead of a record"),
        (b" \r\n", "an empty body instead of a record"),
        (b"<html>Bad gateway</html>", "no JSON instead of a record: <html>Bad gateway"),
        (b"\xff\xfe\x00", "no JSON instead of a record"),
        (b'{"key": "k", "fields": [{"name": "a", "data": "decimal", "decimal": NaN}]}', "no JSON"),
        (b"[" * 100_000, "nested too deep to be read"),
        (b"[]", "no record"),
        (b"null", "no record"),
        (b'"k"', "no record"),
        (b"{}", "no record"),
        (b'{"error": "Internal error"}', "no record .*Internal error"),
        (b'{"key": true, "fields": []}', "no record"),
        (b'{"key": {}, "id": [], "fields": []}', "no record"),
        (b'{"key": "", "id": 0, "fields": []}', "no record"),
        (b'{"key": {"a": 1}, "fields": []}', "no record"),
        (b'[{"key": "k", "id": "17"}]', "no record"),
        (b'{"submission": {"fields": []}}', "no record"),
        (b'{"key": "k", "error": "Internal error"}', "an error instead of a record: .*Internal error"),
        (b'{"id": "E7", "errors": []}', "an error instead of a record"),
    ],
)
def test_an_empty_foreign_or_error_body_is_not_a_record(body: bytes, told: str) -> None:
    with pytest.raises(NotARecord, match=told):
        decode_record(body, kind=RecordKind.SUBMISSION)


def test_a_question_named_error_is_a_question() -> None:
    assert decoded(question("error", "none")).fields == {"error": "none"}


def test_a_record_that_names_errors_beside_its_fields_is_a_record() -> None:
    document = {"key": "k", "errors": [], "fields": [question("site", "Dock")]}
    assert decode_record(json.dumps(document).encode(), kind=RecordKind.SUBMISSION).fields == {"site": "Dock"}


@pytest.mark.parametrize(
    "around",
    [
        pytest.param(section, id="sections"),
        pytest.param(lambda name, one: {"name": name, "fields": [[one]]}, id="tables"),
        pytest.param(lambda name, one: {"name": name, "fields": [{"fields": [one]}]}, id="tables of holders"),
        pytest.param(lambda name, one: {"name": name, "data": "rows", "rows": [one]}, id="tables as values"),
    ],
)
def test_what_is_nested_very_deep_is_kept_as_it_came(around: Callable[[str, Any], Any]) -> None:
    deep = question("q", "at the bottom")
    for _ in range(200):
        deep = around("s", deep)
    record = decoded(deep, question("site", "Dock"))
    assert record.fields["site"] == "Dock"
    assert "at the bottom" in to_json(record.paths)


def test_what_is_shown_of_a_foreign_body_is_short() -> None:
    with pytest.raises(NotARecord) as raised:
        decode_record(b"x" * 10_000, kind=RecordKind.SUBMISSION)
    assert len(str(raised.value)) < 400


def test_a_path_in_a_row_finds_its_question_also_where_the_other_of_that_name_is_not_answered() -> None:
    both = {"fields": [section("before", question("note", "a")), section("after", question("note", "b"))]}
    one = {"fields": [section("after", question("note", "only"))]}
    rows = decoded({"name": "findings", "fields": [both, one]}).tables["findings"]
    assert [(row.get("before.note"), row["after.note"]) for row in rows] == [("a", "b"), (None, "only")]
    assert rows[1] == {"note": "only"}
