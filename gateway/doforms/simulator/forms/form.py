"""What a form of the library is: it makes records, each from a seed, a number and a version, always the same."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any


@dataclass(frozen=True, slots=True)
class Photo:
    """A file that belongs to a record; its content follows from size and seed."""

    key: str
    id: str
    file_name: str
    type: str
    size: int
    """Bytes."""
    seed: int

    @property
    def value(self) -> dict[str, Any]:
        """The value of the question that it answers."""
        return {"key": self.key, "id": self.id, "fileName": self.file_name, "type": self.type}


class Paper:
    """What a record is written with: chance, the raw fields of doForms, and the photos that were taken."""

    def __init__(self, chance: Random, record: str, version: int) -> None:
        self.chance = chance
        self.version = version
        """0 for the record as it was created, and one more for each edit."""
        self.photos: list[Photo] = []
        self._record = record

    def photo(self, name: str, *, type: str = "image/jpeg", size: int = 60_000) -> dict[str, Any]:
        """Answer a question with a photo, a signature or another file."""
        number = len(self.photos) + 1
        key = hashlib.sha256(f"{self._record}/{number}".encode()).hexdigest()[:24]
        ending = {"image/jpeg": "jpg", "image/png": "png", "application/pdf": "pdf"}[type]
        made = Photo(key, f"id-{key}", f"{name}-{number}.{ending}", type, size, self.chance.getrandbits(32))
        self.photos.append(made)
        return answer(name, "blob", made.value, "signature" if type == "image/png" else "image")

    def maybe(self, share: float, one: dict[str, Any]) -> list[dict[str, Any]]:
        """Return an answer in a share of records; in the others the question is missing altogether."""
        return [one] if self.chance.random() < share else []


@dataclass(frozen=True, slots=True)
class Sample:
    """One version of a record: its raw fields, and the photos that they name."""

    fields: list[dict[str, Any]]
    photos: Sequence[Photo]
    wrapped: bool
    """Whether the API gives the record inside an object, ``submission`` or ``dispatch``."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form of the library."""

    name: str
    about: str
    write: Callable[[Paper], list[dict[str, Any]]]
    write_dispatch: Callable[[Paper], list[dict[str, Any]]] | None = None
    """For a form that is dispatched: what the dispatch holds; a version is a status."""
    wraps: bool = False
    """Whether every second record comes wrapped."""

    def make(self, seed: int, number: int, version: int = 0, *, kind: str = "submission") -> Sample:
        """Make a version of a record: the same arguments give the same record, on any machine."""
        record = f"{seed}/{self.name}/{number}"
        paper = Paper(Random(record), record, version)  # nosec B311
        write = self.write_dispatch if kind == "dispatch" and self.write_dispatch else self.write
        fields = write(paper)
        return Sample(fields, tuple(paper.photos), self.wraps and number % 2 == 0)


def answer(name: str, data: str, value: Any, type: str) -> dict[str, Any]:
    """Write a raw field whose ``data`` names the property that holds the value."""
    return {"name": name, "data": data, "type": type, data: value}


def unanswered(name: str, data: str, type: str) -> dict[str, Any]:
    """Write a question that nobody answered: the property is missing."""
    return {"name": name, "data": data, "type": type}


def section(name: str, *fields: dict[str, Any]) -> dict[str, Any]:
    """Write a section: fields within a field."""
    return {"name": name, "type": "section", "fields": list(fields)}


def location(name: str, latitude: Any, longitude: Any) -> dict[str, Any]:
    """Answer a question with a place."""
    return answer(name, "location", {"latitude": latitude, "longitude": longitude, "accuracy": 8}, "location")
