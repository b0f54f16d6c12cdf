"""Maps errors of the database to what they mean for a delivery."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
    StatementError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gateway.api import DeliveryError, Misconfigured, Rejected, Unavailable
from gateway_database import mariadb

_LONGEST = 500
_SQLITE_BUSY, _SQLITE_LOCKED, _SQLITE_FULL, _SQLITE_CONSTRAINT = 5, 6, 13, 19
_LOGIN = re.compile(
    r"authentication failed|no password supplied|access denied|permission denied|readonly database"
    r'|no pg_hba\.conf entry|(role|database) ".*" does not exist',
    re.IGNORECASE,
)
_SCHEMA = re.compile(
    r"no such (table|column)|has no column|ON CONFLICT clause does not match|generated column|cannot modify .* a view",
    re.IGNORECASE,
)
_PREPARED_LOST = frozenset({"26000", "42P05"})
"""A statement that the server was to keep is not there, or another has its name: a pooler lent the session out."""
_READ_ONLY = "25006"
_SYNTAX = "42601"
"""Our statements have none: a value that a type such as hstore or tsquery cannot read."""
_POOLER = {
    "transaction blocks not allowed": "PgBouncer lends a session for one statement only (pool_mode = statement). "
    "Set pool_mode = transaction for this database",
    "unsupported startup parameter": "PgBouncer does not pass this on. Set it for the role (ALTER ROLE … SET …), or "
    "take it out of the URL",
}
"""What PgBouncer says, and what to do."""
_DOWN = re.compile(r"connect|unable to open|disk is full|starting up|shutting down|too many", re.IGNORECASE)


def failure_of(error: SQLAlchemyError) -> DeliveryError:
    """Return what an error before the commit means: nothing was written."""
    text, state, code = _text(error), _state(error), _code(error)
    for said, remedy in _POOLER.items():
        if said in text:
            return Misconfigured(f"the pooler cannot be used: {text}. {remedy}")
    if state in _PREPARED_LOST:
        why = "a pooler lent the session out, and prepared statements with it; take prepare_threshold out of the URL"
        return Unavailable(f"{why}: {text}")
    if state == _READ_ONLY:
        return Unavailable(f"the database takes no rows, as a replica does: {text}", whole=True)
    if _is_row(error, state, code):
        return Rejected(f"the database refused the row: {text}")
    if state[:2] == "28" or state in ("42501", "3D000") or code in mariadb.LOGIN or _LOGIN.search(text):
        return Misconfigured(f"the database refused the login or the right to do this: {text}")
    if code in mariadb.DOWN:
        return Unavailable(f"the database cannot be used: {text}", whole=True)
    if _is_busy(text, state, code):
        return Unavailable(f"the database is busy: {text}", whole=getattr(error, "connection_invalidated", False))
    if state[:2] in ("42", "3F", "0A") or state == "55000" or code in mariadb.SCHEMA or _SCHEMA.search(text):
        return Misconfigured(f"the table does not fit: {text}")
    if isinstance(error, PoolTimeout):
        return Unavailable(f"no connection was free: {text}")
    if isinstance(error, (ProgrammingError, NotSupportedError)) or not isinstance(error, DBAPIError):
        return Misconfigured(f"the database cannot do this: {text}")
    whole = error.connection_invalidated or bool(_DOWN.search(text))
    return Unavailable(f"the database cannot be used: {text}", whole=whole)


def is_useless_session(error: SQLAlchemyError | None) -> bool:
    """Tell whether an error says that a session will never be of use, though it is open."""
    if error is None:
        return False
    return _state(error) in {*_PREPARED_LOST, _READ_ONLY} or _code(error) in mariadb.READ_ONLY


def broken_off(error: SQLAlchemyError) -> DeliveryError:
    """Return what an error that took the whole transaction with it means for every delivery in it."""
    failure = failure_of(error)
    return Unavailable(f"the transaction was broken off: {failure}") if isinstance(failure, Rejected) else failure


def surely_undone(error: SQLAlchemyError) -> bool:
    """Tell whether an error raised by COMMIT proves that nothing was committed."""
    if getattr(error, "connection_invalidated", False):
        return False
    if state := _state(error):
        return state[:2] in ("23", "40", "P0")
    sqlite = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
    if sqlite is not None:
        return sqlite & 0xFF in (_SQLITE_BUSY, _SQLITE_LOCKED, _SQLITE_FULL, _SQLITE_CONSTRAINT)
    return _code(error) in mariadb.UNDONE or isinstance(error, IntegrityError)


def _is_row(error: SQLAlchemyError, state: str, code: Any) -> bool:
    """Tell whether the row is to blame: a constraint, a value that does not fit, a trigger that refuses it."""
    if code in mariadb.ROW:
        return True
    if isinstance(error, OperationalError) and not state:
        return False
    own = isinstance(error, StatementError) and not isinstance(error, DBAPIError)  # the type refused to bind the value
    return (
        isinstance(error, (IntegrityError, DataError))
        or own
        or state[:2] in ("22", "23", "44", "45", "P0")
        or state == _SYNTAX
    )


def _is_busy(text: str, state: str, code: Any) -> bool:
    server = state[:2] in ("40", "53", "55", "57") and state != "55000"  # that one: the index cannot be used
    return server or code in mariadb.BUSY or "locked" in text


def _text(error: SQLAlchemyError) -> str:
    return re.sub(r"\s+", " ", str(getattr(error, "orig", None) or error)).strip()[:_LONGEST]


def _state(error: SQLAlchemyError) -> str:
    return getattr(getattr(error, "orig", None), "sqlstate", None) or ""


def _code(error: SQLAlchemyError) -> Any:
    """Return the number of a MySQL error."""
    arguments = getattr(getattr(error, "orig", None), "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None
