"""Thousands of records are notified at once, and fetched and reported within what doForms allows an account."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, text

from gateway.doforms.simulator import AccountLimit, Seen, Simulator
from tests.bench.load import HEADER, WEBSERVICE
from tests.support.gateway_process import GatewayProcess
from tests.support.postgresql import Server

_ROUTES = """
[gateway]
store = "{store}"

[doforms]
api = "{api}"
requests_per_minute = {a_minute}
max_in_flight = {in_flight}
report = {report}

[webhook]
headers = {{ {header} = ["env:SECRET"] }}

[webservices.burst]
id = "{webservice}"
password = "env:PASSWORD"
form = "Burst"

[destinations.table]
plugin = "database"
url = "{effects}"

[[routes]]
name = "burst"
mode = "delayed"
[[routes.deliver]]
to = "table"
table = "effects"
delivery_key = "delivery_key"
columns = {{ record = "{{{{ record.key }}}}", notification = "{{{{ notification.key }}}}", site = "{{{{ record.fields.site }}}}" }}
"""  # noqa: E501  an inline table stays on one line
_TABLE = "CREATE TABLE effects (id {id}, record TEXT, notification TEXT, site TEXT, delivery_key TEXT UNIQUE)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How big a burst is, and what doForms allows meanwhile."""

    records: int = 5000
    again: int = 500
    """So many of them are notified twice."""
    rate: float = 500.0
    """Notifications a second."""
    warm_up: int = 100
    """So many of them come before, one after the other: a gateway that runs has seen some."""
    limit: AccountLimit = field(default_factory=lambda: AccountLimit(a_minute=6000, in_flight=4, window="sliding"))
    report: bool = True
    processes: int = 1
    """Gateways; several share a store in PostgreSQL."""

    @property
    def notifications(self) -> int:
        """How many notifications are sent."""
        return self.records + self.again

    @property
    def measured(self) -> int:
        """How many of them are sent at the full rate."""
        return self.notifications - self.warm_up

    @property
    def longest(self) -> float:
        """Seconds that it may take: three times what the limit makes necessary."""
        calls = self.notifications * (2 if self.report else 1)
        return 60 + 3 * self.limit.minute * calls / self.limit.a_minute


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """What came of a burst."""

    answers: dict[str, int]
    """By status."""
    p50_ms: float
    p99_ms: float
    """Of the answers, from when a notification was due."""
    seconds: float
    """From the first notification to the last effect and report."""
    processor_ms: float
    """Processor time of the gateways for a notification."""
    calls: int
    refused: int
    """Calls that met a 429."""
    missing: int
    twice: int
    out_of_order: int
    not_believed: int
    """Notifications of which doForms does not believe that they are completed."""


