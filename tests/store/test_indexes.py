"""What runs for each notification finds its rows by an index, however full the store is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event

from gateway.models import FetchState, Mode, ReportState
from gateway.store import causes, inbox, outbox, queue, records
from gateway.store.queue import Begin
from gateway.store.store import Store
from tests.store.test_queue import ALL, dead, delivered
from tests.support.keeping import keep, notification

LARGE = re.compile(r"SCAN (notifications|deliveries|lanes|records|renderings|attempts)\b")


@pytest.fixture
def statements(store: Store) -> Iterator[list[str]]:
    seen: list[str] = []

    def watch(connection: Any, *_: Any) -> None:
        connection.set_trace_callback(seen.append)

    engines: list[Engine] = [store.database._readers, store.database._writers]
    for engine in engines:
        event.listen(engine, "checkout", watch)
    yield seen
    for engine in engines:
        event.remove(engine, "checkout", watch)


async def work(store: Store) -> None:
    """Keep, repeat, claim, begin, renew, settle, fetch, report: all that is done for notifications."""
    first = await store.submit(keep(fetch=True, mode=Mode.IMMEDIATE))
    await store.submit(keep())
    await store.submit(keep(notification("n2"), to=("table", "mail")))
    await store.read(lambda c: queue.next_due(c, ["table", "mail"]))
    claimed = await store.claim(ALL)
    kept = (await store.read(lambda c: records.load(c, [first.id])))[first.id]
    await store.read(lambda c: records.earlier_due(c, "acme", "r1", first.id))
    await store.write(lambda c: records.pin(c, kept, {kept.notification.record_kind: b"{}"}))  # type: ignore[dict-item]
    await store.write(
        lambda c: records.note_failed_fetch(c, first.id, state=FetchState.GIVEN_UP, reason="gone", spent=0)
    )
    await store.read(lambda c: records.last_pinned(c, "acme", "r1", first.id + 1))
    await store.begin([Begin(due=due, attempt_id=number, rendered=b"{}") for number, due in enumerate(claimed)])
    await store.write(lambda c: queue.renew(c, {due.lane_id: due.token for due in claimed}, 60.0))
    settled = await store.settle([dead(claimed[0]), delivered(claimed[1])])
    held = [one.next for one in settled if one.next is not None]
    await store.write(lambda c: queue.release(c, held))
    await store.write(lambda c: inbox.mark_answered(c, first.id, None))
    await store.read(outbox.next_report_due)
    reports = await store.write(lambda c: outbox.claim_reports(c, most=9, token="t", lease=9.0, paused=["other"]))
    await store.write(lambda c: outbox.renew(c, {one.notification_id: one.token for one in reports}, 60.0))
    await store.write(lambda c: outbox.release(c, reports[1:]))
    await store.write(lambda c: outbox.settle_report(c, reports[0], state=ReportState.REPORTED))
    await store.read(lambda c: [stands(c, "acme$$1") for stands in causes.STANDS.values()])
    await store.read(causes.waiting_destinations)


async def test_no_statement_of_the_work_goes_through_a_whole_table(store: Store, statements: list[str]) -> None:
    await work(store)
    done = {text for text in statements if text.split()[0] in ("SELECT", "UPDATE", "INSERT", "DELETE", "WITH")}
    assert len(done) > 20
    with store.database.read() as connection:
        cursor = connection.connection.cursor()
        for statement in done:
            plan = [row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()]
            scans = [step for step in plan if LARGE.match(step)]
            assert not scans, f"{statement}\n{plan}"
