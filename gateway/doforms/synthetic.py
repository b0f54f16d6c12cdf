"""Makes the stand-in for a lost notification from what doForms lists."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

from gateway.doforms.listing import ListedRecord
from gateway.doforms.notification import LONGEST_KEY, parse_notification
from gateway.models import Event, Notification

PREFIX = "backfill:"


def is_stand_in(notification: Notification) -> bool:
    """Tell whether a notification is one of these, by its key."""
    return notification.key.startswith(PREFIX)


def stand_in(webservice_id: str, record: ListedRecord, received: datetime) -> Notification:
    """Return a notification of the creation of a record; its key is always the same for the same record.

    It has no time of creation: doForms lists none.

    Raises:
        NotANotification: the record has a key that cannot be kept.
    """
    body = {
        "key": _key(record.key),
        "webserviceId": webservice_id,
        "submissionKey": record.key,
        "submissionId": record.id,
        "event": Event.CREATE.value,
    }
    return parse_notification(json.dumps(body).encode(), path_event=None, received=received)


def _key(record_key: str) -> str:
    if len(PREFIX) + len(record_key) <= LONGEST_KEY:
        return PREFIX + record_key
    return PREFIX + hashlib.blake2b(record_key.encode(errors="replace"), digest_size=32).hexdigest()
