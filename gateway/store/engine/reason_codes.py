"""Codes for reasons that a program before revision 0005 wrote: read once from how its sentences begin.

Run by that migration, and in part at each start: during an upgrade the program before may still write rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

_WAITING = (
    """
    UPDATE deliveries SET reason_code = 'account waits',
           reason_subject =
               (SELECT account FROM notifications WHERE notifications.id = deliveries.notification_id)
     WHERE state = 'pending' AND reason_code IS NULL AND reason LIKE 'the web service % waits for its account %'
    """,
    """
    UPDATE deliveries SET reason_code = 'web service waits',
           reason_subject =
               (SELECT webservice_id FROM notifications WHERE notifications.id = deliveries.notification_id)
     WHERE state = 'pending' AND reason_code IS NULL
       AND (reason LIKE 'the web service % is paused: %' OR reason LIKE 'the web service % was loaded again meanwhile'
            OR reason LIKE 'the web service % is not in the routes file'
            OR reason LIKE 'the web service % has no password in the routes file')
    """,
    """
    UPDATE deliveries SET reason_code = 'not loaded',
           reason_subject = route || '/' || name || ' to ' || destination
     WHERE state = 'pending' AND reason_code IS NULL
       AND reason = 'the delivery ' || name || ' of the route ' || route || ' to ' || destination
                    || ' is not in the routes file'
    """,
)
_DELIVERED = (
    """
    UPDATE deliveries SET reason_code = 'attachment missing'
     WHERE state = 'delivered' AND reason_code IS NULL AND receipt LIKE '%; without % attachment%: %'
    """,
)
_DROPPED = (
    """
    UPDATE deliveries SET reason_code = 'dropped' WHERE state = 'dropped' AND reason_code IS NULL
    """,
)
_FEW = (
    """
    UPDATE notifications SET mode_code = 'dropped'
     WHERE {unmatched} AND mode_code IS NULL AND mode_reason LIKE 'dropped by %'
    """,
    """
    UPDATE deliveries SET reason_code = 'given up'
     WHERE state = 'dead' AND reason_code IS NULL AND reason LIKE 'given up after %'
    """,
    """
    UPDATE deliveries SET reason_code = 'record not fetched'
     WHERE state = 'dead' AND reason_code IS NULL AND reason LIKE 'the record could not be fetched%'
    """,
    """
    UPDATE deliveries SET reason_code = 'attachment missing'
     WHERE state = 'dead' AND reason_code IS NULL
       AND (reason LIKE '% attachment of % missing: %' OR reason LIKE '% attachments of % missing: %')
    """,
)
"""What is dead, and what no route matched: few rows, which have an index."""


def fill(connection: Connection) -> None:
    """Fill in all codes."""
    _run(connection, (*_FEW, *_WAITING, *_DELIVERED, *_DROPPED))


def fill_few(connection: Connection) -> None:
    """Fill in the codes of what waits for a person; for what waits for a time that time will do."""
    _run(connection, _FEW)


def _run(connection: Connection, statements: Sequence[str]) -> None:
    unmatched = "matched = 0" if connection.dialect.name == "sqlite" else "NOT matched"  # as their index says it
    for statement in statements:
        connection.execute(text(statement.replace("{unmatched}", unmatched)))
