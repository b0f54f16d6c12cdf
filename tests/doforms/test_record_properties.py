"""Decoding forms that nobody thought of: it never fails, loses no value and no digit, and finds each by its path."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.doforms.failures import NotARecord
from gateway.doforms.record import decode_record
from gateway.errors import TemplateError
from gateway.models import Record, RecordKind
from gateway.record_answers import every_answer
from gateway.text.json_text import to_json
from tests.support.properties import json_values, quick, texts


def read(document: Any) -> Record:
    return decode_record(to_json(document).encode(), kind=RecordKind.SUBMISSION)


def decoded(*fields: Any) -> Record:
    return read({"key": "k", "fields": list(fields)})


def question(name: str, value: Any, word: str) -> dict[str, Any]:
    return {"name": name, "data": word, word: value}


@dataclass(frozen=True)
class Question:
    """A question of a generated form, with its answer."""

    name: str
    value: Any
    word: str

    def nested(self) -> dict[str, Any]:
        return {"name": self.name, "data": self.word} | ({} if self.value is None else {self.word: self.value})

    def flat(self) -> Any:
        return self.value


@dataclass(frozen=True)
class Table:
    """A table of a generated form."""

    name: str
    rows: list[list[Any]]
    held: bool = field(default=False)
    """Each row stands in an object of its own."""

    def nested(self) -> dict[str, Any]:
        rows = [[one.nested() for one in row] for row in self.rows]
        return {"name": self.name, "fields": [{"fields": row} for row in rows] if self.held else rows}

    def flat(self) -> Any:
        return [{one.name: one.flat() for one in row} for row in self.rows]


@dataclass(frozen=True)
class Section:
    """A section of a generated form."""

    name: str
    inner: list[Any]

    def nested(self) -> dict[str, Any]:
        return {"name": self.name, "type": "section", "fields": [one.nested() for one in self.inner]}


_letters = st.sampled_from(["site", "risk", "score", "items", "values", "keys", "get", "Größe", "a b", "x-y", "2"])
_blob = st.fixed_dictionaries({"key": texts, "id": texts, "fileName": texts, "type": st.just("image/jpeg")})
_answers_of_a_kind: st.SearchStrategy[tuple[str, Any]] = st.one_of(
    st.tuples(st.just("text"), texts),
    st.tuples(st.just("integer"), st.integers()),
    st.tuples(st.just("decimal"), st.decimals(allow_nan=False, allow_infinity=False)),
    st.tuples(st.just("strings"), st.lists(texts, max_size=3)),
    st.tuples(
        st.sampled_from(["date", "time", "dateTime"]), st.sampled_from(["2026-01-31", "08:15", "2026-01-31T08:15"])
    ),
    st.tuples(st.just("boolean"), st.booleans()),
    st.tuples(st.just("blob"), _blob),
    st.tuples(st.just("location"), st.fixed_dictionaries({"latitude": st.integers(), "longitude": st.integers()})),
    st.tuples(st.just("hologram"), st.dictionaries(texts, st.integers(), max_size=2)),
    st.tuples(st.just("text"), st.none()),
)


@st.composite
def forms(draw: st.DrawFn, *, sections: bool = True) -> list[Any]:
    """Draw a form: questions, sections in sections, tables in tables; names that stand side by side differ."""

    def one(name: str, depth: int, *, in_table: bool) -> Any:
        shape = draw(st.integers(0, 5)) if depth < 3 else 0
        if shape == 4:
            rows = [questions(depth + 1, in_table=True) for _ in range(draw(st.integers(1, 2)))]
            return Table(name, rows, draw(st.booleans()))
        if shape == 5 and sections and not in_table:
            return Section(name, questions(depth + 1, in_table=False))
        word, value = draw(_answers_of_a_kind)
        return Question(name, value, word)

    def questions(depth: int, *, in_table: bool) -> list[Any]:
        names = draw(st.lists(_letters, min_size=1, max_size=4 - depth, unique=True))
        return [one(name, depth, in_table=in_table) for name in names]

    return questions(0, in_table=False)


def _leaves(inner: list[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and question or table of everything outside of tables."""
    for one in inner:
        if isinstance(one, Section):
            yield from _leaves(one.inner, f"{prefix}{one.name}.")
        else:
            yield f"{prefix}{one.name}", one


