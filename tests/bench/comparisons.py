"""What is compared. All that is compared runs at once and is measured one after the other, round by round."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench import noop, seed
from tests.bench.measure import Comparison, Measured, Size, Table, load, measured
from tests.bench.running import TABLE, Gateway, gateway, server
from tests.support.postgresql import Server

BARE = "bare Starlette handler that only parses"
_KEPT = 1_000_000
_WAITING = 100_000
_ENOUGH = 400_000
"""More than the worker can do while something else is measured."""


def rounds(size: Size, turns: Mapping[str, Callable[[int, int], Measured]]) -> Table:
    """Measure each in turn, round by round; a turn gets the number of its first notification and how many to send.

    The first round is for warming up.
    """
    table: Table = {name: [] for name in turns}
    for number in range(size.rounds + 1):
        for name, turn in turns.items():
            found = turn(number * size.count, size.count)
            if number:
                table[name].append(found)
    return table


def answers(url: str) -> Callable[[int, int], Measured]:
    """Measure answers only."""
    return lambda first, count: measured(load(url, count, first=first))


def deliveries(one: Gateway, *destinations: str, records: int = 0) -> Callable[[int, int], Measured]:
    """Measure from arrival to the last settlement."""

    def turn(first: int, count: int) -> Measured:
        started_at = load(one.url, count, first=first, records=records)["started_at"]
        for destination in destinations:
            one.wait_until_ended(destination, first + count)
        return one.delivered_since(started_at, *destinations)

    return turn


def shared_deliveries(first: Gateway, second: Gateway) -> Callable[[int, int], Measured]:
    """Measure from arrival at two gateways on one store to the last settlement."""

    def turn(number: int, count: int) -> Measured:
        with ThreadPoolExecutor() as threads:
            halves = [
                threads.submit(load, to.url, count // 2, first=number + at * (count // 2))
                for at, to in enumerate((first, second))
            ]
        started_at = min(half.result()["started_at"] for half in halves)
        first.wait_until_ended("service", number + count)
        return first.delivered_since(started_at, "service")

    return turn


def steady_deliveries(one: Gateway, rate: float) -> Callable[[int, int], Measured]:
    """Measure from arrival to effect at ``noop``, at a rate of so many a second."""

    def turn(first: int, count: int) -> Measured:
        started_at = load(one.url, count, first=first, rate=rate)["started_at"]
        one.wait_until_ended("noop", first + count)
        return one.delivered_since(started_at, "noop")

    return turn


def busy_answers(one: Gateway) -> Callable[[int, int], Measured]:
    """Measure answers while a row is written for each notification; a turn ends when all are written."""

    def turn(first: int, count: int) -> Measured:
        found = measured(load(one.url, count, first=first))
        one.wait_until_ended("table", first + count)
        return found

    return turn


def acknowledged(folder: Path, size: Size) -> Table:
    """Answers of a handler that keeps nothing, and of the gateway, each after a durable keep."""
    with (
        server("bare") as bare,
        gateway(folder / "waits", enabled=False) as waits,
        gateway(folder / "works") as works,
    ):
        return rounds(
            size,
            {
                BARE: answers(f"{bare}/webhooks/doforms"),
                "gateway, kept; the destination waits": answers(waits.url),
                "gateway, kept; a row is written meanwhile": busy_answers(works),
            },
        )


def delivered(folder: Path, size: Size) -> Table:
    """Full deliveries: of a hand-written handler, where an answer is one, and of the gateway."""
    inline_folder = folder / "inline"
    inline_folder.mkdir()
    with sqlite3.connect(inline_folder / "table.db") as database:
        database.execute(TABLE)
    size = Size(rounds=size.rounds, count=size.count // 4)
    with (
        server("sink") as rest,
        server("inline", str(inline_folder / "table.db"), rest) as inline,
        gateway(folder / "delivers", rest=rest) as process,
    ):
        by_hand = answers(f"{inline}/webhooks/doforms")
        return rounds(
            size,
            {
                "FastAPI handler with plain httpx": lambda first, count: by_hand(first, count // 2),
                "gateway, arrival to last settlement": deliveries(process, "table", "service"),
            },
        )


def kept(folder: Path, size: Size) -> Table:
    """Answers of a gateway with an empty store, and with a million notifications in it."""
    with (
        gateway(folder / "empty", enabled=False) as empty,
        gateway(folder / "full", enabled=False, fill=lambda connection: seed.ended(connection, _KEPT)) as full,
    ):
        return rounds(size, {"empty store": answers(empty.url), f"{_KEPT:,} kept": answers(full.url)})


def routes(folder: Path, size: Size) -> Table:
    """Answers with one route and with a thousand."""
    deliver = '[[routes.deliver]]\nto = "table"\ntable = "inspections"\ncolumns = { doforms_key = "x" }\n'
    others = "".join(
        f'\n[[routes]]\nname = "other-{number}"\nform = ["Be*", "Oth?r"]\nproject = "Other {number}"\n{deliver}'
        for number in range(999)
    )
    projects = "".join(
        f'\n[webservices.other-{number}]\nid = "acme$$2$${number}"\nform = "Other"\nproject = "Other {number}"\n'
        for number in range(999)
    )
    with (
        gateway(folder / "one", enabled=False) as one,
        gateway(folder / "thousand", enabled=False, more=projects + others) as thousand,
    ):
        return rounds(size, {"1 route": answers(one.url), "1,000 routes": answers(thousand.url)})


@contextmanager
def database_server() -> Iterator[Server]:
    """Run a PostgreSQL server that writes to the disk what it commits."""
    made = Server(durable=True)
    try:
        yield made
    finally:
        made.end()


def on_postgresql(folder: Path, size: Size) -> Table:
    """Answers of a handler that keeps nothing, and of a gateway that keeps in PostgreSQL."""
    with (
        database_server() as databases,
        server("bare") as bare,
        gateway(folder / "kept", enabled=False, store=databases.make_database()) as kept,
    ):
        return rounds(
            size,
            {BARE: answers(f"{bare}/webhooks/doforms"), "gateway, kept in PostgreSQL": answers(kept.url)},
        )


def processes(folder: Path, size: Size) -> Table:
    """Full deliveries of one gateway, and of two on one store that share what comes."""
    size = Size(rounds=size.rounds, count=size.count // 4)
    with database_server() as databases, server("sink") as rest, ExitStack() as stack:
        one, shared = databases.make_database(), databases.make_database()
        alone, first, second = (
            stack.enter_context(gateway(folder / name, row=False, rest=rest, store=store))
            for name, store in (("alone", one), ("first", shared), ("second", shared))
        )

        turns = {"one process": deliveries(alone, "service"), "two processes": shared_deliveries(first, second)}
        return rounds(size, turns)


_DEAD = """
[destinations.dead]
plugin = "rest"
url = "http://127.0.0.1:9"

