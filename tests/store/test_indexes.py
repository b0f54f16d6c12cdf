"""What runs for each notification finds its rows by an index, however full the store is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, Engine, event, text

from gateway.models import AttachmentState, FetchState, Mode, ReportState
from gateway.store.operator import alarm_conditions
from gateway.store.store import Store
from gateway.store.work import admit, attachments, fetches, inbox, lane_leases, outbox, queue, record_ids, records
from gateway.store.work.queue import Begin
from tests.store.test_queue import ALL, dead, delivered
from tests.support.keeping import keep, notification

_TABLES = r"(notifications|deliveries|lanes|records|record_ids|renderings|attachments|attempts|backfilled)\b"
LARGE = {"sqlite": re.compile(rf"SCAN {_TABLES}"), "postgresql": re.compile(rf".*Seq Scan on {_TABLES}")}

FULL = """
INSERT INTO notifications (id, webservice_id, notification_key, account, event, received_at, body, mode, mode_reason,
                           matched, report_state, fetch_state, record_key, outcome)
SELECT -n, 'old', n::text, 'acme', 'create', n, '', 'delayed', '', true, 'reported', 'none', 'r' || n, 'completed'
FROM generate_series(1, 20000) AS n;
INSERT INTO lanes (id, key, destination, last_number, used_at)
SELECT -n, 'old' || n, 'table', n, n FROM generate_series(1, 20000) AS n;
INSERT INTO deliveries (notification_id, lane_id, number, route, name, destination, delivery_key, required, state,
                        in_lane, due_at)
SELECT -n, -n, n, 'route', 'table', 'table', n::text, true, 'delivered', false, n FROM generate_series(1, 20000) AS n;
INSERT INTO records (notification_id, kind, account, record_key, raw, fetched_at)
SELECT -n, 'submission', 'acme', 'r' || n, '', n FROM generate_series(1, 20000) AS n;
INSERT INTO backfilled (record_key, account, notification_id, kept_at)
SELECT 'old' || n, 'acme', -n, n FROM generate_series(1, 20000) AS n;
INSERT INTO attachments (notification_id, webservice_id, blob_key, place, filename, file, state)
SELECT -n, 'old', 'b', 'photo', 'photo.jpg', n::text, 'spooled' FROM generate_series(1, 20000) AS n;
INSERT INTO record_ids (account, record_key, id) SELECT 'acme', 'r' || n, n::text FROM generate_series(1, 20000) AS n;
INSERT INTO renderings (delivery_id, options) SELECT id, '' FROM deliveries;
INSERT INTO attempts (delivery_id, number, ended_at, result, reason) SELECT id, 1, 1, '', '' FROM deliveries;
ANALYZE;
"""


@pytest.fixture
def statements(store: Store) -> Iterator[set[str]]:
    """Everything that is executed on the store, with its values in it."""
    seen: set[str] = set()

    class Watched(psycopg.Cursor[Any]):
        def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
            seen.add(psycopg.ClientCursor(self.connection).mogrify(query, params) if params else query)
            return super().execute(query, params, **more)

    def watch(connection: Any, *_: Any) -> None:
        if store.database.shared:
            connection.cursor_factory = Watched
        else:
            connection.set_trace_callback(seen.add)

    engines: list[Engine] = [store.database._readers, store.database._writers]  # type: ignore[attr-defined]
    for engine in engines:
        event.listen(engine, "checkout", watch)
    yield seen
    for engine in engines:
        event.remove(engine, "checkout", watch)


def explain(connection: Connection, statement: str) -> list[str]:
    """Return the steps of a statement's plan."""
    cursor = connection.connection.cursor()
    if connection.dialect.name == "sqlite":
        return [row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()]
    cursor.execute(f"EXPLAIN {statement}".replace("%", "%%"), ())
    return [row[0] for row in cursor.fetchall()]


