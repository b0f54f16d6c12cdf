"""Records and templates that cost much: their delivery ends, with the reason, and everything else goes on meanwhile."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.end_to_end.conftest import FORM, KEY, OTHER, Make, World
from tests.support.gateway_process import GatewayProcess

GOOD = 'to = "table"\ntable = "plain"\ndelivery_key = "delivery_key"\ncolumns = { record = "{{ record.key }}" }'
ANSWERED_WITHIN = 3.0
"""Seconds that doForms waits for an answer."""
MOST_MEMORY = 700e6
"""Bytes that the gateway may hold; it holds some 100 MB at rest."""


@dataclass
class Beside:
    """Correct notifications, one after the other, each on a connection of its own."""

    url: str
    took: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def keep_sending(self) -> None:
        number = 0
        while not self._over.wait(0.2):
            number += 1
            body = {"key": f"good-{number}", "webserviceId": OTHER, "submissionKey": f"r{number}", "event": "create"}
            begun = time.monotonic()
            try:
                headers = {**KEY, "Content-Type": "application/json"}
                with urlopen(Request(self.url, json.dumps(body).encode(), headers), timeout=60) as answer:
                    answer.read()
            except OSError as error:
                self.failed.append(str(error))
            self.took.append(time.monotonic() - begun)

    @contextmanager
    def sending(self) -> Iterator[None]:
        thread = threading.Thread(target=self.keep_sending)
        thread.start()
        try:
            yield
            while len(self.took) < 3:
                time.sleep(0.05)
        finally:
            self._over.set()
            thread.join()


def most_memory(gateway: GatewayProcess) -> int:
    """Return the bytes that the process held at most."""
    assert gateway.process is not None
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def ended(world: World, count: int) -> dict[str, tuple[str, str]]:
    sql = (
        "SELECT d.name, d.state, COALESCE(d.reason, '') FROM deliveries d JOIN notifications n "
        f"ON n.id = d.notification_id WHERE n.webservice_id = '{FORM}' AND d.state != 'pending'"
    )
    found = {name: (state, reason) for name, state, reason in world.stored(sql)}
    return found if len(found) >= count else {}


async def until_ended(world: World, count: int) -> dict[str, tuple[str, str]]:
    for _ in range(1200):
        if found := ended(world, count):
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"not ended: {world.stored('SELECT name, state, reason FROM deliveries')}"[:2000])


def all_is_well(world: World, gateway: GatewayProcess, beside: Beside) -> None:
    assert not beside.failed
    assert max(beside.took) < ANSWERED_WITHIN, f"{sorted(beside.took)[-5:]}"
    assert most_memory(gateway) < MOST_MEMORY
    assert not [line for line in gateway.lines() if "stands still" in str(line.get("event"))]


def text_of(name: str, template: str) -> str:
    return f"""to = "folder"\nname = "{name}"\nfilename = "{name}.txt"\nformat = "text"\ntext = '''{template} '''"""


async def test_templates_that_cost_much_end_and_good_ones_go_on(world: World, route: Make) -> None:
    costly = {
        "crossed": "{{ record.fields.a | reject('in', record.fields.b) | list | length }}",
        "wide": "{{ '%(k)500000000d' | format(k=1) }}",
        "heap": "{% set ns = namespace(t=[]) %}{% for i in range(999) %}"
        "{% set ns.t = [ns.t, 'x' * 9999999 ~ i] %}{% endfor %}",
        "wrapped": "{{ record.fields.text | wordwrap(72) }}",
        "printed": "{{ record.fields.a | pprint }}",
        "linked": "{{ record.fields.text | urlize }}",
        "cheap": "{{ record.fields.site }}",
    }
    fields = {
        "site": "Dock",
        "a": [f"item {number}" for number in range(12_000)],
        "b": [f"other {number}" for number in range(12_000)],
        "text": "some words " * 50_000,
    }
    routes = route(*(text_of(*one) for one in costly.items())) + route(GOOD, form="Other", name="other")
    with world.running(routes) as gateway:
        beside = Beside(gateway.url)
        with beside.sending():
            await world.doforms.create(FORM, fields)
            found = await until_ended(world, len(costly))
        assert {name for name, (state, _) in found.items() if state == "delivered"} == {
            "wrapped",
            "printed",
            "linked",
            "cheap",
        }
        assert {
            name: state for name, (state, _) in found.items() if name in ("crossed", "wide", "heap")
        } == dict.fromkeys(("crossed", "wide", "heap"), "dead")
        assert "more than 5 s of computing" in found["crossed"][1]
        assert "a width in it is too large" in found["wide"][1]
        assert "MB of memory" in found["heap"][1]
        assert (world.folder / "files" / "cheap.txt").read_text().strip() == "Dock"
        for _ in range(100):
            if len(world.rows("SELECT record FROM plain")) == len(beside.took):
                break
            await asyncio.sleep(0.1)
        assert len(world.rows("SELECT record FROM plain")) == len(beside.took)
        all_is_well(world, gateway, beside)


async def test_conditions_rows_and_options_that_cost_much_end_too(world: World, route: Make) -> None:
    crossed = "record.fields.a | reject('in', record.fields.b) | list | length"
    routes = route(
        f"""{text_of("condition", "x")}\nwhen = "{crossed}\"""",
        f"""to = "folder"\nname = "rows"\nfilename = "r.csv"\nformat = "csv"\nrows = "[{crossed}]"\n"""
        """columns = { a = "{{ row }}" }""",
        f"""to = "service"\nname = "path"\npath = "x/{{{{ {crossed} }}}}\"""",
    ) + route(GOOD, form="Other", name="other")
    fields = {name: [f"{name} {number}" for number in range(12_000)] for name in "ab"}
    with world.running(routes) as gateway:
        beside = Beside(gateway.url)
        with beside.sending():
            await world.doforms.create(FORM, fields)
            found = await until_ended(world, 3)
        for state, reason in found.values():
            assert state == "dead"
            assert "more than 5 s of computing" in reason
        all_is_well(world, gateway, beside)


