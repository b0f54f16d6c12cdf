"""A page that shows what the simulated doForms believes, for whoever watches a gateway at work."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from gateway.doforms.simulator.fields import to_json
from gateway.doforms.simulator.guard import guarded
from gateway.doforms.simulator.limits import account_of
from gateway.doforms.simulator.notifications import Seen
from gateway.doforms.simulator.simulator import Simulator
from gateway.doforms.simulator.world import KINDS, Request, Stored

BELIEFS = ("new", "received", "completed", "failed", "lost")
"""What the page counts notifications by: doForms' belief, or that the notification was lost on its way."""
SHOWN = 50
"""Rows of a list on one page."""
_SHOWS = ("notifications", "records", "calls")
_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the address of the page asks to see."""

    show: str
    webservice: str
    belief: str
    find: str
    page: int

    @classmethod
    def of(cls, request: HttpRequest) -> _Wish:
        """Read it; what makes no sense is as if it were not there."""
        given = request.query_params
        page = given.get("page", "1")
        return cls(
            show=given.get("show") if given.get("show") in _SHOWS else _SHOWS[0],  # type: ignore[arg-type]
            webservice=given.get("webservice", ""),
            belief=given.get("belief", ""),
            find=given.get("find", "").strip(),
            page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 10 else 1,
        )

    def link(self, **changes: Any) -> str:
        """Return the address of this page with something changed; without ``page`` it begins at the newest."""
        names = {"show": self.show, "webservice": self.webservice, "belief": self.belief, "find": self.find} | changes
        return f"?{urlencode({name: value for name, value in names.items() if value})}"


class _Page:
    def __init__(self, simulator: Simulator, about: str) -> None:
        self._simulator = simulator
        self._about = about
        self._began = time.monotonic()
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["span"] = span

    async def overview(self, request: HttpRequest) -> Response:
        """Everything, the lists bounded."""
        wish = _Wish.of(request)
        rows, more = self._rows(wish)
        return self._html(
            "overview.html",
            wish=wish,
            doforms=self._simulator,
            about=self._about,
            up=time.monotonic() - self._began,
            beliefs=BELIEFS,
            counts=Counter(state_of(seen) for seen in self._simulator.notifications.values()),
            webservices=self._webservices(),
            accounts=self._accounts(),
            statuses=sorted(Counter(str(one.status or "none") for one in self._last_minute()).items()),
            unusual=self._simulator.conditions.unusual(),
            rows=rows,
            more=more,
            now=time.time(),
            monotonic=time.monotonic(),
        )

    async def record(self, request: HttpRequest) -> Response:
        """One record as the API gives it, and the notifications that name it."""
        kind, key = request.path_params["kind"], request.path_params["key"]
        stored = self._simulator.world.records.get((kind, key)) if kind in KINDS else None
        named = [seen for seen in reversed(self._simulator.notifications.values()) if _names(seen, key)]
        if stored is None and not named:
            return self._html("nothing.html", 404, kind=kind, key=key)
        text = "" if stored is None else to_json(stored.document, indent=2).decode()
        return self._html(
            "record.html", kind=kind, key=key, stored=stored, text=text, seens=named[:SHOWN], monotonic=time.monotonic()
        )

    def _html(self, name: str, status: int = 200, **values: Any) -> Response:
        return HTMLResponse(self._templates.get_template(name).render(**values, state_of=state_of), status)

    def _rows(self, wish: _Wish) -> tuple[list[Any], bool]:
        """Return one page of the list that is asked for, newest first, and whether there is more."""
        found = {"notifications": self._found, "records": self._records, "calls": self._calls}[wish.show](wish)
        begin = (wish.page - 1) * SHOWN
        rows = list(itertools.islice(found, begin, begin + SHOWN + 1))
        return rows[:SHOWN], len(rows) > SHOWN

    def _found(self, wish: _Wish) -> Iterator[Seen]:
        needle = wish.find.encode()
        for seen in reversed(self._simulator.notifications.values()):
            fits = wish.webservice in ("", seen.webservice) and wish.belief in ("", state_of(seen))
            if fits and needle in seen.body:
                yield seen

    def _records(self, wish: _Wish) -> Iterator[Stored]:
        for stored in reversed(self._simulator.world.records.values()):
            if wish.webservice in ("", stored.webservice) and (wish.find in stored.key or wish.find in stored.id):
                yield stored

    def _calls(self, wish: _Wish) -> Iterator[Request]:
        for one in reversed(self._simulator.requests):
            if wish.webservice in ("", one.webservice_id) and wish.find in one.path:
                yield one

    def _last_minute(self) -> Iterator[Request]:
        since = time.time() - _MINUTE
        return itertools.takewhile(lambda one: one.at >= since, reversed(self._simulator.requests))

    def _webservices(self) -> list[dict[str, Any]]:
        records = Counter(stored.webservice for stored in self._simulator.world.records.values())
        states: dict[str, Counter[str]] = {}
        for seen in self._simulator.notifications.values():
            states.setdefault(seen.webservice, Counter())[state_of(seen)] += 1
        calls = Counter(one.webservice_id for one in self._last_minute())
        known = self._simulator.world.webservices
        return [
            {
                "id": id,
                "form": known[id].form if id in known else "",
                "project": known[id].project if id in known else "",
                "known": id in known,
                "records": records[id],
                "calls": calls[id],
                "states": states.get(id, Counter()),
            }
            for id in dict.fromkeys([*known, *states])
        ]

    def _accounts(self) -> list[Mapping[str, Any]]:
        gate, limit = self._simulator.gate, self._simulator.conditions.limit
        names: Iterable[str] = dict.fromkeys(account_of(id) for id in self._simulator.world.webservices)
        return [
            {"name": name, "calls": gate.counted(name), "under_way": gate.under_way[name], "limit": limit}
            for name in names
        ]


def state_of(seen: Seen) -> str:
    """Return doForms' belief, or that the notification was lost on its way and nothing came of it."""
    return "lost" if seen.lost and seen.belief == "new" else seen.belief


def span(seconds: float) -> str:
    """Write how long something takes, or how long ago it was."""
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def _names(seen: Seen, key: str) -> bool:
    return key.encode() in seen.body and key in (seen.document.get("submissionKey"), seen.document.get("dispatchKey"))


def page_routes(simulator: Simulator, *, about: str = "") -> list[Route]:
    """Return the routes of the page, for `Simulator.serving`; ``about`` says what is being played.

    It is shown to no page of another site.
    """
    page = _Page(simulator, about)
    return guarded([Route("/", page.overview), Route("/records/{kind}/{key:path}", page.record)])
