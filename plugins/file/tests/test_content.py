"""What is written."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from gateway_file.content import cell, file_bytes, rows_to_add
from gateway_file.options import FileOptions

from gateway.api import Delivery, Rejected, to_json

Make = Callable[..., Delivery[FileOptions]]


def test_json_without_columns_is_the_notification_and_the_record(delivery: Make) -> None:
    document = json.loads(file_bytes(delivery()))
    assert document["record"] == {"key": "s1", "id": "17", "fields": {"site": "Dock 4", "risk": None}}
    assert document["notification"]["key"] == "n1"
    assert document["notification"]["event"] == "create"
    assert document["notification"]["received"] == "2026-01-02T03:04:05+00:00"


def test_json_with_columns_is_an_object_and_with_rows_a_list(delivery: Make) -> None:
    assert json.loads(file_bytes(delivery(columns=[{"a": 1}]))) == {"a": 1}
    assert json.loads(file_bytes(delivery(columns=[{"a": 1}], rows=[{}]))) == [{"a": 1}]
    assert json.loads(file_bytes(delivery(columns=[{"a": 1}, {"a": 2}], rows=[{}, {}]))) == [{"a": 1}, {"a": 2}]
    assert json.loads(file_bytes(delivery(columns=[], rows=[]))) == []


def test_numbers_keep_their_digits_and_nothing_makes_json_fail() -> None:
    value: Any = {"d": Decimal("1234567890.12345678901234567890"), "nan": float("nan"), "inf": Decimal("Infinity")}
    assert to_json(value) == '{"d": 1234567890.12345678901234567890, "nan": null, "inf": null}'
    assert json.loads(to_json([date(2026, 1, 2), "\ud800ü", (1, 2), {3: True}])) == [
        "2026-01-02",
        "?ü",
        [1, 2],
        {"3": True},
    ]


def test_text_is_written_as_it_is(delivery: Make) -> None:
    assert file_bytes(delivery(format="text", text="Grüße\n\ud800")) == "Grüße\n?".encode()
    with pytest.raises(Rejected, match="no text"):
        file_bytes(delivery(format="text"))


def test_jsonl_ends_each_line_with_the_delivery_key(delivery: Make) -> None:
    rows = rows_to_add(delivery(format="jsonl", columns=[{"a": "x\ny"}, {"a": 2}], rows=[{}, {}]))
    assert rows.data == b'{"a": "x\\ny", "delivery_key": "delivery-1"}\n{"a": 2, "delivery_key": "delivery-1"}\n'
    [line] = rows_to_add(delivery(format="jsonl")).data.splitlines()
    assert list(json.loads(line)) == ["notification", "record", "delivery_key"]


def test_csv_quotes_what_needs_it_and_ends_with_the_delivery_key(delivery: Make) -> None:
    rows = rows_to_add(delivery(format="csv", columns=[{"a": 'x,"y"\r\nz', "b": None}]))
    assert rows.header == b"a,b,delivery_key\n"
    assert list(csv.reader(io.StringIO(rows.data.decode(), newline=""))) == [['x,"y"\nz', "", "delivery-1"]]
    with pytest.raises(Rejected, match="columns"):
        rows_to_add(delivery(format="csv"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=1+1", "'=1+1"),
        ("+49 30", "'+49 30"),
        ("-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\n=1"),
        ("  =1", "'  =1"),
        ("\0=1", "'=1"),
        ("＝1", "'＝1"),
        ("-5", "-5"),
        ("-5.25", "-5.25"),
        (-5, "-5"),
        (Decimal("-0.10"), "-0.10"),
        (1.5, "1.5"),
        (True, "true"),
        (None, ""),
        ("", ""),
        ("a=b", "a=b"),
        (["=1", 2], '["=1", 2]'),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
    ],
)
def test_a_cell_is_no_formula_and_a_number_stays_one(value: Any, text: str) -> None:
    assert cell(value) == text
