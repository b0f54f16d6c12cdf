"""What the simulated doForms knows: web services and their records."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import UTC, datetime
from typing import Any

from gateway.doforms.simulator.blobs import Blob
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
    document: dict[str, Any]
    received: datetime


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

    webservices: dict[str, Webservice] = dataclass_field(default_factory=dict)
    records: dict[tuple[str, str], Stored] = dataclass_field(default_factory=dict)
    """By kind and key."""
    blobs: dict[str, Blob] = dataclass_field(default_factory=dict)
    """By key."""
    readable_at: dict[str, float] = dataclass_field(default_factory=dict)
    """Monotonic time from which a record can be read by its key, where that is not at once."""

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
        if webservice not in self.webservices:
            raise KeyError(f"there is no web service {webservice!r}: add it first")
        if kind not in KINDS:
            raise ValueError(f"a record is a submission or a dispatch, not {kind!r}")
        before = self.records.get((kind, key))
        id = id or (before.document["id"] if before else f"id-{key}")
        document = {"key": key, "id": id, "fields": raw_fields(values)}
        self.records[kind, key] = Stored(webservice, kind, document, received or datetime.now(UTC))
        return document

    def remove(self, key: str) -> None:
        """Forget the submission with this key, or else the dispatch."""
        for kind in KINDS:
            if self.records.pop((kind, key), None):
                return

    def find(self, key_or_id: str, kind: str) -> Stored | None:
        """Find a record that can be read by this key or id."""
        by_key = self.records.get((kind, key_or_id))
        if by_key is not None:
            return by_key if self.readable_at.get(key_or_id, 0.0) <= time.monotonic() else None
        own = (stored for stored in self.records.values() if stored.kind == kind)
        return next((stored for stored in own if stored.document["id"] == key_or_id), None)


def new_key() -> str:
    """Make a key that was never there."""
    return uuid.uuid4().hex[:20]
