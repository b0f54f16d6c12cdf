"""Each attempt gets a record of its own, so that what a plugin changes in it reaches nobody else."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from gateway.delivery.preparing.own import own, own_when_read
from gateway.doforms.record import decode_record
from gateway.doforms.record_attachments import with_known
from gateway.errors import TemplateError
from gateway.models import Record, RecordKind
from gateway.record_answers import RecordAnswers
from gateway.text.json_text import to_json
from tests.support.properties import json_values, quick
from tests.support.records import answer, decode, section


def record() -> Record:
    return decode(
        answer("site", "Dock"),
        answer("tags", ["red", {"deep": ["blue"]}]),
        section("before", answer("note", "a")),
        section("after", answer("note", "b")),
        {"name": "rows", "data": "rows", "rows": [{"a": 1, "b": [1]}, {"a": 2}]},
        {"name": "photo", "data": "blob", "blob": {"key": "p1", "fileName": "a.jpg"}},
    )


def containers(value: Any, found: dict[int, Any]) -> dict[int, Any]:
    if isinstance(value, (dict, list)) and id(value) not in found:
        found[id(value)] = value
        for item in value.values() if isinstance(value, dict) else value:
            containers(item, found)
        if isinstance(value, RecordAnswers):
            containers(value._paths, found)
            containers(value.several, found)
    return found


def parts(one: Record) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for part in (one.fields, one.tables, one.paths, one.kinds, one.raw):
        containers(part, found)
    return found


def test_a_copy_is_equal_and_shares_nothing_that_can_be_changed() -> None:
    one = record()
    made = own(one)
    assert made == one
    assert not parts(made).keys() & parts(one).keys()


def test_what_is_changed_in_a_copy_is_changed_nowhere_else() -> None:
    one = record()
    before = copy.deepcopy(one)
    made = own(one)
    for part in parts(made).values():
        part.clear()
    assert one == before


def test_what_stands_in_several_places_is_one_thing_in_the_copy_too() -> None:
    made = own(record())
    assert made.fields["rows"] is made.tables["rows"] is made.paths["rows"]
    made.fields["rows"][0]["a"] = 9
    assert made.paths["rows"][0]["a"] == 9


def test_answers_stay_answers() -> None:
    made = own(record())
    with pytest.raises(TemplateError, match="several places"):
        made.fields["note"]
    assert made.fields.get("before.note") == "a"
    assert made.paths["after.note"] == "b"


def test_a_record_with_what_is_known_of_its_photos_is_copied_too() -> None:
    one = with_known(record(), {"p1": {"size": 3}})
    made = own(one)
    assert made == one
    assert not parts(made).keys() & parts(one).keys()


def test_a_record_of_which_only_the_key_is_known_is_copied() -> None:
    one = Record(kind=RecordKind.SUBMISSION, key="k")
    assert own(one) == one


def test_a_copy_that_is_made_when_it_is_read_is_a_record_like_any() -> None:
    one = record()
    made = own_when_read(one)
    assert isinstance(made, Record)
    assert (made.kind, made.key, made.id) == (one.kind, one.key, one.id)
    assert made == one
    assert one == made
    assert made == own_when_read(one)
    assert made != replace(one, key="other")
    assert repr(made) == repr(one)
    assert not parts(made).keys() & parts(one).keys()
    assert made.fields is made.fields
    assert made.fields["rows"] is made.tables["rows"]
    with pytest.raises(AttributeError):
        made.key = "other"  # type: ignore[misc]


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, replace, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_that_is_made_when_it_is_read_can_be_copied(again: Callable[[Record], Record]) -> None:
    assert again(own_when_read(record())) == record()
    assert replace(own_when_read(record()), key="k2").key == "k2"


def test_what_is_changed_in_one_that_is_made_when_it_is_read_is_changed_nowhere_else() -> None:
    one = record()
    before = copy.deepcopy(one)
    first, second = own_when_read(one), own_when_read(one)
    first.fields.clear()  # type: ignore[attr-defined]
    first.raw["fields"].clear()
    assert one == before
    assert second == before


@quick
@given(json_values, json_values)
def test_whatever_a_record_holds_its_copy_is_equal_and_shares_nothing(first: Any, second: Any) -> None:
    one = decode_record(to_json({"key": "k", "a": first, "b": [second, [first]]}).encode(), kind=RecordKind.SUBMISSION)
    made = own(one)
    assert made == one
    assert not parts(made).keys() & parts(one).keys()
