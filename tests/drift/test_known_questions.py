"""Which questions a form is known to have, whichever of three places knows it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.destinations.destination import Traits
from gateway.drift.known_questions import KnownQuestions
from gateway.drift.tracker import Drift
from gateway.models import Event, Record
from gateway.store.work.questions import FormOf
from tests.support.keeping import WEBSERVICE
from tests.support.parts import ROUTES, Parts
from tests.support.records import answer, decode, section
from tests.support.sink import load_routes

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def drift(parts: Parts, tmp_path: Path) -> Drift:
    parts.active.load(
        load_routes(tmp_path, ROUTES.format(api=parts.doforms.api, webservice=WEBSERVICE, more="", text="x"))
    )
    return Drift(store=parts.store, active=parts.active)


async def known(parts: Parts, met: Any, record: Record | None, *, asks: bool = True, **more: Any) -> frozenset[str]:
    """Return what is known for a delivery of this record."""
    kept = await parts.keep(more.pop("key", "n1"), **more)
    spec: Any = SimpleNamespace(traits=Traits(questions=asks))
    return await KnownQuestions(store=parts.store, met=met).of(spec, kept, record)


def nothing(_: FormOf) -> list[str]:
    return []


FULL = decode(answer("site", "Dock"), section("a", answer("risk", "High")), {"name": "t", "fields": [[answer("x", 1)]]})


async def test_questions_of_the_record_itself_are_known_without_those_of_rows(parts: Parts) -> None:
    assert await known(parts, nothing, FULL) == {"site", "a.risk", "t"}


async def test_questions_that_this_process_met_are_known(parts: Parts, drift: Drift) -> None:
    webservice = parts.active.webservice(WEBSERVICE)
    assert webservice is not None
    drift.saw(webservice, FULL)
    assert await known(parts, drift.met, decode()) == {"site", "a.risk", "t"}


async def test_questions_that_another_process_wrote_are_known(parts: Parts, drift: Drift) -> None:
    webservice = parts.active.webservice(WEBSERVICE)
    assert webservice is not None
    drift.saw(webservice, FULL)
    await drift.write()
    assert await known(parts, nothing, decode(answer("new", 1))) == {"site", "a.risk", "t", "new"}


async def test_delivery_that_does_not_ask_is_told_nothing(parts: Parts) -> None:
    assert await known(parts, nothing, FULL, asks=False) == frozenset()


async def test_delete_clears_nothing(parts: Parts) -> None:
    assert await known(parts, nothing, replace(FULL), event=Event.DELETE) == frozenset()
