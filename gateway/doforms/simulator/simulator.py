"""The simulated doForms as a whole: for tests, for the demo, and behind ``gateway simulate``."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any, Self

import uvicorn
from starlette.routing import Route

from gateway.doforms.simulator.api import PREFIX, Api
from gateway.doforms.simulator.faults import Faults
from gateway.doforms.simulator.sending import Answer, Seen, Sender
from gateway.doforms.simulator.world import Request, Webservice, World, new_key

_PATHS = {"create": "/added", "update": "/edited", "delete": "/deleted", "status": "/status"}


class Simulator:
    """doForms with its records, its notifications and its REST API.

    ``target`` is where notifications go, ``headers`` the secret headers that go with them; ``paths`` adds ``/added``
    and so on to the target. ``answer_limit`` is in seconds, ``repeat_after`` the waits before each repeat.
    """

    def __init__(
        self,
        *,
        target: str | None = None,
        headers: Mapping[str, str] | None = None,
        paths: bool = False,
        answer_limit: float = 3.0,
        repeat_after: Sequence[float] = (1.0, 2.0, 5.0, 10.0),
    ) -> None:
        self.target = target
        self.headers = dict(headers or {})
        self.world = World()
        self.faults = Faults()
        self.notifications: dict[str, Seen] = {}
        self.api = ""
        self._paths = paths
        self._limit, self._repeat_after = answer_limit, repeat_after
        self._api = Api(self.world, self.notifications, self.faults)

    @property
    def requests(self) -> list[Request]:
        """What the REST API was asked."""
        return self._api.requests

    @asynccontextmanager
    async def serving(self, *more: Route, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Self]:
        """Serve the REST API on a real socket, with ``more`` routes beside it."""
        self._sender = Sender(answer_limit=self._limit, repeat_after=self._repeat_after)
        config = uvicorn.Config(self._api.application(*more), log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        server.capture_signals = _no_signals  # type: ignore[method-assign]
        with socket.create_server((host, port)) as listening:
            self.api = f"http://{host}:{listening.getsockname()[1]}{PREFIX}"
            running = asyncio.create_task(server.serve(sockets=[listening]))
            try:
                while not server.started:
                    await asyncio.sleep(0.005)
                yield self
            finally:
                await self._sender.close()
                server.should_exit = True
                server.force_exit = True
                await running

    def add_webservice(self, id: str, password: str, form: str = "") -> Webservice:
        """Add a web service."""
        self.world.webservices[id] = Webservice(id, password, form)
        return self.world.webservices[id]

    async def create(self, webservice: str, values: Mapping[str, Any], *, key: str | None = None) -> Seen:
        """Add a submission and notify."""
        key = key or new_key()
        self.world.put(webservice, key, dict(values))
        return await self.notify(webservice, "create", submission=key)

    async def update(self, webservice: str, key: str, values: Mapping[str, Any]) -> Seen:
        """Edit a submission and notify."""
        self.world.put(webservice, key, dict(values))
        return await self.notify(webservice, "update", submission=key)

    async def delete(self, webservice: str, key: str) -> Seen:
        """Delete a submission and notify."""
        self.world.records.pop(key, None)
        return await self.notify(webservice, "delete", submission=key)

    async def status(self, webservice: str, key: str, values: Mapping[str, Any]) -> Seen:
        """Change a dispatch and notify of its status."""
        self.world.put(webservice, key, dict(values), kind="dispatch")
        return await self.notify(webservice, "status", dispatch=key)

    async def notify(
        self,
        webservice: str,
        event: str,
        *,
        submission: str | None = None,
        dispatch: str | None = None,
        key: str | None = None,
    ) -> Seen:
        """Send a notification; returns when the first answer came or the limit is over."""
        seen = self.compose(webservice, event, submission=submission, dispatch=dispatch, key=key)
        await self.send(seen)
        return seen

    def compose(
        self,
        webservice: str,
        event: str,
        *,
        submission: str | None = None,
        dispatch: str | None = None,
        key: str | None = None,
    ) -> Seen:
        """Make a notification without sending it."""
        key = key or new_key()
        moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body: dict[str, Any] = {"key": key, "customerKey": "customer", "webserviceId": webservice}
        if submission:
            body["submissionKey"] = submission
        if dispatch:
            body["dispatchKey"] = dispatch
        body |= {"event": event, "status": "new", "createTime": moment}
        seen = Seen(key, webservice, event, json.dumps(body).encode())
        return self.notifications.setdefault(key, seen)

    async def send(self, seen: Seen) -> Answer:
        """Send a composed notification, or an old one again."""
        answer = await self._sender.send(
            seen, self._url(_PATHS.get(seen.event, "") if self._paths else ""), self.headers
        )
        self._api.changed.set()
        return answer

    async def post(self, body: bytes, *, path: str = "", headers: Mapping[str, str] | None = None) -> Answer:
        """Post raw bytes once; ``headers`` replace the secret ones."""
        return await self._sender.post(self._url(path), body, self.headers if headers is None else headers)

    def _url(self, path: str) -> str:
        if self.target is None:
            raise RuntimeError("the simulator has no target: set `target` to the gateway's webhook URL")
        return f"{self.target}{path}"

    async def until(self, true: Callable[[], Any], *, timeout: float = 10.0) -> None:
        """Wait until something holds; raises TimeoutError."""
        end = time.monotonic() + timeout
        while not true():
            if time.monotonic() > end:
                raise TimeoutError(f"it did not come true within {timeout:g} s")
            self._api.changed.clear()
            try:
                async with asyncio.timeout(0.05):
                    await self._api.changed.wait()
            except TimeoutError:
                continue


def _no_signals() -> AbstractContextManager[None]:
    """Leave signals to the process."""
    return nullcontext()