@quick
@given(forms())
def test_every_value_of_a_nested_form_is_found_by_its_path_with_every_digit(form: list[Any]) -> None:
    record = decoded(*(one.nested() for one in form))
    expected = dict(_leaves(form))
    assert list(record.paths) == list(expected)
    assert to_json(record.paths) == to_json({path: one.flat() for path, one in expected.items()})
    assert record.kinds.keys() >= expected.keys()


@quick
@given(forms())
def test_a_unique_name_is_found_at_any_depth_and_an_ambiguous_one_is_refused_naming_its_paths(form: list[Any]) -> None:
    record = decoded(*(one.nested() for one in form))
    named: dict[str, list[str]] = {}
    for path, one in _leaves(form):
        named.setdefault(one.name, []).append(path)
    for name, paths in named.items():
        if len(paths) == 1:
            assert record.fields[name] == record.paths[paths[0]]
            continue
        with pytest.raises(TemplateError) as raised:
            record.fields[name]
        assert all(repr(path) in str(raised.value) for path in paths)
    assert len(every_answer(record)) == len(record.paths)


@quick
@given(forms(sections=False))
def test_the_flattened_form_is_read_as_the_nested_one(form: list[Any]) -> None:
    nested = decoded(*(one.nested() for one in form))
    for document in ({one.name: one.flat() for one in form}, {"fields": {one.name: one.flat() for one in form}}):
        flat = read({"key": "k", **document})
        assert to_json(flat.paths) == to_json(nested.paths)
        assert flat.tables == nested.tables


@quick
@given(st.decimals(allow_nan=False, allow_infinity=False) | st.integers(), st.integers(0, 80), st.integers(-400, 400))
def test_a_number_is_written_as_it_came(number: Decimal | int, zeros: int, exponent: int) -> None:
    digits = f"{number}{'0' * zeros}" if isinstance(number, int) and number else str(number)
    digits = f"{digits}e{exponent}" if "E" not in digits else digits
    value = decode_record(f'{{"key": "k", "fields": {{"q": {digits}}}}}'.encode(), kind=RecordKind.SUBMISSION).fields[
        "q"
    ]
    assert str(value) == str(Decimal(digits))


_names = st.sampled_from(["site", "risk", "score", "a", "items", "name", "fields"])
_scalars = st.integers() | st.booleans() | texts | st.decimals(allow_nan=False, allow_infinity=False) | st.none()
_questions = st.builds(
    question, _names, _scalars | st.lists(texts), st.sampled_from(["text", "integer", "strings", "sketch", "label"])
)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    rows = st.lists(st.lists(inner, min_size=1, max_size=3), min_size=1, max_size=3)
    return st.builds(
        lambda name, fields: {"name": name, "fields": fields},
        _names,
        st.lists(inner, min_size=1, max_size=4) | rows | rows.map(lambda some: [{"fields": row} for row in some]),
    )


_forms = st.lists(st.recursive(_questions, _nested, max_leaves=6), max_size=3)


def _answers(value: Any) -> Iterator[str]:
    """Find every answer in what was generated, by its word."""
    if isinstance(value, list):
        for item in value:
            yield from _answers(item)
    elif "fields" in value and "data" not in value:
        yield from _answers(value["fields"])
    else:
        yield to_json(value[value["data"]])


def _found(value: Any) -> Iterator[str]:
    """Find every answer in what was decoded; a table is a list of objects."""
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        for row in value:
            for item in row.values():
                yield from _found(item)
    else:
        yield to_json(value)


@quick
@given(_forms)
def test_no_form_fails_and_no_answer_is_lost(form: list[dict[str, Any]]) -> None:
    record = decoded(*form)
    found = Counter(text for value in record.paths.values() for text in _found(value))
    assert found == Counter(_answers(form))


@quick
@given(json_values | st.fixed_dictionaries({"key": texts, "fields": st.lists(json_values)}))
def test_whatever_doforms_answers_is_a_record_or_none(answer: Any) -> None:
    with suppress(NotARecord):
        assert decode_record(json.dumps(answer).encode(), kind=RecordKind.SUBMISSION).key
