"""What a text must look like to be a number, a truth, a day or a time; and that nothing is lost on its way."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from gateway_database import Database
from gateway_database.options import DatabaseSettings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.api import Delivery, Receipt, Rejected
from gateway.testing import make_context, make_record
from gateway.testing import settings as plugin_settings

NO_NUMBERS = [
    "1_000", "1,000", "1.000,5", "1 000", "1'000", "１２", "٣", "1\u00a0000",
    "0x10", "0b1", "0o7", "1e", "e5", "1.2.3", "--1", "+-1",
    "+", ".", "inf", "-Infinity", "nan", "1e999999", "½", "²", "1f", "1L", "1%",
    "$1", "1\n2", "True ", "\u2212 5", "−5", "1e5_0",
]  # fmt: skip
WRONG = {
    "INTEGER": [*NO_NUMBERS, "1.5", "1e-1", "99999999999999999999"],
    "NUMERIC(9,2)": [*NO_NUMBERS, "1.005", "0.001", "1e-3", Decimal("1.999")],
    "FLOAT": [*NO_NUMBERS, "0.12345678901234567890", "12345678901234567890", Decimal("9007199254740993")],
    "BOOLEAN": ["ja", "y", "t", "１", "1.5", "2.5", "tru e", "yes no", [True]],
    "DATE": [
        "31.02.2026", "2026-02-31", "2026-13-01", "2026-00-10", "26-01-31", "2026-1-31", "2026/01/31", "２０２６-01-31",
        "2026-W05-1", "2026-031", "2026-01-31x08:15", "+2026-01-31", "2026_01-31", "0000-01-01", "now", "today",
    ],
    "TIME": ["24:00", "23:60", "23:59:60", "8:15", "8 Uhr", "08.15", "０８:15", "25:00", "08:15 PM", "-08:15"],
    "TIMESTAMP": [
        "2026-01-31T24:00:00", "2026-01-31T08:15:61", "2026-02-30T08:15", "2026-01-31Q08:15", "31.01.2026 08:15",
        "2026-01-31T08:15+25:00", "2026-01-31T08:15 Europe/Berlin", "1769846400", "0001-01-01T00:00:00+14:00",
    ],
}  # fmt: skip
RIGHT = {
    "INTEGER": [("+5", 5), ("-0", 0), ("1e5", 100000), ("1E+2", 100), ("12.00", 12),
                ("120e-1", 12), ("007", 7), (" 7\n", 7)],
    "BIGINT": [("-9223372036854775808", -(2**63)), ("9223372036854775807", 2**63 - 1)],
    "NUMERIC(9,2)": [("1.500", Decimal("1.5")), (".5", Decimal("0.5")), ("5.", Decimal(5)), ("-1e2", Decimal(-100))],
    "FLOAT": [("1e5", 1e5), ("0.1", 0.1), ("123456789.125", 123456789.125)],
    "BOOLEAN": [(" On ", True), ("NO", False), (Decimal(1), True)],
    "DATE": [("20260131", date(2026, 1, 31)), ("2026-01-31T23:30:00-05:00", date(2026, 1, 31))],
    "TIME": [("23:59:59", time(23, 59, 59)), ("0815", time(8, 15)), ("08:15:00Z", time(8, 15))],
    "TIMESTAMP": [
        ("2026-01-31 08:15", datetime(2026, 1, 31, 8, 15)),
        ("2026-01-31T08:15:00z", datetime(2026, 1, 31, 8, 15)),
        ("2026-01-31 08:15:00 +02:00", datetime(2026, 1, 31, 6, 15)),
        ("20260131T081500Z", datetime(2026, 1, 31, 8, 15)),
        ("2026-01-31T08:15:00,000", datetime(2026, 1, 31, 8, 15)),
    ],
}  # fmt: skip


def thing(delivery: Any, value: Any, table: str = "things", **more: Any) -> Any:
    """Return a delivery of one value, which no template looks at."""
    record = make_record() if isinstance(value, str) else make_record(value=value)
    template = "{{ record.fields.value }}" if not isinstance(value, str) else "x"
    made = delivery(record=record, table=table, columns={"value": template}, **more)
    if isinstance(value, str):
        made.options.columns["value"] = value
    return made


async def everything(database: Any, delivery: Any, values: list[Any]) -> list[Any]:
    made = [thing(delivery, value, unique=f"d{number}") for number, value in enumerate(values)]
    return list(await database.deliver_many(made))


@pytest.mark.parametrize("kind", WRONG)
async def test_text_that_breaks_the_grammar_is_refused_by_name(
    kind: str, place: Any, database: Any, delivery: Any
) -> None:
    values = list(WRONG[kind])
    if place.kind == "sqlite" and kind == "NUMERIC(9,2)":
        values = NO_NUMBERS  # it keeps digits beyond those that were declared
    if place.kind == "mariadb" and kind == "FLOAT":
        values += ["16777217", "1234567.5"]  # of four bytes there
    place.run(f"CREATE TABLE things (value {kind})")
    for value, result in zip(values, await everything(database, delivery, values), strict=True):
        assert isinstance(result, Rejected), (value, result)
        assert str(result).startswith("the column things.value ("), value
        assert place.rows("SELECT value FROM things") == []


@pytest.mark.parametrize("kind", RIGHT)
async def test_text_within_the_grammar_is_read(kind: str, place: Any, database: Any, delivery: Any) -> None:
    place.run(f"CREATE TABLE things (value {kind})")
    for value, expected in RIGHT[kind]:
        if (place.kind, kind, value) == ("mariadb", "FLOAT", "123456789.125"):
            continue
        assert [type(one) for one in await everything(database, delivery, [value])] == [Receipt], value
        [[found]] = place.rows("SELECT value FROM things")
        assert as_python(place, kind, found) == expected
        place.run("DELETE FROM things")


def as_python(place: Any, kind: str, value: Any) -> Any:
    """Return what was read as what was written."""
    if value is None:
        return None
    if kind == "BOOLEAN":
        return bool(value)
    if place.kind == "sqlite" and kind in ("DATE", "TIME", "TIMESTAMP"):
        return {"DATE": date, "TIME": time, "TIMESTAMP": datetime}[kind].fromisoformat(value)
    if place.kind == "mariadb" and kind == "TIME":
        return (datetime.min + value).time()
    if kind.startswith("NUMERIC"):
        return value if isinstance(value, Decimal) else Decimal(repr(value))
    return value


KINDS: dict[str, st.SearchStrategy[Any]] = {
    "INTEGER": st.integers(-(2**70), 2**70) | st.decimals(places=2) | st.text("0123456789+-.eE_ ,", max_size=8),
    "NUMERIC(20,4)": st.decimals() | st.integers() | st.text("0123456789+-.eE_ ,", max_size=10),
    "FLOAT": st.decimals() | st.floats().map(Decimal) | st.integers() | st.text("0123456789.eE", max_size=9),
    "TEXT": st.text(max_size=20) | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.booleans(),
    "VARCHAR(5)": st.text(st.sampled_from(" aé😀\t\n\u00a0'\\%"), max_size=8),
    "DATE": st.dates().map(str) | st.text("0123456789-T: ", max_size=12),
    "TIME": st.times().map(lambda one: one.replace(microsecond=0).isoformat()) | st.text("0123456789:.+Z", max_size=10),
}  # fmt: skip


def same(place: Any, kind: str, written: Any, found: Any) -> bool:
    """Tell whether what was read is what was written."""
    value = as_python(place, kind, found)
    if kind in ("TEXT", "VARCHAR(5)"):
        if isinstance(written, bool):
            return bool(value == str(written).lower())
        return bool(value == written if isinstance(written, str) else Decimal(value) == written)
    text = written.strip().upper() if isinstance(written, str) else None
    if text == "" or value is None:
        return text == "" and value is None
    if kind == "DATE":
        return bool(value == datetime.fromisoformat(text or "").date())
    if kind == "TIME":
        return bool(value == time.fromisoformat(text or "").replace(tzinfo=None))
    return Decimal(repr(value) if isinstance(value, float) else value) == Decimal(text or written)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read_back_or_refused_with_a_reason(kind: str, place: Any, delivery: Any) -> None:
    place.run(f"CREATE TABLE things (value {kind})")

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(value=KINDS[kind])
    def write_and_read(value: Any) -> None:
        async def write() -> Any:
            database = Database(plugin_settings(DatabaseSettings, **place.settings), make_context("warehouse"))
            [result] = await database.deliver_many([thing(delivery, value)])
            await database.close()
            return result

        result = asyncio.run(write())
        rows = place.rows("SELECT value FROM things")
        place.run("DELETE FROM things")
        if isinstance(result, Receipt):
            [[found]] = rows
            assert same(place, kind, value, found), (value, found)
        else:
            assert isinstance(result, Rejected)
            assert rows == []

    write_and_read()


@pytest.mark.parametrize("place", ["postgresql", "mariadb"], indirect=True)
async def test_blanks_that_the_database_would_cut_off_are_refused(place: Any, database: Any, delivery: Any) -> None:
    place.run("CREATE TABLE things (value VARCHAR(3))")
    results = await everything(database, delivery, ["abc ", "ab ", "   ", "    ", "abcd", "abc\n\t"])
    assert [type(one) for one in results] == [Rejected, Receipt, Receipt, Rejected, Rejected, Rejected]
    assert "cut off blanks" in str(results[0])


@pytest.mark.parametrize("place", ["mariadb"], indirect=True)
@pytest.mark.parametrize(("kind", "most"), [("TINYTEXT", 255), ("TEXT", 65535)])
async def test_blanks_beyond_the_bytes_of_a_text_are_refused(
    kind: str, most: int, place: Any, database: Any, delivery: Any
) -> None:
    place.run(f"CREATE TABLE things (value {kind})")
    long = "é" * (most // 2)
    results = await everything(database, delivery, [long + "  ", long + " \n\n", long + " ", long + "ab"])
    assert [type(one) for one in results] == [Rejected, Rejected, Receipt, Rejected]
    assert place.rows("SELECT value FROM things") == [(long + " ",)]


async def test_parts_of_a_second_go_as_far_as_the_column(place: Any, database: Any, delivery: Any) -> None:
    place.run(f"CREATE TABLE things (value TIMESTAMP{'(6)' if place.kind == 'mariadb' else ''})")
    await database.deliver(thing(delivery, datetime(2026, 1, 31, 8, 15, 0, 130, tzinfo=UTC)))
    [[found]] = place.rows("SELECT value FROM things")
    assert as_python(place, "TIMESTAMP", found) == datetime(2026, 1, 31, 8, 15, 0, 130)


def test_a_delivery_is_made_of_options_that_no_template_touches(delivery: Any) -> None:
    made: Delivery[Any] = thing(delivery, "{{ not a template }}")
    assert made.options.columns == {"value": "{{ not a template }}"}
