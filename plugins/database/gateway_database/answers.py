"""The answers of a record as columns: what ``"*"`` writes, and what it clears."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from gateway.api import Delivery, every_answer
from gateway_database.options import DatabaseOptions, Write


def answers_of(delivery: Delivery[DatabaseOptions], columns: Collection[str] | None = None) -> dict[str, Any]:
    """Return column -> answer, with null for what the form is known to ask and this record does not answer.

    ``columns`` are those of the table: no other is cleared. None: it is not known, and each question has one. An insert
    clears nothing: a new row has no answer of before, and columns without one get what the database gives by itself.
    """
    options, record = delivery.options, delivery.record
    if record is None or not options.takes_everything:
        return {}
    row = every_answer(record)
    if options.write is Write.INSERT:
        return row
    for name, paths in _places(delivery.questions | record.paths.keys()).items():
        answered = [path for path in paths if path in record.paths]
        if len(paths) > 1:
            # By its path, whether or not this record answers it in one place alone.
            row |= {path: record.paths.get(path) for path in paths if path != name and _has(columns, path)}
            if len(answered) == 1 and answered[0] != name and columns is not None and answered[0] in columns:
                row.pop(name, None)
        if name not in row and _has(columns, name):
            row[name] = None
    return row


def _has(columns: Collection[str] | None, name: str) -> bool:
    return columns is None or name in columns


def _places(paths: Collection[str]) -> dict[str, list[str]]:
    """Return the name of each question -> the paths where it stands in the form."""
    found: dict[str, list[str]] = {}
    for path in sorted(paths):
        found.setdefault(path.rpartition(".")[2], []).append(path)
    return found
