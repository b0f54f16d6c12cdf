"""The REST API of the simulated doForms."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from gateway.doforms.simulator.faults import Faults
from gateway.doforms.simulator.sending import Seen
from gateway.doforms.simulator.world import Request, Webservice, World

PREFIX = "/api/v2"
Handler = Callable[[HttpRequest, Webservice], Awaitable[Response]]


class Api:
    """Answers ``/api/v2``."""

    def __init__(self, world: World, notifications: MutableMapping[str, Seen], faults: Faults) -> None:
        self._world = world
        self._notifications = notifications
        self._faults = faults
        self.requests: list[Request] = []
        self.changed = asyncio.Event()

    def application(self, *more: Route) -> Starlette:
        """Return the web application."""
        return Starlette(
            routes=[
                Route(f"{PREFIX}/submissions", self._guarded(self._list)),
                Route(f"{PREFIX}/submissions/{{key:path}}", self._guarded(self._submission)),
                Route(f"{PREFIX}/dispatches/{{key:path}}", self._guarded(self._dispatch)),
                Route(f"{PREFIX}/notifications/{{key:path}}", self._guarded(self._report), methods=["PUT"]),
                *more,
            ]
        )

    def _guarded(self, handler: Handler) -> Callable[[HttpRequest], Awaitable[Response]]:
        async def handle(request: HttpRequest) -> Response:
            webservice = self._who(request)
            answer = await self._answer(request, webservice, handler)
            name = None if webservice is None else webservice.id
            path = unquote(request.url.path)
            self.requests.append(Request(request.method, path, answer.status_code, time.time(), name))
            self.changed.set()
            return answer

        return handle

    async def _answer(self, request: HttpRequest, webservice: Webservice | None, handler: Handler) -> Response:
        fault = self._faults.take(request.method, request.url.path)
        if fault is not None:
            await asyncio.sleep(fault.delay)
            if fault.status is not None:
                return Response(fault.body, fault.status, dict(fault.headers))
        if webservice is None:
            return _error(401, "unknown web service or wrong password")
        return await handler(request, webservice)

    def _who(self, request: HttpRequest) -> Webservice | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        ident, _, password = token.rpartition(":")
        known = self._world.webservices.get(ident)
        return known if scheme == "Bearer" and known is not None and known.password == password else None

    async def _list(self, request: HttpRequest, webservice: Webservice) -> Response:
        limit, skip = int(request.query_params.get("limit", 1000)), int(request.query_params.get("skip", 0))
        own = [
            {"key": one.document["key"], "id": one.document["id"]}
            for one in self._world.records.values()
            if one.webservice == webservice.id and one.kind == "submission"
        ]
        return _json(own[skip : skip + min(limit, 1000)])

    async def _submission(self, request: HttpRequest, webservice: Webservice) -> Response:
        return self._record(request, webservice, "submission")

    async def _dispatch(self, request: HttpRequest, webservice: Webservice) -> Response:
        return self._record(request, webservice, "dispatch")

    def _record(self, request: HttpRequest, webservice: Webservice, kind: str) -> Response:
        found = self._world.find(request.path_params["key"], kind)
        if found is None or found.readable_at > time.monotonic():
            return _error(404, f"there is no such {kind}")
        if found.webservice != webservice.id:
            return _error(403, f"the {kind} belongs to another web service")
        return _json(found.document)

    async def _report(self, request: HttpRequest, webservice: Webservice) -> Response:
        seen = self._notifications.get(request.path_params["key"])
        if seen is None:
            return _error(404, "there is no such notification")
        if seen.webservice != webservice.id:
            return _error(403, "the notification belongs to another web service")
        try:
            status = (await request.json())["status"]
        except (ValueError, KeyError, TypeError):
            return _error(400, "the body must be a JSON object with a status")
        if status not in ("completed", "failed"):
            return _error(400, f"{status!r} is no final status")
        seen.hear_put(status)
        return _json({**json.loads(seen.body), "status": status})


def _json(data: Any) -> Response:
    return Response(json.dumps(data, default=_number), 200, media_type="application/json")


def _number(value: Any) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _error(status: int, text: str) -> Response:
    return Response(json.dumps({"error": text}), status, media_type="application/json")
