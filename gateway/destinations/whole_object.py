"""The default content of a delivery whose options name none."""

from __future__ import annotations

from typing import Any

from gateway.destinations.destination import Delivery
from gateway.record_answers import every_answer


def whole_object(delivery: Delivery[Any]) -> dict[str, Any]:
    """Return notification and record as one object, ready for `gateway.api.to_json`.

    Its shape is ``{"notification": {...}, "record": {"key", "id", "fields"}}``; the record is null if there is none.
    A question whose name stands in several places of the form is named by its path.
    """
    one, record = delivery.notification, delivery.record
    return {
        "notification": {
            "key": one.key,
            "event": one.event.value,
            "status": one.status,
            "webservice_id": one.webservice_id,
            "submission_key": one.submission_key,
            "dispatch_key": one.dispatch_key,
            "created": one.created,
            "received": one.received,
        },
        "record": None if record is None else {"key": record.key, "id": record.id, "fields": every_answer(record)},
    }
