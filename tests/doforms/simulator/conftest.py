"""The simulated doForms, and a target whose answers are scripted, over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.doforms.simulator import Simulator, control_routes, page_routes
from gateway.doforms.simulator.server import serve

FORM = "acme$$1234$$Published$$5678"
OTHER = "acme$$1234$$Published$$9"
TOKEN = {"Authorization": f"Bearer {FORM}:se:cr=et"}
OTHER_TOKEN = {"Authorization": f"Bearer {OTHER}:other"}
COMPLETED = (200, b'{"status": "completed"}')
SILENCE = None


@dataclass
class Target:
    """A gateway that answers as it is told; the last answer stays."""

    script: list[tuple[int, bytes] | None] = field(default_factory=lambda: [(200, b"")])
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    @property
    def keys(self) -> list[str]:
        return [json.loads(body)["key"] for _, _, body in self.got]

    def application(self) -> Starlette:
        return Starlette(routes=[Route("/hook{rest:path}", self._hook, methods=["POST"])])

    async def _hook(self, request: Request) -> Response:
        self.got.append((request.url.path, dict(request.headers), await request.body()))
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if answer is None:
            await self.over.wait()
            return Response(b"", 200)
        return Response(answer[1], answer[0])


@asynccontextmanager
async def simulated(target: Target) -> AsyncIterator[Simulator]:
    """Serve a doForms that gives up and repeats fast, and the target that it sends to."""
    made = Simulator(headers={"X-Webhook-Key": "key"}, answer_limit=0.3, repeat_after=(0.05, 0.05))
    async with (
        serve(target.application(), host="127.0.0.1", port=0, closing=target.over.set) as address,
        made.serving(*control_routes(made), *page_routes(made)),
    ):
        target.url = f"{address}/hook"
        yield made


# One server for each module: to end one takes longer than most tests.
@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def served() -> AsyncIterator[tuple[Simulator, Target]]:
    target = Target()
    async with simulated(target) as made:
        yield made, target


@pytest.fixture
def doforms(served: tuple[Simulator, Target]) -> Simulator:
    made, target = served
    furnish(made)
    made.target = target.url
    return made


@pytest.fixture
def target(served: tuple[Simulator, Target]) -> Target:
    served[1].script = [(200, b"")]
    served[1].got.clear()
    return served[1]


@pytest_asyncio.fixture(loop_scope="module")
async def http(doforms: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=doforms.api, headers=TOKEN, timeout=5.0) as client:
        yield client


def furnish(doforms: Simulator) -> None:
    """Put a doForms back to how each test finds it."""
    for book in (doforms.requests, doforms.notifications, doforms.world.records, doforms.world.readable_at):
        book.clear()
    doforms.faults.clear()
    doforms.conditions.reset()
    doforms.gate.reset()
    doforms.world.webservices.clear()
    doforms.add_webservice(FORM, "se:cr=et", "Site inspection", "Safety")
    doforms.add_webservice(OTHER, "other")