async def work(store: Store) -> None:
    """Keep, repeat, claim, begin, renew, settle, fetch, report: all that is done for notifications."""
    first = await store.submit(keep(fetch=True, mode=Mode.IMMEDIATE))
    await store.submit(keep())
    await store.submit(keep(notification("n2"), to=("table", "mail")))
    await store.read(lambda c: queue.next_due(c, ["table", "mail"]))
    claimed = await store.claim(ALL)
    kept = (await store.read(lambda c: records.load(c, [first.id])))[first.id]
    await store.read(lambda c: fetches.standing(c, kept, most=1000))
    await store.read(lambda c: fetches.earlier_due(c, kept))
    await store.read(lambda c: record_ids.known(c, "acme", ["r1", "r2"]))
    pinned = {kept.notification.record_kind: b"{}"}
    await store.write(lambda c: records.pin(c, kept, pinned, {"r1": "id-r1"}))  # type: ignore[arg-type]
    await store.read(lambda c: fetches.standing(c, kept, most=1000))
    await store.write(lambda c: fetches.note_failed(c, first.id, state=FetchState.GIVEN_UP, reason="gone", spent=0))
    found = [attachments.NewAttachment(key=key, place=key, filename=key) for key in "ab"]
    await store.write(lambda c: attachments.note(c, kept, found))
    a, b = (await store.read(lambda c: attachments.load(c, first.id))).values()
    await store.write(lambda c: attachments.note_spooled(c, a.id, size=1, sha256="", content_type=""))
    given_up = AttachmentState.GIVEN_UP
    await store.write(lambda c: attachments.note_failed(c, b.id, state=given_up, reason="", spent=0, due_at=None))
    await store.read(lambda c: attachments.find_twin(c, "acme$$1", a))
    await store.read(lambda c: attachments.files_of(c, [a.file, b.file]))
    await store.write(lambda c: attachments.try_again(c, [first.id], afresh=False))
    await store.read(lambda c: records.last_pinned(c, "acme", "r1", first.id + 1))
    await store.begin([Begin(due=due, attempt_id=number, rendered=b"{}") for number, due in enumerate(claimed)])
    await store.write(lambda c: lane_leases.renew(c, {due.lane_id: due.token for due in claimed}, 60.0))
    settled = await store.settle([dead(claimed[0]), delivered(claimed[1])])
    held = [one.next for one in settled if one.next is not None]
    await store.release(held)
    await store.write(lambda c: inbox.mark_answered(c, first.id, None))
    await store.read(outbox.next_report_due)
    reports = await store.write(lambda c: outbox.claim_reports(c, most=9, token="t", lease=9.0, paused=["other"]))
    await store.write(lambda c: outbox.renew(c, {one.notification_id: one.token for one in reports}, 60.0))
    await store.write(lambda c: outbox.release(c, reports[1:]))
    await store.write(lambda c: outbox.settle_report(c, reports[0], state=ReportState.REPORTED))
    await store.read(lambda c: [stands(c, "acme$$1") for stands in alarm_conditions.STANDS.values()])
    await store.read(alarm_conditions.waiting_destinations)
    await store.let_in([keep(notification("backfill:r2", record="r2")), keep(notification("backfill:r9", record="r9"))])
    await store.submit(keep(notification("n9", record="r9")))
    await store.read(lambda c: admit.known(c, "acme", ["r1", "r9"]))


async def test_no_statement_of_the_work_goes_through_a_whole_table(store: Store, statements: set[str]) -> None:
    if store.database.shared:  # it plans by how full its tables are
        await store.write(lambda connection: connection.execute(text(FULL)))
    statements.clear()
    await work(store)
    done = {text for text in statements if text.split()[0] in ("SELECT", "UPDATE", "INSERT", "DELETE", "WITH")}
    assert len(done) > 20
    with store.database.write() as connection:
        large = LARGE[connection.dialect.name]
        for statement in done:
            plan = explain(connection, statement)
            scans = [step for step in plan if large.match(step)]
            assert not scans, "\n".join([statement, *plan])
