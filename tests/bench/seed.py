"""Stores that hold much before the gateway starts, written by SQL: SQLite only, as ids are given."""

from __future__ import annotations

import time

from sqlalchemy import Connection, text

from tests.bench.load import WEBSERVICE

_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)"
_NOTIFICATIONS = f"""
INSERT INTO notifications (id, webservice_id, notification_key, account, webservice, form, project, event,
  submission_key, record_key, received_at, body, mode, mode_reason, matched, outcome, outcome_at, report_state,
  fetch_state)
{_NUMBERS}
SELECT i, :webservice, 'kept-' || i, 'acme', 'bench', 'Bench', 'Bench', 'create', 'kept-record-' || i,
  'kept-record-' || i, :moment + i, CAST('{{"key": "kept", "submissionKey": "kept-record"}}' AS BLOB),
  'delayed', 'the route says so', true, CASE WHEN :ended THEN 'completed' END, CASE WHEN :ended THEN :moment END,
  'none', 'none'
FROM n"""
_LANES = f"""
INSERT INTO lanes (id, key, destination, last_number, used_at, claimable_at)
{_NUMBERS}
SELECT i, :destination || '/kept/' || i, :destination, i, :moment, CASE WHEN NOT :ended THEN :moment END FROM n"""
_DELIVERIES = f"""
INSERT INTO deliveries (id, notification_id, lane_id, number, route, name, destination, delivery_key, required, state,
  in_lane, due_at, receipt, settled_at)
{_NUMBERS}
SELECT i, i, i, i, :route, :destination, :destination, 'kept-' || i, :ended,
  CASE WHEN :ended THEN 'delivered' ELSE 'pending' END, NOT :ended, :moment,
  CASE WHEN :ended THEN '{{"summary": "row", "details": {{}}}}' END, CASE WHEN :ended THEN :moment END
FROM n"""


def ended(connection: Connection, count: int) -> None:
    """Write notifications that have long been delivered."""
    _write(connection, count, route="bench", destination="table", ended=True)


def waiting(connection: Connection, count: int, *, route: str, destination: str) -> None:
    """Write notifications with a delivery that waits, each in a lane of its own."""
    _write(connection, count, route=route, destination=destination, ended=False)


def _write(connection: Connection, count: int, *, route: str, destination: str, ended: bool) -> None:
    values = {
        "count": count,
        "webservice": WEBSERVICE,
        "moment": int(time.time() * 1e6) - count,
        "route": route,
        "destination": destination,
        "ended": ended,
    }
    for statement in (_NOTIFICATIONS, _LANES, _DELIVERIES):
        connection.execute(text(statement), {key: value for key, value in values.items() if f":{key}" in statement})