async def burst(plan: Plan, folder: Path) -> Came:
    """Run a burst; raises TimeoutError if it does not come to its end."""
    doforms = Simulator()
    doforms.add_webservice(WEBSERVICE, "secret", "Burst")
    for number in range(plan.records):
        doforms.put_record(WEBSERVICE, f"record-{number}", {"site": f"Site {number}", "risk": "Low"})
    seen = [
        doforms.compose(WEBSERVICE, "create", submission_key=f"record-{number % plan.records}", key=_key(number))
        for number in range(plan.notifications)
    ]
    doforms.conditions.limit = plan.limit
    async with doforms.serving():
        with ExitStack() as stack:
            store, effects = stack.enter_context(_databases(plan, folder))
            engine = create_engine(effects)
            stack.callback(engine.dispose)
            gateways = [
                stack.enter_context(_gateway(plan, folder / str(number), doforms.api, store, effects))
                for number in range(plan.processes)
            ]
            started = time.monotonic()
            for gateway in gateways:
                await _load(gateway.url, plan, first=0, count=plan.warm_up, rate=50.0)
            share, rate = plan.measured // plan.processes, plan.rate / plan.processes
            loads = await asyncio.gather(
                *(
                    _load(gateway.url, plan, first=plan.warm_up + number * share, count=share, rate=rate)
                    for number, gateway in enumerate(gateways)
                )
            )
            answers = _sum([load["statuses"] for load in loads])
            if answers.keys() != {"200"}:
                raise RuntimeError(f"the gateway did not take all of them: it answered {answers}")
            await doforms.until(lambda: _all_told(plan, seen), timeout=plan.longest)
            await doforms.until(lambda: _count(engine) >= plan.notifications, timeout=plan.longest)
            seconds = time.monotonic() - started
            processor_seconds = sum(gateway.processor_seconds for gateway in gateways)
            with engine.connect() as connection:
                rows = connection.execute(text("SELECT record, notification FROM effects ORDER BY id")).all()
    return Came(
        answers=answers,
        p50_ms=max(load["p50_ms"] for load in loads),
        p99_ms=max(load["p99_ms"] for load in loads),
        seconds=seconds,
        processor_ms=1000 * processor_seconds / plan.notifications,
        calls=len(doforms.requests),
        refused=sum(request.status == 429 for request in doforms.requests),
        missing=plan.notifications - len({row.notification for row in rows}),
        twice=len(rows) - len({row.notification for row in rows}),
        out_of_order=_out_of_order([(row.record, row.notification) for row in rows]),
        not_believed=sum(one.belief != "completed" for one in seen) if plan.report else 0,
    )


def _key(number: int) -> str:
    return f"notification-{number}"


@contextmanager
def _databases(plan: Plan, folder: Path) -> Iterator[tuple[str, str]]:
    """Make the store and the database with the table of effects."""
    if plan.processes == 1:
        store, effects = f"sqlite:///{folder / 'gateway.db'}", f"sqlite:///{folder / 'effects.db'}"
        _make_table(effects, "INTEGER PRIMARY KEY AUTOINCREMENT")
        yield store, effects
        return
    server = Server(durable=True)
    try:
        store, effects = server.make_database(), server.make_database(migrated=False)
        _make_table(effects, "BIGSERIAL PRIMARY KEY")
        yield store, effects
    finally:
        server.end()


def _make_table(url: str, id_: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(_TABLE.format(id=id_)))
    engine.dispose()


@contextmanager
def _gateway(plan: Plan, folder: Path, api: str, store: str, effects: str) -> Iterator[GatewayProcess]:
    folder.mkdir(parents=True)
    file = folder / "routes.toml"
    file.write_text(
        _ROUTES.format(
            store=store,
            api=api,
            a_minute=plan.limit.a_minute,
            in_flight=plan.limit.in_flight,
            report=str(plan.report).lower(),
            header=HEADER[0],
            webservice=WEBSERVICE,
            effects=effects,
        )
    )
    gateway = GatewayProcess(file, environ={"SECRET": HEADER[1], "PASSWORD": "secret"})
    gateway.start()
    try:
        yield gateway
    finally:
        gateway.stop()


async def _load(url: str, plan: Plan, *, first: int, count: int, rate: float) -> dict[str, Any]:
    """Send notifications from a process of its own."""
    options = {"first": first, "records": plan.records, "rate": rate}
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.load", url, str(count), *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    found: dict[str, Any] = json.loads(output)
    return found


def _all_told(plan: Plan, seen: Sequence[Seen]) -> bool:
    return not plan.report or all(one.belief == "completed" for one in seen)


def _count(engine: Engine) -> int:
    with engine.connect() as connection:
        found: int = connection.execute(text("SELECT count(*) FROM effects")).scalar_one()
    return found


def _sum(answers: list[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = defaultdict(int)
    for statuses in answers:
        for status, count in statuses.items():
            total[status] += count
    return dict(total)


def _out_of_order(rows: list[tuple[str, str]]) -> int:
    """Count the effects of a record that came after one of a notification which was sent later."""
    last: dict[str, int] = {}
    wrong = 0
    for record, notification in rows:
        number = int(notification.rpartition("-")[2])
        wrong += number < last.get(record, -1)
        last[record] = max(number, last.get(record, -1))
    return wrong
