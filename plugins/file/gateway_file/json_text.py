"""JSON without loss: decimals keep their digits, and nothing a form can hold makes it fail."""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from gateway.api import Delivery, Notification, Record
from gateway_file.options import FileOptions


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Write a value as JSON; numbers keep all their digits, times are ISO 8601, what is no number becomes null."""
    mark = uuid.uuid4().hex
    plain = _plain(value, mark)
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False, indent=indent)
    return re.sub(rf'"{mark}([^"]*)"', r"\1", text)


def _plain(value: Any, mark: str) -> Any:
    if isinstance(value, Decimal):
        return f"{mark}{value}" if value.is_finite() else None  # the quotes are taken off at the end
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return str(value).encode("utf-8", "replace").decode("utf-8")
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {_plain(str(key), mark): _plain(item, mark) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [_plain(item, mark) for item in value]
    return str(value)


def whole_object(delivery: Delivery[FileOptions]) -> dict[str, Any]:
    """Return what is written where there are no columns."""
    return {"notification": _notification(delivery.notification), "record": _record(delivery.record)}


def _notification(notification: Notification) -> dict[str, Any]:
    return {
        "key": notification.key,
        "event": notification.event.value,
        "status": notification.status,
        "webservice_id": notification.webservice_id,
        "submission_key": notification.submission_key,
        "dispatch_key": notification.dispatch_key,
        "created": notification.created,
        "received": notification.received,
    }


def _record(record: Record | None) -> dict[str, Any] | None:
    return None if record is None else {"key": record.key, "id": record.id, "fields": record.fields}
