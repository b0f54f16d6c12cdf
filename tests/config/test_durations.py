"""Durations and rates."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from gateway.config.durations import UNITS, parse_duration, parse_positive_duration, parse_rate, say_duration
from gateway.models import Rate


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("2.5s", 2.5),
        ("30s", 30),
        ("5m", 300),
        ("6h", 21_600),
        ("3d", 259_200),
        ("0s", 0),
        (" 1 s ", 1),
        ("1.5h", 5_400),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "value", [5, 2.5, True, None, "", "5", "s", "5 weeks", "-1s", "1s2", "1e3s", "5S", "1,5s", ".5s"]
)
def test_anything_else_is_no_duration_and_the_remedy_names_the_units(value: Any) -> None:
    with pytest.raises(PydanticCustomError) as raised:
        parse_duration(value)
    assert "is no duration" in str(raised.value)
    assert "ms, s, m, h or d" in raised.value.context["remedy"]


@given(st.decimals(min_value=0, max_value=10_000, places=3), st.sampled_from(sorted(UNITS)))
def test_every_number_with_every_unit_is_read_exactly(number: Any, unit: str) -> None:
    assert parse_duration(f"{number:f}{unit}") == pytest.approx(float(number) * UNITS[unit], abs=1e-6)


@given(st.integers(0, 10_000_000).map(lambda tenths: tenths / 10))
def test_what_is_said_of_a_duration_can_be_written_into_the_file(seconds: float) -> None:
    assert parse_duration(say_duration(seconds)) == pytest.approx(seconds)


def test_where_time_must_pass_zero_is_refused() -> None:
    assert parse_positive_duration("1ms") == 0.001
    with pytest.raises(PydanticCustomError, match="no time at all"):
        parse_positive_duration("0s")


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/s", Rate(count=10, per=1)),
        ("600/m", Rate(count=600, per=60)),
        ("5/10s", Rate(count=5, per=10)),
        (" 1 / 250ms ", Rate(count=1, per=0.25)),
        ("100/d", Rate(count=100, per=86_400)),
    ],
)
def test_a_rate_is_how_many_in_how_long(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("value", [10, "10", "10/", "/s", "0/s", "1/0s", "1.5/s", "10 per second", "-1/s", None])
def test_anything_else_is_no_rate(value: Any) -> None:
    with pytest.raises(PydanticCustomError, match="is no rate"):
        parse_rate(value)
