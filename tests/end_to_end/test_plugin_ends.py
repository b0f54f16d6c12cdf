"""SIGTERM to a gateway whose plugins block, hang or hold on: it ends in time, with what is left behind told."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from tests.end_to_end.conftest import Make, World
from tests.end_to_end.test_reload import DELAYED, put_key
from tests.support import wild

TEXT = 'to = "wild"\ntext = "{{ notification.key }}"'
STATES = "SELECT state, reason FROM deliveries ORDER BY id"
BEGUN = "print('begun', flush=True); "


def start(world: World, route: Make, *, grace: str = "1s", **does: str) -> None:
    environ = wild.install(world.folder)
    world.write(
        wild.destination(**does) + route(TEXT, head=DELAYED), gateway=f'shutdown_grace = "{grace}"', environ=environ
    )
    world.gateway.start()
    world.doforms.target = world.gateway.url


async def begun(world: World) -> None:
    await world.doforms.until(lambda: "begun" in world.gateway.log_file.read_text())


async def told_to_end(world: World, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
    began = time.monotonic()
    world.gateway.tell(number)
    status = await asyncio.to_thread(world.gateway.process.wait, 60)
    return status, time.monotonic() - began


BLOCKS = {
    "sleep": "time.sleep(600)",
    "loop": "\nwhile True: pass",
    "regex": "import re; re.match(r'(a|aa)+$', 'a' * 200 + 'b')",
    "socket": "import socket; a, b = socket.socketpair(); a.recv(1)",
    "lock": "threading.Lock().acquire() and None; lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "child": "import subprocess; subprocess.run(['sleep', '30'])",
    "hushed": "\nwhile True:\n    try: time.sleep(600)\n    except BaseException: pass",
}


@pytest.mark.parametrize("code", BLOCKS.values(), ids=BLOCKS.keys())
async def test_blocked_loop_ends_after_the_grace(world: World, route: Make, code: str) -> None:
    start(world, route, deliver=BEGUN + code)
    await put_key(world, "n1")
    await begun(world)
    await asyncio.sleep(0.5)
    status, seconds = await told_to_end(world)
    assert status == 1
    assert 0.5 < seconds < 20
    world.gateway.start()  # what was being sent is noticed, as after a crash
    await world.doforms.until(lambda: world.stored("SELECT state FROM deliveries") == [("dead",)])
    world.gateway.kill()


async def test_second_signal_ends_a_blocked_loop_at_once(world: World, route: Make) -> None:
    start(world, route, grace="60s", deliver=BEGUN + "time.sleep(600)")
    await put_key(world, "n1")
    await begun(world)
    world.gateway.tell(signal.SIGTERM)
    await asyncio.sleep(1)
    status, seconds = await told_to_end(world)
    assert (status, seconds < 20) == (128 + signal.SIGTERM, True)


HOLDS = {
    "thread of the context": "await self.context.in_thread(time.sleep, 600)",
    "thread of asyncio": "await asyncio.to_thread(time.sleep, 600)",
    "thread that nobody waits for": "threading.Thread(target=time.sleep, args=(600,)).start()",
    "pool": "from concurrent.futures import ThreadPoolExecutor\nThreadPoolExecutor(1).submit(time.sleep, 600)",
    "ignores cancellation": "\nwhile True:\n    try: await asyncio.sleep(600)\n    except BaseException: pass",
    "handler of its own": "import signal; signal.signal(signal.SIGTERM, lambda *_: None); await asyncio.sleep(600)",
    "deaf": "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); await asyncio.sleep(600)",
    "at exit": "import atexit; atexit.register(time.sleep, 600)",
}


@pytest.mark.parametrize(
    ("where", "code"),
    [
        *(pytest.param("deliver", code, id=f"deliver: {name}") for name, code in HOLDS.items()),
        pytest.param("open", HOLDS["thread of the context"], id="open: thread of the context"),
        pytest.param("open", HOLDS["ignores cancellation"], id="open: ignores cancellation"),
    ],
)
async def test_holding_on_ends_after_the_grace(world: World, route: Make, where: str, code: str) -> None:
    start(world, route, **{where: BEGUN + code})
    await put_key(world, "n1")
    await begun(world)
    await asyncio.sleep(0.5)
    status, seconds = await told_to_end(world)
    assert status == 0
    assert seconds < 25


@pytest.mark.parametrize(
    "code", ["time.sleep(600)", "await asyncio.sleep(600)", "await asyncio.to_thread(time.sleep, 600)"]
)
async def test_close_without_end_ends_after_the_grace(world: World, route: Make, code: str) -> None:
    start(world, route, close=code)
    await put_key(world, "n1")
    await world.doforms.until(lambda: world.stored("SELECT state FROM deliveries") == [("delivered",)])
    _, seconds = await told_to_end(world)
    assert seconds < 25


STOPS = {
    "exits in a task that it awaits": "await asyncio.create_task(leave())",
    "exit in a callback": "asyncio.get_running_loop().call_soon(sys.exit, 3); await asyncio.sleep(0.1)",
    "stops the loop": "asyncio.get_running_loop().stop(); await asyncio.sleep(0.1)",
    "raises in a task that nobody awaits": "asyncio.create_task(interrupt()); await asyncio.sleep(0.1)",
}
PREFACE = "async def interrupt(): raise KeyboardInterrupt\nasync def leave(): sys.exit(3)\n"


@pytest.mark.parametrize("code", STOPS.values(), ids=STOPS.keys())
async def test_stopping_the_loop_stops_no_gateway(world: World, route: Make, code: str) -> None:
    start(world, route, deliver=PREFACE + code)
    await put_key(world, "n1")
    ends = [("delivered",)], [("dead",)]
    await world.doforms.until(lambda: world.stored("SELECT state FROM deliveries") in ends)
    await put_key(world, "n2", "r2")
    await world.doforms.until(
        lambda: world.stored("SELECT count(*) FROM deliveries WHERE state != 'pending'") == [(2,)]
    )
    assert world.gateway.stop() == 0
