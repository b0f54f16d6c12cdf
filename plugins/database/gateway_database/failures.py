"""What an error of the database means for a delivery."""

from __future__ import annotations

import re

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, SQLAlchemyError

from gateway.api import DeliveryError, Misconfigured, Rejected, Unavailable

_LOGIN = frozenset({"28P01", "28000", "42501", "3D000"})
_WRONG = frozenset({"42P01", "42703", "42P10"})
_AGAIN = frozenset({"40001", "40P01", "55P03", "57014"})


def failure_of(error: SQLAlchemyError) -> DeliveryError:
    """Return what an error before the commit means: nothing was written."""
    text = re.sub(r"\s+", " ", str(getattr(error, "orig", None) or error)).strip()[:500]
    state = getattr(getattr(error, "orig", None), "sqlstate", None) or ""
    if isinstance(error, (IntegrityError, DataError)):
        return Rejected(f"the database refused the row: {text}")
    if state in _LOGIN or "authentication failed" in text or "no password supplied" in text:
        return Misconfigured(f"the database refused the login or the right: {text}")
    if state in _WRONG or "no such table" in text or "no such column" in text or "has no column" in text:
        return Misconfigured(f"the table does not fit: {text}")
    if state in _AGAIN or "locked" in text:
        return Unavailable(f"the database was busy: {text}")
    if isinstance(error, NotSupportedError) or not isinstance(error, DBAPIError):
        return Misconfigured(f"the database cannot do this: {text}")
    down = error.connection_invalidated or "connect" in text.lower() or "unable to open" in text
    return Unavailable(f"the database cannot be used: {text}", whole=down)
