"""JSON as the gateway writes it."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.text.json_text import to_json

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(PLAIN)
def test_what_json_has_comes_back_as_it_was(value: Any) -> None:
    assert json.loads(to_json(value), parse_float=Decimal) == _whole_as_int(value)


def _whole_as_int(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole_as_int(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_as_int(item) for item in value]
    return value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("0.10"), "0.10"),
        (Decimal("12345678901234567890.123456789"), "12345678901234567890.123456789"),
        ({"a": [Decimal("1.0"), "1.0", Decimal("2.50")]}, '{"a": [1.0, "1.0", 2.50]}'),
        (Decimal("NaN"), "null"),
        (float("inf"), "null"),
        ("\ud800", '"?"'),
        (datetime(2026, 1, 31, 8, tzinfo=UTC), '"2026-01-31T08:00:00+00:00"'),
        (date(2026, 1, 31), '"2026-01-31"'),
        ({1: (1, 2)}, '{"1": [1, 2]}'),
    ],
)
def test_numbers_keep_their_digits_and_nothing_fails(value: Any, text: str) -> None:
    assert to_json(value) == text


@pytest.mark.parametrize(
    "value",
    [
        {"text": "plain", "number": 1, "half": 0.5, "truth": True, "nothing": None, "list": [1, "two", {"three": 3}]},
        {"umlaut": "ä", "surrogate": "\ud800", "decimal": Decimal("1.10"), "time": datetime(2026, 1, 31, tzinfo=UTC)},
        [math.nan, math.inf, (1, 2)],
    ],
)
def test_what_is_simple_is_written_as_it_would_be_with_care(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    written = to_json(value)
    monkeypatch.setattr("gateway.text.json_text._simple", lambda _: None)
    assert to_json(value) == written
