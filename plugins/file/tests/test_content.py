"""What is written."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from gateway_file.content import cell, file_bytes, rows_to_add
from gateway_file.options import FileOptions
from hypothesis import given
from hypothesis import strategies as st

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
        ("+49 30", "+49 30"),
        ("+49 30 1234567", "+49 30 1234567"),
        ("+49 (30) 12-34/56", "+49 (30) 12-34/56"),
        ("+1.5e10", "+1.5e10"),
        ("-1.234,56 %", "-1.234,56 %"),
        ("- 5", "- 5"),
        ("-", "-"),
        ("+49 30 1234567;+49 30 7654321", "+49 30 1234567;+49 30 7654321"),
        ("+49 30 cmd", "'+49 30 cmd"),
        ("-2+3", "'-2+3"),
        ("+1+1", "'+1+1"),
        ("−1+A1", "'−1+A1"),
        ("x;=cmd|' /C calc'!A0", "x;'=cmd|' /C calc'!A0"),
        ("x\t=1", "x\t'=1"),
        ("x|@SUM(A1)", "x|'@SUM(A1)"),
        ("x\n=1", "x\n'=1"),
        ("x\r\n=1", "x\n'=1"),
        ('x; "=1', "x;' \"=1"),
        ("x;;=1;=2", "x;;'=1;'=2"),
        ("\ufeff=1", "'\ufeff=1"),
        ("\u202e=1", "'\u202e=1"),
        ("x;-5;y", "x;-5;y"),
        ("-cmd|' /C calc'!A0", "'-cmd|' /C calc'!A0"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("\tx", "'\tx"),
        ("\r=1", "'\n'=1"),
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
        (["a;=1"], '["a;\'=1"]'),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
    ],
)
def test_a_cell_is_no_formula_and_a_number_stays_one(value: Any, text: str) -> None:
    assert cell(value) == text


@given(st.text(alphabet=st.sampled_from("=+-@;|\t\n\r ,'\"aA1\ufeff＝\0"), max_size=30))
def test_no_part_of_a_text_begins_as_a_formula_does(value: str) -> None:
    for part in re.split(r"[;|\t\n]", cell(value)):
        begin = part.lstrip(' "\ufeff')
        if begin[:1] in ("=", "@", "＝"):
            pytest.fail(f"{part!r} of {cell(value)!r} is a formula")
        if begin[:1] in ("+", "-"):
            assert not re.search(r"[aA=@]", part), f"{part!r} of {cell(value)!r} may be a formula"


def test_formulas_are_kept_where_that_is_wished(delivery: Make) -> None:
    rows = rows_to_add(delivery(format="csv", columns=[{"a": "=1+1", "b": "x;=2"}], formulas="keep"))
    assert rows.data == b"=1+1,x;=2,delivery-1\n"


def test_csv_and_text_begin_with_the_mark_where_excel_is_to_read_them(delivery: Make) -> None:
    rows = rows_to_add(delivery(format="csv", columns=[{"größe": "ü"}], encoding="utf-8-sig"))
    assert rows.header == "\ufeffgröße,delivery_key\n".encode()
    assert rows.data == "ü,delivery-1\n".encode()
    assert file_bytes(delivery(format="text", text="Grüße", encoding="utf-8-sig")) == "\ufeffGrüße".encode()
