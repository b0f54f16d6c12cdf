"""Alarms as the running gateway raises and clears them: in the store and, once that is committed, in the log."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from sqlalchemy import Connection

from gateway.models import AlarmKind
from gateway.store.store import Store
from gateway.store.work import alarms

log = structlog.get_logger(__name__)

Tell = Callable[[], None]
"""Logs what a step of the store did to an alarm, if it did anything; to be called once the step is committed."""


async def raise_and_log(store: Store, kind: AlarmKind, subject: str, text: str, *, times: int = 1) -> None:
    """Raise an alarm in a step of its own, or count it up; a new one is logged."""
    tell = await store.write(lambda connection: raised(connection, kind, subject, text, times=times))
    tell()


async def clear_and_log(store: Store, kind: AlarmKind | str, subject: str) -> None:
    """Clear an alarm in a step of its own; one that was raised is logged."""
    tell = await store.write(lambda connection: cleared(connection, kind, subject))
    tell()


def raised(connection: Connection, kind: AlarmKind, subject: str, text: str, *, times: int = 1) -> Tell:
    """Raise an alarm, or count it up, in a step that writes more; returns what logs a new one."""
    new = alarms.raise_alarm(connection, kind, subject, text, times=times)
    return lambda: log_raised(kind, subject, text) if new else None


def cleared(connection: Connection, kind: AlarmKind | str, subject: str) -> Tell:
    """Clear an alarm in a step that writes more; returns what logs one that was raised."""
    gone = alarms.clear_alarm(connection, kind, subject)
    return lambda: log_cleared(kind, subject) if gone else None


def log_raised(kind: str, subject: str, text: str) -> None:
    """Log that an alarm is new."""
    log.warning("alarm raised", kind=kind, subject=subject, text=text)


def log_cleared(kind: str, subject: str) -> None:
    """Log that an alarm has ended."""
    log.info("alarm cleared", kind=kind, subject=subject)
