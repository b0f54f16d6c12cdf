"""What is known of the questions of forms, from the records that came: when each was first and last seen, how often.

The row with an empty path stands for the form itself: it counts its records. ``table[]`` counts those in which a table
had rows, and what stands in the rows is numbered by these: a table without rows is no reason to miss its columns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sqlalchemy import ColumnElement, Connection, delete, select
from sqlalchemy.dialects.postgresql import insert  # SQLite writes ON CONFLICT alike

from gateway.models import RecordKind
from gateway.store.engine.locks import lock_name
from gateway.store.engine.sanitize import clean
from gateway.store.tables import questions

_KEY = ("webservice_id", "record_kind", "path")


@dataclass(frozen=True, slots=True)
class FormOf:
    """The records of one kind that one web service brings."""

    webservice_id: str
    record_kind: RecordKind = RecordKind.SUBMISSION


@dataclass(slots=True, kw_only=True)
class Question:
    """What is known of a question; ``first_at`` None: templates ask for it, and no record has had it yet."""

    path: str
    kind: str = ""
    first_at: int | None = None
    last_at: int | None = None
    seen: int = 0
    """In so many records."""
    since: int = 0
    """How many records there had been before it was looked for."""
    last: int = 0
    """The number of the last record that had it; ``since`` if none had."""
    alarm: str | None = None


def load(connection: Connection, form: FormOf) -> dict[str, Question]:
    """Read what is known of a form, by path; nobody else changes it until this transaction ends.

    The form is locked and not its rows: a row that another process has just added would not be among those waited for.
    """
    lock_name(connection, f"questions of {form.record_kind.value} of {form.webservice_id}")
    return known(connection, form)


def known(connection: Connection, form: FormOf) -> dict[str, Question]:
    """Read what is known of a form, by path, whoever is changing it."""
    statement = select(questions).where(*_of(form))
    return {
        row.path: Question(
            path=row.path,
            kind=row.kind,
            first_at=row.first_at,
            last_at=row.last_at,
            seen=row.seen,
            since=row.since,
            last=row.last,
            alarm=row.alarm,
        )
        for row in connection.execute(statement)
    }


def save(connection: Connection, form: FormOf, changed: Iterable[Question]) -> None:
    """Write questions down, new ones and those known."""
    values = [
        {"webservice_id": form.webservice_id, "record_kind": form.record_kind.value, **asdict(one)}
        | {"kind": clean(one.kind)}
        for one in sorted(changed, key=lambda one: one.path)
    ]
    if values:
        statement = insert(questions)
        new = {column.name: statement.excluded[column.name] for column in questions.c if column.name not in _KEY}
        connection.execute(statement.on_conflict_do_update(index_elements=list(_KEY), set_=new), values)


def forget(connection: Connection, form: FormOf, paths: Iterable[str]) -> None:
    """Delete questions."""
    if gone := list(paths):
        connection.execute(delete(questions).where(*_of(form), questions.c.path.in_(gone)))


def is_alone(connection: Connection, form: FormOf) -> bool:
    """Tell whether a web service has brought no records of another kind."""
    others = select(questions.c.path).where(
        questions.c.webservice_id == form.webservice_id,
        questions.c.record_kind != form.record_kind.value,
        questions.c.path == "",
    )
    return connection.execute(others).first() is None


def with_alarms(connection: Connection) -> list[FormOf]:
    """Return the forms about whose questions an alarm was raised."""
    columns = questions.c.webservice_id, questions.c.record_kind
    rows = connection.execute(select(*columns).where(questions.c.alarm.is_not(None)).distinct())
    return [FormOf(row.webservice_id, RecordKind(row.record_kind)) for row in rows]


def _of(form: FormOf) -> tuple[ColumnElement[bool], ...]:
    return questions.c.webservice_id == form.webservice_id, questions.c.record_kind == form.record_kind.value
