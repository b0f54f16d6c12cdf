"""Python values become raw doForms fields, without loss."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from gateway.doforms.simulator import Simulator
from gateway.doforms.simulator import field as doforms_field
from tests.doforms.simulator.conftest import FORM


@pytest.mark.parametrize(
    ("value", "raw"),
    [
        ("Dock", {"data": "text", "type": "text", "text": "Dock"}),
        (31, {"data": "integer", "type": "numeric", "integer": 31}),
        (Decimal("0.10"), {"data": "decimal", "type": "numeric", "decimal": Decimal("0.10")}),
        (True, {"data": "boolean", "type": "checkbox", "boolean": True}),
        (["a", "b"], {"data": "strings", "type": "choose multiple", "strings": ["a", "b"]}),
        (datetime(2026, 1, 31, 8), {"data": "dateTime", "type": "date time", "dateTime": "2026-01-31T08:00:00"}),
        (None, {"data": "text", "type": "text"}),
        ({"a": 1}, {"type": "section", "fields": [{"name": "a", "data": "integer", "type": "numeric", "integer": 1}]}),
        ([{"a": None}], {"type": "table", "fields": [{"fields": [{"name": "a", "data": "text", "type": "text"}]}]}),
    ],
)
def test_a_python_value_becomes_a_raw_field(value: Any, raw: dict[str, Any]) -> None:
    assert doforms_field("question", value) == {"name": "question", **raw}
    assert doforms_field("question", value, "own")["type"] == "own"


@pytest.mark.asyncio(loop_scope="module")
async def test_numbers_keep_every_digit(doforms: Simulator, http: httpx.AsyncClient) -> None:
    doforms.put_record(FORM, "r1", {"amount": Decimal("12345678901234567.890123456789"), "zero": Decimal("0.10")})
    answer = (await http.get("submissions/r1")).content
    assert b'"decimal": 12345678901234567.890123456789' in answer
    assert b'"decimal": 0.10' in answer
