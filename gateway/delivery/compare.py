"""How one record fits the routes: what drift would say if all records of the form were like it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.delivery.mappings import Mapped, Mappings, Wanted
from gateway.delivery.seen import counted_by
from gateway.doforms.collected import EMPTY
from gateway.models import Record
from gateway.routing.problems import nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class NotInRecord:
    """A question that templates ask for, and that the record does not have: not answered, or not in the form."""

    question: str
    asked_by: tuple[str, ...]
    meant: str | None
    """A question of the record with nearly that name."""


def not_asked_for(record: Record, asked: Mappings) -> tuple[str, ...]:
    """Return the paths of the questions that no template asks for, if deliveries pick questions one by one."""
    takes = asked.takes(record.kinds)
    left = [path for path, kind in record.kinds.items() if not (path.endswith("[]") or kind == EMPTY or takes(path))]
    return tuple(path for path in left if counted_by(path)[:-2] not in left)  # of a table not its columns too


def not_in_record(record: Record, asked: Mappings) -> tuple[NotInRecord, ...]:
    """Return the questions that templates ask for in vain; columns only of tables that have rows."""
    found: dict[str, list[Mapped]] = {}
    for place in asked.places:
        for path in _missed(place.wanted, record):
            found.setdefault(path, []).append(place)
    return tuple(
        NotInRecord(question=path, asked_by=tuple(map(str, places)), meant=nearest(path, list(record.kinds)))
        for path, places in found.items()
    )


def _missed(wanted: Wanted, record: Record) -> list[str]:
    if wanted.find(record.kinds):
        return []
    if wanted.column is None:
        return [wanted.name]
    tables = [path for path in replace(wanted, column=None).find(record.kinds) if f"{path}[]" in record.kinds]
    return [f"{path}[].{wanted.column}" for path in tables[:1]]
