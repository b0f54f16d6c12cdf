"""Names of columns that SQLAlchemy would take for parameters where a driver numbers these, as that of SQLite does.

It looks for ``%(name)s`` in the text of the finished statement, and so finds one behind a column called ``%(``.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, event

_MARK = "\x00"
"""Stands in no statement otherwise."""


def protect_names(engine: Engine) -> None:
    """Have names with ``%(`` written with a mark between, which is taken out when the statement is finished."""
    preparer = engine.dialect.identifier_preparer
    escape = preparer._escape_identifier

    def escape_apart(name: str) -> str:
        return escape(name).replace("%(", f"%{_MARK}(")

    setattr(preparer, "_escape_identifier", escape_apart)  # noqa: B010

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def join(_c: Any, _u: Any, statement: str, parameters: Any, _x: Any, _m: Any) -> tuple[str, Any]:
        return as_written(statement), parameters


def as_written(statement: str) -> str:
    """Return a statement without marks."""
    return statement.replace(_MARK, "") if _MARK in statement else statement
