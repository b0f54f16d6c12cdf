"""Rendering in processes of their own: bounded by the system, replaced when they end, and the same as here."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import TemplateError
from gateway.templates import render_pool
from gateway.templates.compiled import Expression
from gateway.templates.render_pool import NotNow, RenderPool, RenderProcess, work_off_apart
from gateway.templates.rendering import Refused, Rendered, Task, packed, work_off, work_off_here
from tests.templates.test_work import EVIL, ORDINARY, USUAL, task

CROSSED = "{{ record.fields.many | reject('in', record.fields.others) | list | length }} "
"""Takes a minute."""


@pytest.fixture(scope="module")
def process() -> Iterator[RenderProcess]:
    made = RenderProcess()
    yield made
    made.close()


def pid(one: RenderProcess) -> int:
    assert one._process is not None
    return one._process.pid


@pytest.mark.parametrize("text", [*USUAL, "{{ record.fields }}", "{{ record.fields.score }}", "{{ now }}"])
@pytest.mark.parametrize("html", [False, True])
def test_what_is_rendered_apart_is_the_same_byte_for_byte(process: RenderProcess, text: str, html: bool) -> None:
    one = task(text, ORDINARY, html=html, kind=str if html else Any)
    here = work_off_here(one)
    apart = process.work_off(packed(one))
    assert isinstance(here, Rendered)
    assert isinstance(apart, Rendered)
    assert apart.kept == here.kept


@pytest.mark.parametrize(
    "value", [Decimal("1.10"), Decimal("1e-30"), 9**4000, "\ud800é\x00", {"$": ["table", {}]}, [[]], None]
)
def test_every_value_comes_through(process: RenderProcess, value: Any) -> None:
    one = task(["{{ record.fields.value }}"], {"value": value}, kind=Any)
    apart = process.work_off(packed(one))
    done = work_off(one)
    assert isinstance(apart, Rendered)
    assert isinstance(done, Rendered)
    assert apart.kept == done.kept


def test_an_error_is_told_as_here(process: RenderProcess) -> None:
    one = task("{{ record.fields.site > 3 }} ", ORDINARY)
    with pytest.raises(TemplateError) as here:
        work_off_here(one)
    with pytest.raises(TemplateError) as apart:
        process.work_off(packed(one))
    assert str(apart.value) == str(here.value)


def test_a_condition_that_is_false_is_told(process: RenderProcess) -> None:
    when = Expression("record.fields.count > 99", "record.fields.count > 99")
    one = Task(conditions=((when, "not so many"),), plan=None, names=task("", ORDINARY).names)
    assert process.work_off(packed(one)) == Refused("not so many")


def test_what_takes_too_long_is_ended_and_the_next_is_rendered(process: RenderProcess) -> None:
    with pytest.raises(TemplateError, match="takes more than 5 s of computing"):
        process.work_off(packed(task(CROSSED, EVIL)))
    assert isinstance(process.work_off(packed(task("{{ record.fields.site }} ", ORDINARY))), Rendered)


def test_one_step_of_python_that_takes_too_long_is_ended(process: RenderProcess) -> None:
    # Looking for a text from its end tries each place: one call that nothing in Python can break off.
    sought = "{{ record.fields.text.rfind(record.fields.sought) }} "
    fields = {"text": "a" * 8_000_000, "sought": "ab" + "a" * 4_000_000}
    with pytest.raises(TemplateError, match="takes more than 5 s of computing"):
        process.work_off(packed(task(sought, fields)))


@pytest.mark.parametrize(
    "text",
    [
        "{% set ns = namespace(t=[]) %}{% for i in range(999) %}{% set ns.t = [ns.t, 'x' * 9999999 ~ i] %}{% endfor %}",
        "{% set ns = namespace(t=1) %}{% for i in range(99) %}{% set ns.t = [ns.t, range(90000) | list] %}{% endfor %}",
    ],
)
def test_what_takes_too_much_memory_is_ended_and_the_next_is_rendered(process: RenderProcess, text: str) -> None:
    with pytest.raises(TemplateError, match="more than 268 MB of memory"):
        process.work_off(packed(task(text)))
    assert isinstance(process.work_off(packed(task("{{ record.fields.site }} ", ORDINARY))), Rendered)


def test_a_process_is_kept_and_one_that_was_killed_is_replaced(process: RenderProcess) -> None:
    one = packed(task("{{ record.fields.site }} ", ORDINARY))
    process.work_off(one)
    before = pid(process)
    process.work_off(one)
    assert pid(process) == before
    os.kill(before, signal.SIGKILL)
    assert isinstance(process.work_off(one), Rendered)
    assert pid(process) != before


def test_a_process_holds_no_memory_of_what_it_rendered(process: RenderProcess) -> None:
    assert isinstance(process.work_off(packed(task(["{{ record.fields.text }}"] * 6, EVIL, kind=Any))), Rendered)
    assert isinstance(process.work_off(packed(task("{{ record.fields.site }} ", ORDINARY))), Rendered)
    held = int(Path(f"/proc/{pid(process)}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    assert held < 200_000_000


def test_a_process_that_is_stopped_is_given_up(process: RenderProcess) -> None:
    one = packed(task("{{ record.fields.site }} ", ORDINARY))
    process.work_off(one)
    os.kill(pid(process), signal.SIGSTOP)
    with pytest.raises(NotNow, match="this machine has too much to do"):
        process.work_off(one, within=0.5)
    assert isinstance(process.work_off(one), Rendered)


def test_a_process_knows_no_secrets_and_does_not_look_into_the_working_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOFORMS_PASSWORD", "secret")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jinja2.py").write_text("raise SystemExit(1)")
    one = RenderProcess()
    try:
        assert isinstance(one.work_off(packed(task("{{ record.fields.site }} ", ORDINARY))), Rendered)
        environ = Path(f"/proc/{pid(one)}/environ").read_bytes()
        assert b"PATH=" in environ
        assert b"secret" not in environ
    finally:
        one.close()


def test_a_process_ends_with_the_one_that_started_it() -> None:
    code = (
        "import sys, time; from tests.templates.test_render_pool import *\n"
        "one = RenderProcess(); one.work_off(packed(task('x {{ record.key }}'))); print(pid(one), flush=True)\n"
        "time.sleep(60)"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    started = Path(f"/proc/{int(starter.stdout.readline())}/cmdline")
    assert b"render_process" in started.read_bytes()
    starter.kill()
    starter.wait()
    starter.stdout.close()
    for _ in range(200):
        if not started.exists() or b"render_process" not in started.read_bytes():
            return
        time.sleep(0.05)
    raise AssertionError("it goes on alone")


def test_a_command_renders_apart_and_leaves_no_process() -> None:
    assert isinstance(work_off_apart(task("{{ record.fields.site }} ", ORDINARY)), Rendered)


async def test_of_the_pool_the_loop_goes_on_meanwhile() -> None:
    pool = RenderPool(1)
    try:
        beats = 0
        running = asyncio.create_task(pool.work_off(task(CROSSED, EVIL), lambda done: done))
        while not running.done():
            await asyncio.sleep(0.01)
            beats += 1
        assert beats > 20
        with pytest.raises(TemplateError):
            await running
        assert isinstance(await pool.work_off(task("{{ record.key }} "), lambda done: done), Rendered)
    finally:
        pool.close()


async def test_who_finds_too_many_waiting_is_put_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render_pool, "WAITING", 3)
    pool, go_on = RenderPool(1), threading.Event()
    waiting = [asyncio.create_task(pool.in_thread(go_on.wait)) for _ in range(3)]
    await asyncio.sleep(0)
    try:
        with pytest.raises(NotNow, match="3 deliveries that take long to render wait"):
            await pool.in_thread(lambda: None)
    finally:
        go_on.set()
    assert await asyncio.gather(*waiting) == [True] * 3
    assert await pool.in_thread(lambda: 7) == 7
    pool.close()


async def test_a_pool_that_is_closed_ends_what_it_renders() -> None:
    pool = RenderPool(1)
    running = asyncio.create_task(pool.work_off(task(CROSSED, EVIL), lambda done: done))
    await asyncio.sleep(0.5)
    pool.close()
    with pytest.raises((NotNow, asyncio.CancelledError)):
        await asyncio.wait_for(running, 20)
