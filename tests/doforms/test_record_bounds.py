"""How large a record may be: beyond the bounds it is refused before it fills the memory."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from gateway.doforms import record_bounds
from gateway.doforms.failures import NotAListing, TooLarge
from gateway.doforms.listing import LARGEST, decode_listing
from gateway.doforms.notification import parse_notification
from gateway.doforms.record import DECODED_HERE, decode_aside, decode_record
from gateway.doforms.record_bounds import DEEPEST, LONGEST_PATH
from gateway.errors import NotANotification
from gateway.models import Record, RecordKind

KIND = RecordKind.SUBMISSION
MANY = 50_000


def question(name: Any, value: Any = "x") -> dict[str, Any]:
    return {"name": str(name), "data": "text", "type": "text", "text": value}


def body(*fields: Any, **more: Any) -> bytes:
    return json.dumps({"key": "k", **({"fields": fields} if fields else {}), **more}).encode()


def nested(fields: Any, *names: str) -> Any:
    for name in reversed(names):
        fields = [{"name": name, "fields": fields}]
    return fields


@pytest.mark.parametrize(
    "raw",
    [
        lambda: body(*nested([question(n) for n in range(3000)], "s" * 1_000_000)),
        lambda: body(*nested([question("q")], "s" * 600, "t" * 600)),
        lambda: body(question("q" * 1_001)),
        lambda: body(**{"q" * 1_001: "flattened"}),
        lambda: body({"name": "s" * 1_001, "fields": []}),
        lambda: body({"name": "s" * 1_001, "fields": {"a": 1}}),
        lambda: body({"name": "t" * 600, "data": "rows", "rows": [{"c" * 600: 1}]}),
        lambda: body({"name": "t", "fields": [[question("c" * 1_001)]]}),
    ],
)
def test_a_path_that_is_too_long_is_refused(raw: Callable[[], bytes]) -> None:
    with pytest.raises(TooLarge, match=f"a path of more than {LONGEST_PATH} characters"):
        decode_record(raw(), kind=KIND)


def test_a_path_as_long_as_may_be_is_taken() -> None:
    record = decode_record(body(*nested([question("q" * 499)], "s" * 500)), kind=KIND)
    assert [len(path) for path in record.paths] == [LONGEST_PATH]


@pytest.mark.parametrize(
    "raw",
    [
        lambda: body(*map(question, range(21))),
        lambda: body(*[question("same")] * 21),
        lambda: body(**{f"q{number}": 1 for number in range(21)}),
        lambda: body({"name": "t", "data": "rows", "rows": [{f"c{number}": 1} for number in range(21)]}),
        lambda: body(*[{"name": f"s{number}", "fields": []} for number in range(21)]),
        lambda: body(*nested([question(number) for number in range(21)], "a", "b")),
    ],
)
def test_more_questions_than_may_be_are_refused(monkeypatch: pytest.MonkeyPatch, raw: Callable[[], bytes]) -> None:
    monkeypatch.setattr(record_bounds, "MOST_QUESTIONS", 20)
    with pytest.raises(TooLarge, match="more than 20 questions"):
        decode_record(raw(), kind=KIND)


@pytest.mark.parametrize(
    "raw",
    [
        lambda: b'{"key":"k","a":[' + b"1," * MANY + b"1]}",
        lambda: b'{"key":"k","a":[' + b"[]," * MANY + b"1]}",
        lambda: b'{"key":"k","a":[' + b'"",' * MANY + b"1]}",
        lambda: b'{"key":"k","a":' + b'{"b":' * MANY + b"1",
        lambda: b'{"key":"k","a":[' + b'"\\",",' * MANY + b"1]}",
    ],
)
def test_more_values_than_may_be_are_refused_before_they_are_parsed(
    monkeypatch: pytest.MonkeyPatch, raw: Callable[[], bytes]
) -> None:
    monkeypatch.setattr(record_bounds, "MOST_VALUES", MANY)
    made = raw()
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge, match=f"more than {MANY} values and names"):
            decode_record(made, kind=KIND)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(made)
    finally:
        tracemalloc.stop()


def test_commas_in_texts_are_no_values() -> None:
    text = 'a, b: [c], {d}, "e\\", ' * 100_000
    assert decode_record(body(question("q", text)), kind=KIND).fields["q"] == text


@pytest.mark.parametrize("around", [lambda inner: [inner], lambda inner: {"a": inner}, lambda inner: [1, {"b": inner}]])
def test_what_is_nested_deeper_than_may_be_is_refused(around: Callable[[Any], Any]) -> None:
    value: Any = 1
    for _ in range(DEEPEST + 10):
        value = around(value)
    raw = b'{"key":"k","a":%s}' % _written(value)
    with pytest.raises(Exception, match=r"nested (deeper|too deep)"):
        decode_record(raw, kind=KIND)


def _written(value: Any) -> bytes:
    """Write JSON however deep it is."""
    pieces: list[Any] = [value]
    done: list[bytes] = []
    while pieces:
        piece = pieces.pop()
        if isinstance(piece, bytes):
            done.append(piece)
        elif isinstance(piece, list):
            inside = [part for item in piece for part in (b",", item)][1:]
            pieces += reversed([b"[", *inside, b"]"])
        elif isinstance(piece, dict):
            inside = [part for name, item in piece.items() for part in (b',"%s":' % name.encode(), item)]
            inside[0] = inside[0].removeprefix(b",")
            pieces += reversed([b"{", *inside, b"}"])
        else:
            done.append(json.dumps(piece).encode())
    return b"".join(done)


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("1e999999", "1e999999"),
        ("-1E+999999999999", "-1E+999999999999"),
        ("7" * 5_000, Decimal("7" * 5_000)),
        ("7" * 100_000, Decimal("7" * 100_000)),
        ("7" * 100_001, "7" * 100_001),
        ("0." + "3" * 50_000, Decimal("0." + "3" * 50_000)),
    ],
)
def test_a_number_of_any_size_is_taken(number: str, value: Any) -> None:
    record = decode_record(
        b'{"key":"k","fields":[{"name":"n","data":"number","number":%s}]}' % number.encode(), kind=KIND
    )
    assert record.fields["n"] == value


def test_memory_is_in_proportion_to_the_body() -> None:
    raw = body({"name": "t", "fields": [[question(n) for n in range(10)]] * 500}, *map(question, range(1_000)))
    tracemalloc.start()
    try:
        record = decode_record(raw, kind=KIND)
        held, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(record.tables["t"]) == 500
    assert held < 20 * len(raw)
    assert most < 30 * len(raw)


async def test_a_large_record_is_decoded_beside_the_event_loop_and_the_same() -> None:
    raw = body(*(question(number, "text " * 20) for number in range(20_000)))
    assert len(raw) > DECODED_HERE
    beats: list[float] = []

    async def beat() -> None:
        while True:
            begun = time.monotonic()
            await asyncio.sleep(0.002)
            beats.append(time.monotonic() - begun)

    beating = asyncio.create_task(beat())
    record = await decode_aside(raw, kind=KIND)
    beating.cancel()
    assert len(beats) > 5
    assert record == decode_record(raw, kind=KIND)


async def test_a_large_record_that_is_refused_is_refused_there_too() -> None:
    with pytest.raises(TooLarge, match="1000 characters"):
        await decode_aside(body(*nested([question("q")], "s" * 100_000)), kind=KIND)
    small: Record = await decode_aside(body(question("q")), kind=KIND)
    assert small.fields == {"q": "x"}


def test_a_listing_that_is_too_large_is_refused_unparsed() -> None:
    with pytest.raises(NotAListing, match=f"at most {LARGEST}"):
        decode_listing(b"[" + b"[]," * 1_000_000 + b"1]")
    longest = json.dumps([{"key": "k" * 500, "id": "i" * 500}] * 1000).encode()
    assert len(decode_listing(longest)) == 1000


@pytest.mark.parametrize(
    "inside",
    [
        b"[" + b"[]," * 200_000 + b"1]",
        b"[" + b"1," * 400_000 + b"1]",
        b"[" * 20_000 + b"]" * 20_000,
        b'["' + b'","' * 300_000 + b'"]',
    ],
)
def test_a_notification_of_too_many_values_is_refused_unparsed(inside: bytes) -> None:
    raw = b'{"key":"k","webserviceId":"w","more":%s}' % inside
    begun = time.thread_time()
    with pytest.raises(NotANotification, match="more than 10000 values and names or is nested too deep"):
        parse_notification(raw, path_event=None, received=datetime.now(UTC))
    assert time.thread_time() - begun < 0.5


def test_a_notification_with_a_long_text_is_taken() -> None:
    raw = json.dumps({"key": "k", "webserviceId": "w", "more": "a, b: " * 100_000}).encode()
    assert parse_notification(raw, path_event=None, received=datetime.now(UTC)).key == "k"
