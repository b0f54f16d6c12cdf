"""The simulated doForms as a whole: for tests, for the demo, and behind ``gateway simulate``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from starlette.routing import Route

from gateway.doforms.simulator.api import PREFIX, Api
from gateway.doforms.simulator.blobs import Blob
from gateway.doforms.simulator.conditions import Conditions
from gateway.doforms.simulator.faults import Faults
from gateway.doforms.simulator.fields import Fields, to_json
from gateway.doforms.simulator.limits import Gate
from gateway.doforms.simulator.notifications import Answer, Listener, Seen, Watch
from gateway.doforms.simulator.sending import Sender
from gateway.doforms.simulator.server import serve
from gateway.doforms.simulator.world import Request, Webservice, World, new_key

_PATHS = {"create": "/added", "update": "/edited", "delete": "/deleted", "status": "/status"}
_LOOK_AGAIN = 0.02
"""Seconds between two looks at a condition that nothing here announces."""


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
        self.conditions = Conditions()
        self.world = World(self.conditions)
        self.faults = Faults()
        self.notifications: dict[str, Seen] = {}
        self.api = ""
        self._paths = paths
        self._limit, self._repeat_after = answer_limit, repeat_after
        self._watch = Watch()
        self._api = Api(self.world, self.notifications, self.faults, self._watch)
        self._sender: Sender | None = None

    @property
    def requests(self) -> list[Request]:
        """What the REST API was asked."""
        return self._api.requests

    @property
    def gate(self) -> Gate:
        """The calls that the REST API lets through and refuses."""
        return self._api.gate

    def listen(self, listener: Listener) -> None:
        """Have a function called for each notification ``sent``, ``answered``, told of by ``put``, and ``lost``."""
        self._watch.listeners.append(listener)

    @asynccontextmanager
    async def serving(self, *more: Route, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Self]:
        """Serve the REST API on a real socket, with ``more`` routes beside it; raises OSError."""
        self._sender = Sender(
            answer_limit=self._limit, repeat_after=self._repeat_after, watch=self._watch, conditions=self.conditions
        )
        self._api.closing.clear()
        try:
            async with serve(
                self._api.application(*more), host=host, port=port, closing=self._api.closing.set
            ) as address:
                self.api = f"{address}{PREFIX}"
                yield self
        finally:
            await self._sender.close()
            self._sender = None

    def add_webservice(self, id: str, password: str, form: str = "", project: str = "") -> Webservice:
        """Add a web service."""
        self.world.webservices[id] = Webservice(id, password, form, project)
        return self.world.webservices[id]

    def put_record(
        self, webservice_id: str, key: str, fields: Fields, *, id: str | None = None, kind: str = "submission"
    ) -> dict[str, Any]:
        """Keep a record without notifying; raises KeyError for a web service that is not there."""
        return self.world.put(webservice_id, key, fields, id=id, kind=kind)

    def put_blob(
        self,
        webservice_id: str,
        key: str,
        content: bytes | tuple[int, int],
        *,
        type: str = "image/jpeg",
        file_name: str | None = None,
        cut_after: Sequence[int] = (),
    ) -> dict[str, str]:
        """Keep a photo or file; returns the answer that stands for it in a record.

        ``content`` is its bytes, or its size and the seed of made-up ones. ``cut_after``: so many bytes of the next
        answers are sent before their connection breaks.
        """
        if webservice_id not in self.world.webservices:
            raise KeyError(f"there is no web service {webservice_id!r}: add it first")
        blob = Blob(
            webservice=webservice_id,
            key=key,
            content=content,
            type=type,
            file_name=file_name or f"{key}.jpg",
            cuts=list(cut_after),
        )
        self.world.blobs[key] = blob
        return blob.answer

    def readable_after(self, key: str, seconds: float) -> None:
        """Answer 404 for the next ``seconds`` to whoever reads a record by this key; by id it can be read."""
        self.world.readable_at[key] = time.monotonic() + seconds

    async def create(self, webservice: str, fields: Fields = (), *, key: str | None = None) -> Seen:
        """Add a submission and notify."""
        key = key or new_key()
        self.world.put(webservice, key, fields)
        return await self.notify(webservice, "create", submission_key=key)

    async def update(self, webservice: str, key: str, fields: Fields = ()) -> Seen:
        """Edit a submission and notify."""
        self.world.put(webservice, key, fields)
        return await self.notify(webservice, "update", submission_key=key)

    async def delete(self, webservice: str, key: str) -> Seen:
        """Delete a record and notify."""
        self.world.remove(key)
        return await self.notify(webservice, "delete", submission_key=key)

    async def status(self, webservice: str, key: str, fields: Fields = ()) -> Seen:
        """Change a dispatch and notify of its status."""
        self.world.put(webservice, key, fields, kind="dispatch")
        return await self.notify(webservice, "status", dispatch_key=key)

    async def notify(
        self,
        webservice: str,
        event: str,
        *,
        submission_key: str | None = None,
        dispatch_key: str | None = None,
        key: str | None = None,
        body: bytes | Mapping[str, Any] | None = None,
    ) -> Seen:
        """Send a notification; returns when the first answer came or the limit is over.

        ``body`` is sent in place of the one that doForms would make.
        """
        seen = self.compose(webservice, event, submission_key=submission_key, dispatch_key=dispatch_key, key=key)
        if body is not None:
            seen.body = body if isinstance(body, bytes) else to_json(dict(body))
        await self.send(seen)
        return seen

    def compose(
        self,
        webservice: str,
        event: str,
        *,
        submission_key: str | None = None,
        dispatch_key: str | None = None,
        key: str | None = None,
    ) -> Seen:
        """Make a notification without sending it; a key that was used before gives the old one."""
        key = key or new_key()
        now = datetime.now(UTC) + timedelta(seconds=self.conditions.created_off)
        moment = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body: dict[str, Any] = {"key": key, "customerKey": "customer", "webserviceId": webservice}
        if submission_key:
            body["submissionKey"] = submission_key
        if dispatch_key:
            body["dispatchKey"] = dispatch_key
        body |= {"event": event, "status": "new", "createTime": moment}
        return self.notifications.setdefault(key, Seen(key, webservice, event, to_json(body)))

    async def send(self, seen: Seen) -> Answer:
        """Send a composed notification, or an old one again."""
        return await self._post().send(seen, self._url(_PATHS.get(seen.event, "") if self._paths else ""), self.headers)

    async def post(self, body: bytes, *, path: str = "", headers: Mapping[str, str] | None = None) -> Answer:
        """Post raw bytes once; ``headers`` replace the secret ones."""
        return await self._post().post(self._url(path), body, self.headers if headers is None else headers)

    def _post(self) -> Sender:
        if self._sender is None:
            raise RuntimeError("the simulator sends only inside `async with simulator.serving()`")
        return self._sender

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
            self._watch.changed.clear()
            try:
                async with asyncio.timeout(_LOOK_AGAIN):
                    await self._watch.changed.wait()
            except TimeoutError:
                continue
