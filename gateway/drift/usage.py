"""Which questions of a form the routes in force ask for, and where."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from gateway.config.loaded import DeliverySpec, Route, Routes, Webservice
from gateway.doforms.form_values import BLOB
from gateway.models import Event, RecordKind
from gateway.routing.match import route_matches
from gateway.templates.compiled import Node
from gateway.templates.field_usage import Asked

_NUMBERED = re.compile(r"\[\d+\]$")


class Paths:
    """The known paths of a form, found by how they end."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.known = dict.fromkeys(paths)
        self._by_end: dict[str, list[str]] = {}
        for path in self.known:
            if "[]" not in path:
                for end in {_end(path), _end(_NUMBERED.sub("", path))}:
                    self._by_end.setdefault(end, []).append(path)

    def ending_like(self, name: str) -> Sequence[str]:
        """Return the paths outside of tables whose last part is that of a name or path."""
        return self._by_end.get(_end(name), ())


def _end(path: str) -> str:
    return path.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A question that a template asks for, or a column of the rows of a table."""

    by: str
    """``fields``, ``tables`` or ``paths``."""
    name: str
    column: str | None = None

    def find(self, paths: Paths) -> list[str]:
        """Return those of the known paths that it may mean."""
        tables = [path for path in paths.ending_like(self.name) if self.names(path)]
        if self.column is None:
            return tables
        return [path for table in tables if (path := f"{table}[].{self.column}") in paths.known]

    def names(self, path: str) -> bool:
        """Tell whether a path is one of those that it may mean, whatever stands in the rows there."""
        plain = _NUMBERED.sub("", path)
        return path == self.name or (self.by != "paths" and (plain == self.name or plain.endswith(f".{self.name}")))


@dataclass(frozen=True, slots=True)
class Mapped:
    """A place of the routes file that asks for a question."""

    route: str
    delivery: str
    place: str
    wanted: Wanted

    def __str__(self) -> str:
        return f"route {self.route}, delivery {self.delivery}, {self.place}"


@dataclass(frozen=True, slots=True)
class Mappings:
    """What the routes ask of one form."""

    places: tuple[Mapped, ...] = ()
    choosing: tuple[tuple[str, str], ...] = ()
    """Route and delivery where questions are asked for one by one, so that a new one is left out."""
    whole_rows: frozenset[Wanted] = frozenset()
    """Tables whose rows are taken as they are."""
    attachments: bool = False
    """Whether a delivery takes the photos, signatures and files, wherever they stand."""

    def takes(self, paths: Paths) -> Callable[[str, str], bool]:
        """Return what tells of each path of a form, of which these are known, and of its kind, whether it is taken."""
        taken = {path for one in {place.wanted for place in self.places} for path in one.find(paths)}
        rows = tuple(f"{path}[]." for one in self.whole_rows for path in one.find(paths))

        def takes(path: str, kind: str) -> bool:
            return (
                not self.choosing
                or path in taken
                or (self.attachments and kind == BLOB)
                or (bool(rows) and path.startswith(rows))
            )

        return takes


@dataclass(frozen=True, slots=True)
class _Mention:
    """What one template asks for; ``rows`` is what the rows beside it come from."""

    place: str
    asked: Asked
    rows: frozenset[Asked] = frozenset()


def mappings(
    routes: Routes, webservice: Webservice, kind: RecordKind, *, event: Event | None = None, alone: bool = False
) -> Mappings:
    """Gather what the routes that take a web service's notifications ask of its records of one kind.

    ``record`` is the dispatch for a status event, else the submission, else the dispatch: the record of an ``event``,
    and dispatches that nothing but a create or update brought, where a web service has no other records (``alone``).
    """
    places: list[Mapped] = []
    choosing: list[tuple[str, str]] = []
    whole_rows: set[Wanted] = set()
    taking = list(_taking(routes, webservice))
    alone = alone and kind is RecordKind.DISPATCH and not any(Event.STATUS in route.events for route, _ in taking)
    for route, spec in taking:
        mentions, own = list(_of_delivery(route, spec)), _names_of(route, kind, alone=alone or event in route.events)
        named = [
            Mapped(route.name, spec.name, mention.place, wanted)
            for mention in mentions
            for wanted in _wanted(mention, own)
        ]
        places += named
        for mention in mentions:
            if mention.asked == Asked("row"):
                whole_rows |= {Wanted(one.by, one.name) for one in mention.rows if one.record in own and one.name}
            elif mention.place.rpartition(".")[2] != "rows" and mention.asked.record in own and mention.asked.name:
                whole_rows.add(Wanted(mention.asked.by, mention.asked.name))  # a table as a value
        everything = any(one.asked.record in own and one.asked.name is None for one in mentions)
        if named and not everything and "record" not in spec.traits.needs:
            choosing.append((route.name, spec.name))
    attachments = any(spec.attachments for _, spec in taking)
    return Mappings(tuple(places), tuple(choosing), frozenset(whole_rows), attachments)


def asked_in(route: Route, spec: DeliverySpec) -> frozenset[str]:
    """Return the names and paths of the questions that the templates of a delivery ask for."""
    return frozenset(one.asked.name for one in _of_delivery(route, spec) if one.asked.by and one.asked.name)


def _taking(routes: Routes, webservice: Webservice) -> Iterator[tuple[Route, DeliverySpec]]:
    for route in routes.routes:
        if any(route_matches(route, webservice, event)[0] for event in route.events):
            for spec in route.deliveries:
                yield route, spec


def _names_of(route: Route, kind: RecordKind, *, alone: bool) -> frozenset[str]:
    """Return the names under which a route's templates speak of the records of a kind."""
    usual = RecordKind.DISPATCH if route.events == {Event.STATUS} else RecordKind.SUBMISSION
    return frozenset({kind.value, "record"} if alone or kind is usual else {kind.value})


def _of_delivery(route: Route, spec: DeliverySpec) -> Iterator[_Mention]:
    yield from _in(route.when, "`when` of the route", frozenset())
    yield from _in(spec.when, "`when`", frozenset())
    yield from _in(spec.options, "", frozenset())


def _in(value: Any, place: str, rows: frozenset[Asked]) -> Iterator[_Mention]:
    """Walk through options and templates."""
    if isinstance(value, Node):
        for asked in value.asked:
            yield _Mention(place, asked, rows)
        inner: Iterator[tuple[str | int, Any]] = iter(value.parts())
    elif isinstance(value, BaseModel):
        source = getattr(value, "rows", None)
        rows = source.asked if isinstance(source, Node) else rows
        fields = type(value).model_fields.items()
        inner = ((info.alias or name, getattr(value, name)) for name, info in fields)
    elif isinstance(value, Mapping):
        inner = iter(value.items())
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        inner = iter(enumerate(value))
    else:
        return
    for key, item in inner:
        step = f"[{key}]" if isinstance(key, int) else f".{key}" if place else str(key)
        yield from _in(item, f"{place}{step}", rows)


def _wanted(mention: _Mention, own: frozenset[str]) -> Iterator[Wanted]:
    """Yield the questions that a mention names."""
    asked = mention.asked
    if asked.record in own and asked.name is not None:
        yield Wanted(asked.by, asked.name)
    elif asked.record == "row" and asked.name is not None:
        for rows in mention.rows:
            if rows.record in own and rows.name is not None:
                yield Wanted(rows.by, rows.name, asked.name)
