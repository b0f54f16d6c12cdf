"""Attacks from within: services and doForms that answer badly, records, plugins, signals, kills."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from tests.crash.routes import replace_text, with_a_mistake
from tests.hostile.plugin import FAULTS
from tests.hostile.records import RECORDS
from tests.hostile.routes import ATTACKED, HEAVY_ID, ODD_ID
from tests.hostile.service import BAD, WELL
from tests.hostile.stage import Stage

Insider = Callable[[Stage], Awaitable[None]]

_API_FAULTS = (
    "busy",
    "unavailable",
    "broken",
    "html",
    "error-in-200",
    "half",
    "reset",
    "empty",
    "silent",
    "other-record",
)
_HEARD = ("html", "half")
"""Answered 200 where nothing was done: who reports an outcome takes that as heard, as doForms' page says."""
_HEAVY_EVERY = 1.0
_ODD_EVERY = 0.3


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Do something that must not be broken off half-way: an attack that ends must leave a gateway that runs."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


async def bad_answers(stage: Stage) -> None:
    """Answer deliveries as no service should."""
    try:
        while True:
            stage.service.answer = stage.chance.choice([*BAD.values(), WELL])
            await asyncio.sleep(stage.chance.uniform(0.3, 1.2))
    finally:
        stage.service.answer = WELL


async def bad_api(stage: Stage) -> None:
    """Answer fetches and reports as doForms does on its worst days."""
    try:
        while True:
            stage.doforms.faults.clear()
            name = stage.chance.choice(_API_FAULTS)
            which = {"method": "GET"} if name in _HEARD else {}
            stage.doforms.faults.add(name, times=None, share=0.5, **which)
            await asyncio.sleep(stage.chance.uniform(0.3, 1.2))
    finally:
        stage.doforms.faults.clear()


async def bad_records(stage: Stage) -> None:
    """Have records fetched that are huge, deep or odd, and rendered by templates that cost much."""
    async with asyncio.TaskGroup() as group:
        while True:
            kind = stage.chance.choice([*RECORDS])
            group.create_task(_notify(stage, HEAVY_ID, body=RECORDS[kind]))
            await asyncio.sleep(_HEAVY_EVERY)


async def plugin_faults(stage: Stage) -> None:
    """Have a plugin do what it must not."""
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(_notify(stage, ODD_ID, fault=stage.chance.choice(FAULTS)))
            await asyncio.sleep(_ODD_EVERY)


async def _notify(stage: Stage, webservice: str, *, body: bytes | None = None, fault: str | None = None) -> None:
    stage.number += 1
    record = f"{ATTACKED}record-{stage.number}-of"  # no key is the beginning of another: faults go by parts of paths
    stage.doforms.put_record(webservice, record, {"fault": fault})
    if body is not None:
        answer = body.replace(b"RECORD-KEY", record.encode())
        stage.doforms.faults.add(status=200, body=answer, call="record", path_contains=record, times=None)
    seen = stage.doforms.compose(webservice, "update", submission_key=record, key=f"{ATTACKED}{stage.number}")
    stage.doforms.target = stage.gateway().process.url
    await stage.doforms.send(seen)


async def kills(stage: Stage) -> None:
    """Kill gateways as a power cut would."""
    while True:
        await asyncio.sleep(stage.chance.uniform(1.0, 4.0))
        with stage.down():
            await _to_its_end(stage.gateway().kill(stage.chance.uniform(0, 0.5)))


async def frozen(stage: Stage) -> None:
    """Let gateways stand still for a second or two."""
    while True:
        await asyncio.sleep(stage.chance.uniform(1.0, 4.0))
        with stage.down():
            await _to_its_end(stage.gateway().freeze(stage.chance.uniform(0.5, 2.0)))


async def reloads(stage: Stage) -> None:
    """Send SIGHUP many times a second, now and then with a mistake in the file."""
    right = stage.routes.read_text()
    try:
        while True:
            mistaken = stage.chance.random() < 0.3
            replace_text(stage.routes, with_a_mistake(right) if mistaken else right)
            for one in stage.gateways:
                if not one.busy.locked():
                    one.signal(signal.SIGHUP)
            await asyncio.sleep(stage.chance.uniform(0.05, 0.5))
    finally:
        replace_text(stage.routes, right)


async def locked_tables(stage: Stage) -> None:
    """Hold the tables of the destination."""
    while True:
        await _to_its_end(stage.warehouse.lock(stage.chance.uniform(0.3, 1.5)))
        await asyncio.sleep(stage.chance.uniform(0.1, 0.5))


async def database_restarts(stage: Stage) -> None:
    """Take the database server down at once, and bring it up again."""
    while True:
        await asyncio.sleep(stage.chance.uniform(2.0, 5.0))
        with stage.down():
            await _to_its_end(asyncio.to_thread(stage.backend.restart))


async def clock_leaps(stage: Stage) -> None:
    """Have the clock of the machine go back or forward, by an hour or a month, and return.

    The gateway is restarted for it, and afterwards: a clock that can be told to leap makes each look at it slow.
    """
    one = stage.gateway()
    plain = one.process.environ

    async def begin(environ: dict[str, str]) -> None:
        with stage.down():
            one.process.environ = environ
            await one.shut_down(0.0)

    await _to_its_end(begin({**plain, **stage.clock.environ}))
    try:
        while True:
            stage.leap(stage.chance.choice(("-1h", "+1h", "-30d", "+30d")))
            await asyncio.sleep(stage.chance.uniform(2.0, 4.0))
            stage.leap("+0")
            await asyncio.sleep(stage.chance.uniform(1.0, 3.0))
    finally:
        stage.leap("+0")
        await begin(plain)


EVERYWHERE: Mapping[str, Insider] = {
    "answers of a bad service": bad_answers,
    "answers of a bad doForms": bad_api,
    "huge, deep and costly records": bad_records,
    "a plugin that misbehaves": plugin_faults,
    "locked tables": locked_tables,
    "reloads": reloads,
    "a gateway stands still": frozen,
    "kills": kills,
}
WITH_A_SERVER: Mapping[str, Insider] = {"database restarts": database_restarts}
"""Where the store is a server, which has the clock that counts."""
WITH_A_FILE: Mapping[str, Insider] = {"clock leaps": clock_leaps}
"""Where the store is a file."""
