"""The library of forms: the same seed makes the same record, and each kind of answer occurs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from gateway.doforms.record import decode_record
from gateway.doforms.simulator import FORMS, Form
from gateway.doforms.simulator.fields import to_json
from gateway.models import RecordKind

KINDS = {
    "text", "integer", "decimal", "number", "strings", "date", "time", "dateTime", "boolean", "blob", "location",
    "nfcTag", "table", "barcode",
}  # fmt: skip


def made(form: Form, **more: Any) -> Iterator[list[dict[str, Any]]]:
    return (form.make(1, number, **more).fields for number in range(60))


def flat(fields: Any) -> Iterator[dict[str, Any]]:
    for one in fields:
        if isinstance(one, list):
            yield from flat(one)
        else:
            yield one
            yield from flat(one.get("fields", []))


@pytest.mark.parametrize("form", FORMS.values(), ids=lambda form: form.name)
def test_the_same_seed_makes_the_same_record_and_another_one_another(form: Form) -> None:
    assert form.make(1, 7) == form.make(1, 7)
    assert form.make(1, 7) != form.make(2, 7)
    assert len({to_json(fields) for fields in made(form)}) == 60


@pytest.mark.parametrize("form", FORMS.values(), ids=lambda form: form.name)
def test_the_gateway_reads_every_record(form: Form) -> None:
    for kind in RecordKind:
        for number in range(20):
            sample = form.make(3, number, kind=kind.value)
            document: Any = {"key": "k", "id": "1", "fields": sample.fields}
            record = decode_record(to_json({kind.value: document} if sample.wrapped else document), kind=kind)
            assert record.key == "k"
            assert len(record.paths) >= 3


def test_every_kind_of_answer_occurs_and_every_kind_goes_unanswered_somewhere() -> None:
    fields = [one for form in FORMS.values() for record in made(form) for one in flat(record) if "data" in one]
    assert {one["data"] for one in fields} == KINDS
    assert {one["data"] for one in fields if one["data"] not in one} == {"text", "decimal", "boolean", "integer"}


def test_tables_come_in_every_shape() -> None:
    shapes = set()
    for form in FORMS.values():
        for one in (one for record in made(form) for one in flat(record)):
            rows = one.get("table") or (one["fields"] if one.get("type") in ("table", "repeat") else None)
            if rows:
                shapes.add("values" if "table" in one else "lists" if isinstance(rows[0], list) else "holders")
    assert shapes == {"values", "lists", "holders"}


def test_a_name_stands_in_two_sections_and_a_question_is_missing_in_some_records() -> None:
    counts = {[one.get("name") for one in flat(record)].count("comment") for record in made(FORMS["Site inspection"])}
    assert counts == {1, 2}


def test_numbers_have_more_digits_than_a_float() -> None:
    [total, *_] = [one["number"] for one in flat(FORMS["Work order"].make(1, 1).fields) if one["name"] == "total"]
    assert isinstance(total, Decimal)
    assert Decimal(float(total)) != total
    assert str(total).encode() in to_json(total)


def test_some_records_come_wrapped() -> None:
    assert {FORMS["Work order"].make(1, number).wrapped for number in range(4)} == {True, False}


def test_an_edit_changes_something_and_leaves_the_rest() -> None:
    before, after = (FORMS["Site inspection"].make(1, 5, version).fields for version in (0, 1))
    changed = [one["name"] for one, other in zip(before, after, strict=True) if one != other]
    assert changed == ["risk", "score"]


def test_a_dispatch_goes_through_its_statuses_with_two_of_the_customers_making() -> None:
    form = FORMS["Service call"]
    statuses = [
        next(one["text"] for one in form.make(1, 1, version, kind="dispatch").fields if one["name"] == "status")
        for version in range(8)
    ]
    assert len(set(statuses)) == 8
    assert {"On my way", "Waiting for parts"} < set(statuses)


def test_photos_are_named_in_the_answers_and_have_a_size_and_a_seed() -> None:
    sample = FORMS["Photo report"].make(1, 1)
    blobs = [one["blob"] for one in flat(sample.fields) if one.get("data") == "blob"]
    assert blobs == [photo.value for photo in sample.photos]
    assert len({blob["key"] for blob in blobs}) == 30
    assert 38_000_000 < sum(photo.size for photo in sample.photos) < 42_000_000
    assert json.loads(to_json(blobs[0])).keys() == {"key", "id", "fileName", "type"}
