"""Repeats where nothing can be written: only what is known is told, and nothing is noted."""

from __future__ import annotations

from sqlalchemy import Connection, select

from gateway.models import Notification
from gateway.store.tables import notifications
from gateway.store.work.inbox import Kept, as_repeat


def find_ended(connection: Connection, notification: Notification) -> Kept | None:
    """Look whether a notification is a repeat of one whose outcome is known.

    One without outcome is not found: answered empty it would owe doForms a PUT, and that could not be noted.
    """
    row = connection.execute(
        select(notifications.c.id, notifications.c.outcome, notifications.c.mode, notifications.c.mode_reason).where(
            notifications.c.webservice_id == notification.webservice_id,
            notifications.c.notification_key == notification.key,
            notifications.c.outcome.is_not(None),
        )
    ).first()
    return None if row is None else as_repeat(row)