def question(number: int, value: Any = "x") -> dict[str, Any]:
    return {"name": f"q{number}", "data": "text", "type": "text", "text": value}


LARGE = {
    "a long section": (
        lambda: [{"name": "s" * 1_000_000, "fields": [question(n) for n in range(3000)]}],
        "1000 characters",
    ),
    "many rows": (
        lambda: [{"name": "t", "data": "rows", "rows": [{f"c{n}": "v" for n in range(20)}] * 220_000}],
        "more than 1500000 values",
    ),
    "many questions": (lambda: [question(number) for number in range(110_000)], "more than 100000 questions"),
    "a long text": (lambda: [question(1, "word " * 8_000_000)], None),
    "many cells": (lambda: [{"name": "t", "fields": [[question(n) for n in range(10)]] * 9_000}], None),
}


@pytest.mark.parametrize("name", LARGE)
async def test_large_records_are_taken_apart_within_bounds_and_good_ones_go_on(
    world: World, route: Make, name: str
) -> None:
    fields, told = LARGE[name]
    body = json.dumps({"key": "large", "id": "17", "fields": fields()}).encode()
    routes = route(text_of("large", "{{ record.paths | length }}")) + route(GOOD, form="Other", name="other")
    with world.running(routes) as gateway:
        world.doforms.faults.add(call="record", path_contains="large", status=200, body=body, times=None)
        beside = Beside(gateway.url)
        with beside.sending():
            await world.doforms.create(FORM, {}, key="large")
            found = await until_ended(world, 1)
        state, reason = found["large"]
        assert state == ("delivered" if told is None else "dead")
        assert (told or "") in reason
        all_is_well(world, gateway, beside)
