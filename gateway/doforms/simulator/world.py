"""What the simulated doForms knows: web services and their records."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.doforms.simulator.blobs import Blob
from gateway.doforms.simulator.conditions import Conditions
from gateway.doforms.simulator.fields import Fields, raw_fields

KINDS = ("submission", "dispatch")


@dataclass(frozen=True, slots=True)
class Webservice:
    """One form in one project, with the password of its API."""

    id: str
    password: str
    form: str = ""
    project: str = ""


@dataclass(slots=True)
class Stored:
    """A record as doForms keeps it."""

    webservice: str
    kind: str
    key: str
    id: str
    received: datetime
    make: Callable[[], list[dict[str, Any]]]
    """Makes its raw fields, each time the same: thousands of records need not lie in memory."""
    wrapped: bool = False
    """Whether the API gives it inside an object with its kind as the only property."""
    since: float = dataclass_field(default_factory=time.monotonic)
    """When it was first kept; monotonic time."""

    @property
    def document(self) -> dict[str, Any]:
        """The record as the API gives it."""
        document = {"key": self.key, "id": self.id, "fields": self.make()}
        return {self.kind: document} if self.wrapped else document


@dataclass(frozen=True, slots=True)
class Request:
    """A request that the REST API got."""

    method: str
    path: str
    """Percent-encoding undone, without the query."""
    status: int | None
    """None: it was left hanging."""
    at: float
    """Seconds since 1970."""
    webservice_id: str | None
    """None: nobody could be told from its Authorization."""


@dataclass(slots=True)
class World:
    """The web services and records."""

    conditions: Conditions = dataclass_field(default_factory=Conditions)
    webservices: dict[str, Webservice] = dataclass_field(default_factory=dict)
    records: dict[tuple[str, str], Stored] = dataclass_field(default_factory=dict)
    """By kind and key."""
    blobs: dict[str, Blob] = dataclass_field(default_factory=dict)
    """By key."""
    readable_at: dict[str, float] = dataclass_field(default_factory=dict)
    """Monotonic time from which a record can be read by its key, where that is not at once."""
    _keys: dict[tuple[str, str], str] = dataclass_field(default_factory=dict)
    """By kind and id; a hint: whoever uses it looks whether that record is still there."""

    def put(
        self,
        webservice: str,
        key: str,
        values: Fields,
        *,
        kind: str = "submission",
        id: str | None = None,
        received: datetime | None = None,
    ) -> dict[str, Any]:
        """Keep a record with these answers; returns the document as the API gives it.

        An edited record counts as received anew, and keeps its id.
        """
        fields = raw_fields(values)
        return self.keep(webservice, key, lambda: fields, kind=kind, id=id, received=received).document

    def keep(
        self,
        webservice: str,
        key: str,
        make: Callable[[], list[dict[str, Any]]],
        *,
        kind: str = "submission",
        id: str | None = None,
        received: datetime | None = None,
        wrapped: bool = False,
    ) -> Stored:
        """Keep a record whose raw fields are made whenever it is read; otherwise as `put`."""
        if webservice not in self.webservices:
            raise KeyError(f"there is no web service {webservice!r}: add it first")
        if kind not in KINDS:
            raise ValueError(f"a record is a submission or a dispatch, not {kind!r}")
        before = self.records.get((kind, key))
        id = id or (before.id if before else f"id-{key}")
        received = received or datetime.now(UTC) + timedelta(seconds=self.conditions.received_off)
        stored = Stored(webservice, kind, key, id, received, make, wrapped)
        if before:
            stored.since = before.since
        self.records[kind, key] = stored
        self._keys[kind, id] = key
        return stored

    def remove(self, key: str) -> None:
        """Forget the submission with this key, or else the dispatch."""
        for kind in KINDS:
            if stored := self.records.pop((kind, key), None):
                self._keys.pop((kind, stored.id), None)
                return

    def find(self, key_or_id: str, kind: str) -> Stored | None:
        """Find a record that can be read by this key or id."""
        by_key = self.records.get((kind, key_or_id))
        if by_key is not None:
            return by_key if self._readable_at(by_key) <= time.monotonic() else None
        by_id = self.records.get((kind, self._keys.get((kind, key_or_id), "")))
        return by_id if by_id is not None and by_id.id == key_or_id else None

    def _readable_at(self, stored: Stored) -> float:
        usual = self.conditions.unreadable
        return max(self.readable_at.get(stored.key, 0.0), math.inf if usual is None else stored.since + usual)


def new_key() -> str:
    """Make a key that was never there."""
    return uuid.uuid4().hex[:20]