[[routes]]
name = "dead"
project = "Nobody's"
[[routes.deliver]]
to = "dead"
json = { key = "{{ notification.key }}" }
"""
"""No record is needed: what waits is to wait for the destination, not for doForms."""


def dead(folder: Path, size: Size) -> Table:
    """Full deliveries to a destination while another one is dead, with nothing and with 100,000 waiting for that."""
    size = Size(rounds=size.rounds, count=size.count // 2)
    more = _DEAD + '\n[webservices.nobody]\nid = "acme$$3"\nform = "Nobody"\nproject = "Nobody\'s"\n'
    with (
        gateway(folder / "none", more=more) as none,
        gateway(
            folder / "waiting",
            more=more,
            fill=lambda connection: seed.waiting(connection, _WAITING, route="dead", destination="dead"),
        ) as waiting,
    ):
        table = rounds(
            size, {"nothing waits": deliveries(none, "table"), f"{_WAITING:,} wait": deliveries(waiting, "table")}
        )
        [(left,)] = waiting.query("SELECT count(*) FROM deliveries WHERE destination = 'dead' AND state = 'pending'")
        assert left == _WAITING, f"only {left} wait still"
        return table


def hot(folder: Path, size: Size) -> Table:
    """Full deliveries of a thousand records and of ten."""
    size = Size(rounds=size.rounds, count=size.count // 4)
    with gateway(folder / "many") as many, gateway(folder / "few") as few:
        return rounds(
            size,
            {
                "1,000 records": deliveries(many, "table", records=1000),
                "10 records": deliveries(few, "table", records=10),
            },
        )


NOOP = """
[[routes.deliver]]
to = "noop"

[destinations.noop]
plugin = "noop"
"""


def latency(folder: Path, size: Size) -> Table:
    """Arrival to effect at a rate that leaves room, and answers while the worker has more than it can do."""
    with ExitStack() as stack:
        quiet = stack.enter_context(gateway(folder / "quiet", row=False, more=NOOP, environ=noop.install(folder)))
        busy = stack.enter_context(
            gateway(
                folder / "busy",
                fill=lambda connection: seed.waiting(connection, _ENOUGH, route="bench", destination="table"),
            )
        )

        def answer(first: int, count: int) -> Measured:
            [(left,)] = busy.query("SELECT count(*) FROM deliveries WHERE state = 'pending'")
            assert left > count, "the worker has caught up; give it more"
            return measured(load(busy.url, count, first=first, rate=500))

        return rounds(
            Size(rounds=min(3, size.rounds), count=2000),
            {
                "200 a second, arrival to effect": steady_deliveries(quiet, 200),
                "500 a second, answers, the worker saturated": answer,
            },
        )


COMPARISONS: Mapping[str, Comparison] = {
    "acknowledged": Comparison(
        title="Acknowledged in delayed mode, against a handler that only parses",
        run=acknowledged,
        bars={"gateway, kept; the destination waits": 0.6},
    ),
    "delivered": Comparison(
        title="Fully delivered: one row and one REST call each, against the same by hand",
        run=delivered,
        bars={"gateway, arrival to last settlement": 4},
    ),
    "postgresql": Comparison(
        title="Acknowledged with the store in PostgreSQL, against a handler that only parses",
        run=on_postgresql,
        bars={"gateway, kept in PostgreSQL": 0.45},
    ),
    "processes": Comparison(
        title="Delivered (one REST call each) from a store in PostgreSQL, by the number of processes", run=processes
    ),
    "kept": Comparison(title="Acknowledged, by what the store holds", run=kept, bars={f"{_KEPT:,} kept": 0.9}),
    "routes": Comparison(title="Acknowledged, by the number of routes", run=routes, bars={"1,000 routes": 0.9}),
    "dead": Comparison(
        title="Delivered, by what waits for a dead destination", run=dead, bars={f"{_WAITING:,} wait": 0.9}
    ),
    "hot": Comparison(title="Delivered, by the number of records", run=hot, bars={"10 records": 0.7}),
    "latency": Comparison(
        title="Latency at a steady rate",
        run=latency,
        latest={"200 a second, arrival to effect": 50, "500 a second, answers, the worker saturated": 50},
    ),
}
