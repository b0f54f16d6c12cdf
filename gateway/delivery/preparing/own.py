"""Gives each attempt its own copy of the record, so that no plugin changes what another gets."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from gateway.models import Record
from gateway.record_answers import RecordAnswers


def own(record: Record) -> Record:
    """Return a copy of a record whose tables, lists and objects nobody else has.

    What stands in it several times, such as the rows of a table in ``fields``, ``tables`` and ``paths``, is one thing
    in the copy, too.
    """
    copied = _Copied()
    made = replace(
        record,
        fields=copied.of(record.fields),
        tables=copied.of(record.tables),
        paths=copied.of(record.paths),
        kinds=dict(record.kinds),
        raw=copied.of(record.raw),
    )
    copied.complete()
    return made


def own_when_read(record: Record) -> Record:
    """Return a record that is copied as soon as somebody reads an answer of it: most plugins read none."""
    return _OwnWhenRead(record)


_set = object.__setattr__
_COPIED = ("fields", "tables", "paths", "kinds", "raw")


class _OwnWhenRead(Record):
    """A record that stands for a copy of another."""

    __slots__ = ("_copy", "_original")
    _copy: Record | None
    _original: Record

    def __new__(cls, original: Record | None = None, /, **values: Any) -> Any:
        """Make one of an original; of values, as `dataclasses.replace` does, a plain record."""
        return Record(**values) if original is None else object.__new__(cls)

    def __init__(self, original: Record, /) -> None:
        _set(self, "kind", original.kind)
        _set(self, "key", original.key)
        _set(self, "id", original.id)
        _set(self, "_original", original)
        _set(self, "_copy", None)

    def __reduce__(self) -> tuple[Any, ...]:
        """Be copied and pickled as the copy."""
        return _same, (self._whole(),)

    def __eq__(self, other: object) -> bool:
        """Be equal to every record that holds the same."""
        whole = other._whole() if isinstance(other, _OwnWhenRead) else other
        return self._whole() == whole

    __hash__ = Record.__hash__

    def _whole(self) -> Record:
        copied = self._copy
        if copied is None:
            copied = own(self._original)
            _set(self, "_copy", copied)
        return copied


def _same(record: Record) -> Record:
    return record


def _read(name: str) -> property:
    return property(lambda record: getattr(record._whole(), name))


for _name in _COPIED:
    setattr(_OwnWhenRead, _name, _read(_name))
_OwnWhenRead.__name__ = _OwnWhenRead.__qualname__ = Record.__qualname__


class _Copied:
    """What was copied already; the levels are gone through one after the other, as they may be many."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}
        self._pending: list[Any] = []

    def of(self, value: Any) -> Any:
        """Return the copy of a value, which may still hold what the original holds."""
        if not isinstance(value, (dict, list)):
            return value
        made = self._made.get(id(value))
        if made is None:
            made = self._made[id(value)] = value.copy() if type(value) in (dict, list) else copy.copy(value)
            self._pending.append(made)
        return made

    def complete(self) -> None:
        """Copy what is inside."""
        pending, of = self._pending, self.of
        while pending:
            made = pending.pop()
            if isinstance(made, list):
                for index, item in enumerate(made):
                    if isinstance(item, (dict, list)):
                        made[index] = of(item)
                continue
            for name, item in made.items():
                if isinstance(item, (dict, list)):
                    made[name] = of(item)
            if isinstance(made, RecordAnswers):
                made.relate(of)
