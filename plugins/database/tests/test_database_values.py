"""What becomes of a value on its way into a column."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from gateway.api import Rejected

CEST = timezone(timedelta(hours=2))
VALUES = {
    "TEXT": [
        ("x", "x"),
        ("", ""),
        (5, "5"),
        (Decimal("12.50"), "12.50"),
        (True, "true"),
        (["a", 1], '["a", 1]'),
        ({"a": Decimal("0.10")}, '{"a": 0.10}'),
        (datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "2026-01-02T03:04:00+00:00"),
        (None, None),
    ],
    "INTEGER": [("7", 7), (" 7.0 ", 7), (Decimal("7.00"), 7), (True, 1), (False, 0), ("", None), ("  ", None)],
    "BIGINT": [(2**53 + 1, 2**53 + 1), (str(2**63 - 1), 2**63 - 1)],
    "BOOLEAN": [("Yes", True), ("false", False), (1, True), (0, False), (True, True), ("", None)],
    "DATE": [("2026-01-02", date(2026, 1, 2)), (datetime(2026, 1, 2, 23, tzinfo=CEST), date(2026, 1, 2))],
    "TIME": [("08:15", time(8, 15)), (datetime(2026, 1, 2, 8, 15, tzinfo=UTC), time(8, 15))],
    "TIMESTAMP": [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5)),
        ("2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5)),
        (datetime(2026, 1, 2, 3, 4, tzinfo=CEST), datetime(2026, 1, 2, 1, 4)),
        ("2026-01-02", datetime(2026, 1, 2)),
    ],
    "FLOAT": [(Decimal("0.1"), 0.1), ("2.5", 2.5), (3, 3.0)],
    "NUMERIC(20,4)": [("12.5000", Decimal("12.5")), (Decimal("0.1"), Decimal("0.1")), (7, Decimal(7)), ("", None)],
}
WRONG = {
    "INTEGER": ["seven", "1.5", Decimal("1.5"), ["1"], "NaN", "1E+999999", 2**63],
    "BOOLEAN": ["maybe", 2],
    "DATE": ["02.01.2026", 5],
    "TIME": ["quarter past"],
    "TIMESTAMP": ["yesterday", {"a": 1}],
    "FLOAT": ["x", "Infinity"],
    "NUMERIC(20,4)": ["12,5", "x", "NaN"],
    "TEXT": ["a\0b", "\ud800"],
}


def _cases(table: dict[str, list[Any]]) -> list[Any]:
    return [
        pytest.param(kind, value, id=f"{kind}-{value!r:.30}".encode("ascii", "replace").decode())
        for kind, values in table.items()
        for value in values
    ]


def _seen(place: Any, kind: str) -> Any:
    """Return the value as the database holds it; not every one gives truth, dates and times as such."""
    [[value]] = place.rows("SELECT value FROM things")
    readers: dict[str, Any] = {}
    if place.kind == "sqlite":
        readers = {
            "BOOLEAN": bool,
            "DATE": date.fromisoformat,
            "TIME": time.fromisoformat,
            "TIMESTAMP": datetime.fromisoformat,
            "NUMERIC(20,4)": lambda found: Decimal(repr(found)),
        }
    elif place.kind == "mariadb":
        readers = {"BOOLEAN": bool, "TIME": lambda found: (datetime.min + found).time()}
    return value if value is None else readers.get(kind, lambda found: found)(value)


async def _write(value: Any, database: Any, delivery: Any) -> None:
    await database.deliver(delivery({"value": value}, table="things", columns={"value": "{{ record.fields.value }}"}))


@pytest.mark.parametrize(("kind", "case"), _cases(VALUES))
async def test_a_value_fits_itself_to_the_column(
    kind: str, case: tuple[Any, Any], place: Any, database: Any, delivery: Any
) -> None:
    place.run(f"CREATE TABLE things (value {kind})")
    await _write(case[0], database, delivery)
    found = _seen(place, kind)
    assert found == case[1]
    assert type(found) is type(case[1])


@pytest.mark.parametrize(("kind", "value"), _cases(WRONG))
async def test_a_value_that_does_not_fit_is_rejected_with_column_and_type(
    kind: str, value: Any, place: Any, database: Any, delivery: Any
) -> None:
    if (place.kind, kind, value) == ("mariadb", "BOOLEAN", 2):
        value = 2.5  # its BOOLEAN is TINYINT(1), where small whole numbers may be meant
    place.run(f"CREATE TABLE things (value {kind})")
    with pytest.raises(Rejected, match=r"column things\.value \(\w+") as caught:
        await _write(value, database, delivery)
    assert len(str(caught.value)) < 250
    assert place.rows("SELECT * FROM things") == []


async def test_a_long_value_is_shortened_in_the_reason(place: Any, database: Any, delivery: Any) -> None:
    place.run("CREATE TABLE things (value INTEGER)")
    with pytest.raises(Rejected, match="cannot take 'xxx") as caught:
        await _write("x" * 10_000, database, delivery)
    assert len(str(caught.value)) < 200


async def test_decimals_are_exact_or_rejected(place: Any, database: Any, delivery: Any) -> None:
    place.run("CREATE TABLE things (value NUMERIC(30,20))")
    exact = Decimal("1234567.12345678901234567")
    if place.kind == "sqlite":
        with pytest.raises(Rejected, match="SQLite keeps only 15 digits"):
            await _write(exact, database, delivery)
    else:
        await _write(exact, database, delivery)
        assert place.rows("SELECT value FROM things") == [(exact,)]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"a": [1, None]}, {"a": [1, None]}),
        (["x", Decimal("0.1")], ["x", 0.1]),
        ('{"a": 1}', {"a": 1}),
        ("[not json", "[not json"),
        ("plain", "plain"),
        (True, True),
        (Decimal("2.5"), 2.5),
        (None, None),
    ],
)
async def test_json_columns_take_anything(value: Any, kept: Any, place: Any, database: Any, delivery: Any) -> None:
    place.run(f"CREATE TABLE things (value {'JSONB' if place.kind == 'postgresql' else 'JSON'})")
    await _write(value, database, delivery)
    [[found]] = place.rows("SELECT value FROM things")
    assert (json.loads(str(found)) if place.kind != "postgresql" and found is not None else found) == kept
    assert len(place.rows("SELECT 1 FROM things WHERE value IS NULL")) == (value is None)


async def test_json_numbers_keep_their_digits(place: Any, database: Any, delivery: Any) -> None:
    place.run(f"CREATE TABLE things (value {'JSONB' if place.kind == 'postgresql' else 'JSON'})")
    await _write({"a": Decimal("0.12345678901234567890")}, database, delivery)
    [[found]] = place.rows(f"SELECT CAST(value AS {'CHAR' if place.kind == 'mariadb' else 'TEXT'}) FROM things")
    assert found.replace(" ", "") == '{"a":0.12345678901234567890}'


async def test_a_number_too_big_for_its_column_is_rejected(place: Any, database: Any, delivery: Any) -> None:
    place.run("CREATE TABLE things (value SMALLINT, site VARCHAR(3) CHECK (length(site) < 4))")
    columns = {"site": "{{ record.fields.site }}", "value": 1}
    with pytest.raises(Rejected, match="refused the row"):
        await database.deliver(delivery({"site": "Dock 4"}, table="things", columns=columns))
    if place.kind != "sqlite":
        with pytest.raises(Rejected, match=r"(?i)out of range"):
            await _write(70_000, database, delivery)


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
async def test_types_of_postgresql_alone_are_understood(place: Any, database: Any, delivery: Any) -> None:
    place.run(
        "CREATE TYPE mood AS ENUM ('good', 'bad')",
        "CREATE TABLE special (id UUID, zoned TIMESTAMPTZ, tags TEXT[], mood mood, raw BYTEA, address INET)",
    )
    key = "0c1b8a4e-4c4f-4b7e-9c53-0d1b1a5f1a11"
    given = {"id": key, "zoned": "2026-01-02T03:04:05", "tags": ["a", 5], "mood": "good", "raw": "x", "address": "::1"}
    options = {"table": "special", "columns": {name: f"{{{{ record.fields.{name} }}}}" for name in given}}
    await database.deliver(delivery(given, **options))
    [[*found]] = place.rows(
        "SELECT id::text, zoned AT TIME ZONE 'UTC', tags, mood::text, raw, host(address) FROM special"
    )
    assert found == [key, datetime(2026, 1, 2, 3, 4, 5), ["a", "5"], "good", b"x", "::1"]
    for wrong in ({"mood": "odd"}, {"id": "x"}, {"tags": "a"}, {"address": "nowhere"}):
        with pytest.raises(Rejected):
            await database.deliver(delivery({**given, **wrong}, **options))
