"""The control API: lets scripts drive a simulator that runs on its own."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.doforms.simulator.api import error
from gateway.doforms.simulator.fields import to_json
from gateway.doforms.simulator.guard import guarded
from gateway.doforms.simulator.notifications import Seen
from gateway.doforms.simulator.simulator import Simulator

_MISSING = object()


class _Wrong(Exception):
    """A request that cannot be done, and why."""


class _Body:
    """A JSON object whose properties are taken one by one; what is left over is a mistake."""

    def __init__(self, raw: bytes) -> None:
        try:
            data = json.loads(raw, parse_float=Decimal)
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            raise _Wrong("the body must be a JSON object")
        self._data = data
        self.taken: set[str] = set()
        """The names of those that were there."""

    def take(self, name: str, types: type | tuple[type, ...] = str, default: Any = _MISSING) -> Any:
        """Take a property out."""
        if name not in self._data:
            if default is _MISSING:
                raise _Wrong(f"`{name}` is missing")
            return default
        value = self._data.pop(name)
        if value is not default and not isinstance(value, types):
            raise _Wrong(f"`{name}` cannot be {json.dumps(value, default=str)}")
        self.taken.add(name)
        return value

    def rest(self) -> dict[str, Any]:
        """Take all that is left."""
        rest, self._data = self._data, {}
        return rest

    def end(self) -> None:
        """Refuse what nobody took: most likely it is misspelt."""
        if self._data:
            raise _Wrong(f"not known here: {', '.join(self._data)}")


class _Control:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def add_webservice(self, body: _Body) -> Any:
        id, password = body.take("id"), body.take("password")
        form, project = body.take("form", default=""), body.take("project", default="")
        body.end()
        self._simulator.add_webservice(id, password, form, project)
        return {"id": id, "form": form, "project": project}

    async def put_record(self, body: _Body) -> Any:
        webservice, key, fields = body.take("webservice"), body.take("key"), body.take("fields", (dict, list))
        id, kind = body.take("id", default=None), body.take("kind", default="submission")
        body.end()
        return self._simulator.put_record(webservice, key, fields, id=id, kind=kind)

    async def send_event(self, body: _Body) -> Any:
        webservice, event = body.take("webservice"), body.take("event")
        fields = body.take("fields", (dict, list), {})
        key = body.take("key", default=None) if event == "create" else body.take("key")
        body.end()
        doforms = self._simulator
        if event == "create":
            return _told(await doforms.create(webservice, fields, key=key))
        if event == "update":
            return _told(await doforms.update(webservice, key, fields))
        if event == "delete":
            return _told(await doforms.delete(webservice, key))
        if event == "status":
            return _told(await doforms.status(webservice, key, fields))
        return _told(await doforms.notify(webservice, event, submission_key=key))

    async def add_fault(self, body: _Body) -> Any:
        number = (int, Decimal)
        taken = {
            "name": body.take("name", default=""),
            "method": body.take("method", (str, type(None)), None),
            "call": body.take("call", (str, type(None)), None),
            "path_contains": body.take("path_contains", default=""),
            "status": body.take("status", (int, type(None)), 503),
            "body": body.take("body", default="").encode(),
            "headers": body.take("headers", dict, {}),
            "instead": body.take("instead", (str, type(None)), None),
            "delay": float(body.take("delay", number, 0)),
            "hang": body.take("hang", bool, False),
            "times": body.take("times", (int, type(None)), 1),
            "share": float(body.take("share", number, 1)),
        }
        given = {name: taken[name] for name in body.taken}  # what is left out is as the named fault has it
        body.end()
        return self._simulator.faults.add(**given).told

    async def change_conditions(self, body: _Body) -> Any:
        self._simulator.conditions.change(**body.rest())
        return self._simulator.conditions.told()

    async def conditions(self, request: Request) -> Response:
        return _json(self._simulator.conditions.told(), 200)

    async def reset_conditions(self, request: Request) -> Response:
        self._simulator.conditions.reset()
        self._simulator.gate.reset()
        return Response(status_code=204)

    async def faults(self, request: Request) -> Response:
        return _json([fault.told for fault in self._simulator.faults.ordered], 200)

    async def clear_faults(self, request: Request) -> Response:
        self._simulator.faults.clear()
        return Response(status_code=204)

    async def notifications(self, request: Request) -> Response:
        return _json([_told(seen) for seen in self._simulator.notifications.values()], 200)


def control_routes(simulator: Simulator) -> list[Route]:
    """Return the routes under ``/control``, for `Simulator.serving`.

    They ask for no password, and refuse pages of other sites.
    """
    control = _Control(simulator)
    routes = [
        Route("/control/webservices", _posted(control.add_webservice), methods=["POST"]),
        Route("/control/records", _posted(control.put_record), methods=["POST"]),
        Route("/control/events", _posted(control.send_event), methods=["POST"]),
        Route("/control/faults", _posted(control.add_fault), methods=["POST"]),
        Route("/control/faults", control.faults, methods=["GET"]),
        Route("/control/faults", control.clear_faults, methods=["DELETE"]),
        Route("/control/conditions", _posted(control.change_conditions), methods=["POST"]),
        Route("/control/conditions", control.conditions, methods=["GET"]),
        Route("/control/conditions", control.reset_conditions, methods=["DELETE"]),
        Route("/control/notifications", control.notifications),
    ]
    return guarded(routes)


def _posted(do: Callable[[_Body], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        try:
            return _json(await do(_Body(await request.body())), 201)
        except (_Wrong, KeyError, ValueError, TypeError, RuntimeError) as wrong:
            return error(400, str(wrong.args[0] if wrong.args else wrong))

    return handle


def _told(seen: Seen) -> dict[str, Any]:
    answers = [
        {
            "status": answer.status,
            "body": answer.body.decode(errors="replace"),
            "seconds": round(answer.seconds, 3),
            "error": answer.error,
        }
        for answer in seen.answers
    ]
    return {
        **{name: seen.document.get(name) for name in ("submissionKey", "dispatchKey") if name in seen.document},
        "key": seen.key,
        "webservice": seen.webservice,
        "event": seen.event,
        "status": seen.belief,
        "heard": seen.heard,
        "lost": seen.lost,
        "answers": answers,
        "puts": [{"status": report.status, "seconds": round(report.seconds, 3)} for report in seen.reports],
    }


def _json(data: Any, status: int) -> Response:
    return Response(to_json(data), status, media_type="application/json")
