"""The REST API of the simulated doForms."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from gateway.doforms.simulator.blobs import serve_blob
from gateway.doforms.simulator.cutting import Cut
from gateway.doforms.simulator.faults import Fault, Faults, Instead, call_of
from gateway.doforms.simulator.fields import to_json
from gateway.doforms.simulator.limits import Gate
from gateway.doforms.simulator.notifications import FINAL, Seen, Watch
from gateway.doforms.simulator.world import Request, Stored, Webservice, World

PREFIX = "/api/v2"
_MOST = 1000
"""Records in one listing."""
_REMEMBERED = 100_000
"""Requests; beyond that the older half is forgotten."""
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
Handler = Callable[[HttpRequest, Webservice], Awaitable[Response]]


class Api:
    """Answers ``/api/v2``."""

    def __init__(self, world: World, notifications: Mapping[str, Seen], faults: Faults, watch: Watch) -> None:
        self._world = world
        self._notifications = notifications
        self._faults = faults
        self._watch = watch
        self.gate = Gate(world.conditions)
        self.requests: list[Request] = []
        self.closing = asyncio.Event()
        """Set when the server ends, so that delayed and hanging requests end too."""

    def application(self, *more: Route) -> Starlette:
        """Return the web application."""
        return Starlette(
            routes=[
                Route(f"{PREFIX}/submissions", self._guarded(self._list)),
                Route(f"{PREFIX}/submissions/{{key:path}}", self._guarded(self._submission)),
                Route(f"{PREFIX}/dispatches/{{key:path}}", self._guarded(self._dispatch)),
                Route(f"{PREFIX}/notifications/{{key:path}}", self._guarded(self._report), methods=["PUT"]),
                Route(f"{PREFIX}/blobs/{{key:path}}", self._guarded(self._blob)),
                Route(f"{PREFIX}/{{rest:path}}", self._guarded(self._nothing), methods=_METHODS),
                *more,
            ]
        )

    def _guarded(self, handler: Handler) -> Callable[[HttpRequest], Awaitable[Response]]:
        async def handle(request: HttpRequest) -> Response:
            webservice = self._who(request)
            if webservice is None:  # no account whose limits could count
                return await self._faulty(request, webservice, handler)
            with self.gate.call(webservice.id, request.method) as refusal:
                if refusal is None:
                    await self._pause(self._world.conditions.latency)
                    return await self._faulty(request, webservice, handler)
            answer = error(refusal.status, refusal.text)
            answer.headers.update(refusal.headers)
            return self._logged(request, answer, webservice)

        return handle

    async def _faulty(self, request: HttpRequest, webservice: Webservice | None, handler: Handler) -> Response:
        path = request.scope["path"]
        fault = self._faults.take(request.method, path, call_of(path.removeprefix(PREFIX)))
        if fault is not None and (fault.hang or fault.instead is Instead.RESET):
            self._log(request, None, webservice)
            await self._pause(fault.delay)
            if fault.hang:
                await self._hang(request)
            return Cut(Response(), reset=True)  # of what was left hanging nobody reads it
        answer = await self._answer(request, webservice, fault, handler)
        return self._logged(request, answer, webservice)

    async def _answer(
        self, request: HttpRequest, webservice: Webservice | None, fault: Fault | None, handler: Handler
    ) -> Response:
        if fault is not None:
            await self._pause(fault.delay)
            request.state.instead = fault.instead
            if fault.instead is None and fault.status is not None:
                return Response(fault.body, fault.status, dict(fault.headers))
        if webservice is None:
            return error(401, "unknown web service or wrong password")
        answer = await handler(request, webservice)
        return Cut(answer, reset=False) if _instead(request) is Instead.HALF else answer

    def _logged(self, request: HttpRequest, answer: Response, webservice: Webservice | None) -> Response:
        self._log(request, answer.status_code, webservice)
        return answer

    def _log(self, request: HttpRequest, status: int | None, webservice: Webservice | None) -> None:
        name = None if webservice is None else webservice.id
        if len(self.requests) >= _REMEMBERED:
            del self.requests[: _REMEMBERED // 2]
        self.requests.append(Request(request.method, request.scope["path"], status, time.time(), name))
        self._watch.changed.set()

    async def _pause(self, seconds: float) -> None:
        if not seconds:
            return
        try:
            async with asyncio.timeout(seconds):
                await self.closing.wait()
        except TimeoutError:
            pass

    async def _hang(self, request: HttpRequest) -> None:
        while not self.closing.is_set() and not await request.is_disconnected():
            await self._pause(0.02)

    def _who(self, request: HttpRequest) -> Webservice | None:
        # The whole token is compared: a password may hold colons. Headers come as Latin-1, whatever was sent.
        token = request.headers.get("authorization", "").encode("latin-1")
        return next(
            (one for one in self._world.webservices.values() if token == f"Bearer {one.id}:{one.password}".encode()),
            None,
        )

    async def _list(self, request: HttpRequest, webservice: Webservice) -> Response:
        try:
            begin, end = _moment(request, "receiveTimeBegin"), _moment(request, "receiveTimeEnd")
            limit, skip = _count(request, "limit", _MOST), _count(request, "skip", 0)
        except ValueError as wrong:
            return error(400, str(wrong))
        own = [
            {"key": one.key, "id": one.id}
            for one in self._world.records.values()
            if one.webservice == webservice.id
            and one.kind == "submission"
            and (begin is None or begin <= one.received)
            and (end is None or one.received < end)
        ]
        if _instead(request) is Instead.SHORT:
            own = own[::2]
        return _json(own[skip : skip + min(limit, _MOST)])

    async def _submission(self, request: HttpRequest, webservice: Webservice) -> Response:
        return self._record(request, webservice, "submission")

    async def _dispatch(self, request: HttpRequest, webservice: Webservice) -> Response:
        return self._record(request, webservice, "dispatch")

    def _record(self, request: HttpRequest, webservice: Webservice, kind: str) -> Response:
        found = self._world.find(request.path_params["key"], kind)
        if found is None:
            return error(404, f"there is no such {kind}")
        if found.webservice != webservice.id:
            return error(403, f"the {kind} belongs to another web service")
        if _instead(request) is Instead.OTHER:
            found = self._another_than(found)
        return _json(found.document)

    async def _blob(self, request: HttpRequest, webservice: Webservice) -> Response:
        found = self._world.blobs.get(request.path_params["key"])
        if found is None:
            return error(404, "there is no such blob")
        if found.webservice != webservice.id:
            return error(403, "the blob belongs to another web service")
        return serve_blob(request, found)

    def _another_than(self, stored: Stored) -> Stored:
        """Return another record of the same web service, or one of nobody."""
        return next(
            (one for one in self._world.records.values() if _is_another(one, stored)),
            replace(stored, key="somebody-else", id="id-somebody-else"),
        )

    async def _report(self, request: HttpRequest, webservice: Webservice) -> Response:
        seen = self._notifications.get(request.path_params["key"])
        if seen is None:
            return error(404, "there is no such notification")
        if seen.webservice != webservice.id:
            return error(403, "the notification belongs to another web service")
        try:
            status = json.loads(await request.body())["status"]
        except (ValueError, KeyError, TypeError):
            return error(400, "the body must be a JSON object with a status")
        if status not in FINAL:
            return error(400, f"{status!r} is no final status")
        seen.hear_put(status)
        self._watch.tell("put", seen)
        return _json({**seen.document, "status": status})

    async def _nothing(self, request: HttpRequest, webservice: Webservice) -> Response:
        return error(404, f"there is no call {request.method} {request.scope['path']}")


def _is_another(one: Stored, than: Stored) -> bool:
    return (one.webservice, one.kind) == (than.webservice, than.kind) and one.key != than.key


def _instead(request: HttpRequest) -> Instead | None:
    return getattr(request.state, "instead", None)


def _moment(request: HttpRequest, name: str) -> datetime | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{name} has no offset: {text!r}")
    return moment


def _count(request: HttpRequest, name: str, default: int) -> int:
    number = int(request.query_params.get(name, default))
    if number < 0:
        raise ValueError(f"{name} is below 0")
    return number


def _json(data: Any) -> Response:
    return Response(to_json(data), 200, media_type="application/json")


def error(status: int, text: str) -> Response:
    """Return an answer that tells what is wrong."""
    return Response(to_json({"error": text}), status, media_type="application/json")
