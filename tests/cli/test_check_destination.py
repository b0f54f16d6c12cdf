"""What ``gateway check --connect`` and ``explain`` make of plugins that raise, hang or answer with something else."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.api import Delivery, Finding, Misconfigured
from gateway.cli.check_destination import look_at
from gateway.config.loaded import DestinationEntry, Routes
from gateway.explain import explain
from gateway.testing import make_context, make_notification, make_record
from tests.support.sink import Sink, load_routes

ROUTES = """
[webservices.one]
id = "acme$$1$$Published$$2"
password = "env:PASSWORD"
form = "Form"
[destinations.office]
plugin = "sink"
[[routes]]
name = "route"
form = "Form"
[[routes.deliver]]
to = "office"
text = "{{ record.fields.site }}"
"""
LOOK = "the plugin sink failed to look at it: "


class Scripted(Sink):
    """Does at each step what it is told: raises, sleeps, or returns it."""

    def __init__(self, **script: Any) -> None:
        super().__init__(Sink.Settings(), make_context("office"))
        self.script = script

    async def _step(self, name: str) -> Any:
        step = self.script.get(name, ())
        if isinstance(step, BaseException):
            raise step
        if isinstance(step, float):
            await asyncio.sleep(step)
        return step

    async def open(self) -> None:
        await self._step("open")

    async def check(self, uses: Any) -> Any:
        return await self._step("check")

    async def close(self) -> None:
        await self._step("close")

    def preview(self, delivery: Delivery[Any]) -> str:
        return self.script["preview"]  # type: ignore[no-any-return]


@pytest.fixture
def loaded(tmp_path: Path) -> Routes:
    return load_routes(tmp_path, ROUTES)


def scripted(loaded: Routes, **script: Any) -> DestinationEntry:
    return replace(loaded.destinations["office"], instance=Scripted(**script))


async def look(loaded: Routes, **script: Any) -> list[Finding]:
    return list(await look_at(loaded, scripted(loaded, **script)))


async def test_what_it_finds_is_told(loaded: Routes) -> None:
    found = Finding(where="host", found="there is none", remedy="Name it")
    assert await look(loaded, check=(found,)) == [found]


async def test_what_it_raises_for_people_is_told_as_it_is(loaded: Routes) -> None:
    [finding] = await look(loaded, open=Misconfigured("login refused"))
    assert (finding.found, finding.error) == ("login refused", True)


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ({"open": KeyError("colour")}, "KeyError: 'colour'"),
        ({"check": SystemExit(1)}, "SystemExit: 1"),
        ({"check": asyncio.CancelledError()}, "CancelledError"),
        ({"check": TimeoutError("by itself")}, "TimeoutError: by itself"),
        ({"check": None}, "TypeError: check() returned None instead of a list of gateway.api.Finding"),
        ({"check": ["no"]}, "TypeError: check() found str 'no' instead of a gateway.api.Finding"),
    ],
)
async def test_a_bug_of_the_plugin_is_told_with_its_name(loaded: Routes, script: dict[str, Any], found: str) -> None:
    [finding] = await look(loaded, **script)
    assert finding.found == LOOK + found
    assert "tell the author of the plugin" in finding.remedy


async def test_one_that_hangs_is_told(loaded: Routes) -> None:
    hanging = scripted(loaded, open=60.0, close=60.0)
    [opening, closing] = await look_at(loaded, hanging, within=0.02, closed_within=0.02)
    assert opening.found == "no answer within 0.02 s"
    assert closing.found == "the plugin sink failed to close: TimeoutError: no end within 0.02 s"


async def test_one_that_fails_to_close_is_warned_of(loaded: Routes) -> None:
    [finding] = await look(loaded, close=KeyError("colour"))
    assert (finding.found, finding.error) == ("the plugin sink failed to close: KeyError: 'colour'", False)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ({}, "KeyError: 'preview'"),
        ({"preview": None}, "TypeError: preview() returned None instead of a text"),
        ({"preview": "site"}, "site"),
    ],
)
def test_a_preview_that_fails_spoils_no_explanation(loaded: Routes, script: dict[str, Any], told: str) -> None:
    office = scripted(loaded, **script)
    routes = replace(loaded, destinations={"office": office})
    [delivery] = explain(routes, make_notification(), make_record(site="Dock")).deliveries
    assert delivery.result == "sent"
    assert str(delivery.preview).endswith(told)
