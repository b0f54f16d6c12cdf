"""Rendering options, and keeping what was rendered."""

from __future__ import annotations

import math
from datetime import UTC, date, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from gateway.api import Expression, Options, PerRow, Template
from gateway.errors import TemplateError
from gateway.templates.render import pin, render, unpin, validate_rendered
from gateway.templates.values import Strict
from gateway.testing import unrendered
from tests.support.properties import quick, texts

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False)
    | st.decimals(allow_nan=False)
    | texts
    | st.sampled_from(["$", "decimal", "table"])
    | st.binary(max_size=8)
    | st.dates()
    | st.times()
    | st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]))
    | st.datetimes()
)
keys = texts | st.sampled_from(["$", "$$", "table"])
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=12
)


def alike(left: Any, right: Any) -> bool:
    """Tell whether two values are equal down to types, digits and time zones."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(alike(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(alike, left, right))
    return left == right and str(left) == str(right)


@quick
@given(st.dictionaries(keys, values, max_size=4))
def test_what_was_rendered_is_read_back_without_loss(data: dict[str, Any]) -> None:
    assert alike(unpin(pin(data)), data)
    assert pin(unpin(pin(data))) == pin(data)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ((1, (2,)), [1, [2]]),
        (Strict("record", {"key": "x"}), {"key": "x"}),
        (Markup("<b>"), "<b>"),
        ({5: "x"}, {"5": "x"}),
        (Decimal("1.10"), Decimal("1.10")),
        (date(2026, 1, 2), date(2026, 1, 2)),
        (time(3, 4), time(3, 4)),
        (math.inf, math.inf),
    ],
)
def test_what_is_no_plain_data_becomes_it(value: Any, kept: Any) -> None:
    assert alike(unpin(pin({"a": value})), {"a": kept})


@pytest.mark.parametrize(
    "value", [timedelta(seconds=1), object(), {1, 2}, 10**5000], ids=lambda value: type(value).__name__
)
def test_what_cannot_be_kept_is_refused(value: Any) -> None:
    with pytest.raises(TemplateError, match="cannot be kept"):
        pin({"a": value})


def test_lists_in_lists_without_end_are_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(TemplateError, match="cannot be kept"):
        pin({"a": deep})


class LampOptions(Options):
    """Options of every kind."""

    colour: Template[str] = "white"
    level: Template[int] = 5
    more: Template[dict[str, Any]] = {}  # noqa: RUF012
    rows: Expression[list[Any] | None] = None
    lines: PerRow[dict[str, Any]] | None = None
    literal: str = "{{ not.a.template }}"


def rendered(names: dict[str, Any], **given_: Any) -> dict[str, Any]:
    return render(unrendered(LampOptions, **given_), names)


def test_only_what_is_given_is_rendered_and_literals_stay(names) -> None:
    assert rendered(names) == {}
    assert rendered(names, literal="{{ x }}", level=7) == {"literal": "{{ x }}", "level": 7}


def test_what_was_rendered_is_validated_as_the_declared_type(names) -> None:
    data = rendered(names, colour="{{ record.fields.count }}", level="{{ record.fields.count|string }}")
    made = validate_rendered(LampOptions, data)
    assert (made.colour, made.level) == ("31", 31)


def test_what_does_not_fit_is_told_with_option_and_value(names) -> None:
    data = rendered(names, level="{{ record.fields.site }}")
    with pytest.raises(TemplateError, match=r"does not fit the options: level: .*found 'Dock 4'"):
        validate_rendered(LampOptions, data)


@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        ("record.tables.findings", ["rust at Dock 4", "leak at Dock 4", "dent at Dock 4"]),
        ("record.fields.findings|selectattr('score', '>', 3)", ["dent at Dock 4"]),
        ("record.fields.findings[0]", ["rust at Dock 4"]),
        ("record.fields.unanswered", []),
    ],
)
def test_rows_are_rendered_one_by_one(names, rows: str, lines: list[str]) -> None:
    data = rendered(names, rows=rows, lines={"text": "{{ row.finding }} at {{ record.fields.site }}"})
    assert [line["text"] for line in data["lines"]] == lines


def test_without_rows_there_is_one(names) -> None:
    assert rendered(names, lines={"text": "{{ row.finding }}", "n": 1})["lines"] == [{"text": None, "n": 1}]


def test_rows_that_are_no_list_are_refused(names) -> None:
    with pytest.raises(TemplateError, match="`rows` gives 'Dock 4', which is no list of rows"):
        rendered(names, rows="record.fields.site", lines={"text": "x"})
