from __future__ import annotations

import json

import pytest
from sqlalchemy import update

from gateway.cli.output import as_data
from gateway.models import FetchState
from gateway.store.operator import pauses, quarantine
from gateway.store.operator.pauses import Pause
from gateway.store.operator.quarantine import NewEntry
from gateway.store.operator.queries import find_deliveries
from gateway.store.operator.views import DeliveryFilter
from gateway.store.store import Store
from gateway.store.tables import deliveries
from gateway.store.work import alarms, fetches, records
from tests.support.keeping import keep

BAD = "the other side said \x00 and \ud800"
GOOD = "the other side said \N{REPLACEMENT CHARACTER} and ?"


async def test_what_others_said_is_kept_whatever_is_in_it(store: Store) -> None:
    kept = await store.submit(keep(fetch=True))
    pause = Pause(kind="destination", name="table", cause="misconfigured", reason=BAD, since=1)
    entry = NewEntry(path="/", client=None, reason=BAD, body=b"\x00")
    await store.write(lambda c: alarms.raise_alarm(c, "kind", "subject", BAD))
    await store.write(lambda c: pauses.pause(c, pause))
    await store.write(lambda c: quarantine.add(c, entry))
    await store.write(lambda c: fetches.note_failed(c, kept.id, state=FetchState.DUE, reason=BAD, spent=0, due_at=None))
    assert [one.text for one in await store.read(alarms.list_alarms)] == [GOOD]
    assert [one.reason for one in await store.read(pauses.list_pauses)] == [GOOD]
    assert [one.reason for one in await store.read(quarantine.find)] == [GOOD]
    assert (await store.read(lambda c: records.load(c, [kept.id])))[kept.id].fetch_reason == GOOD


@pytest.mark.parametrize(
    ("receipt", "summary", "details"),
    [
        ('{"summary": "a", "details": {"n": NaN, "i": [Infinity, -Infinity]}}', "a", {"n": None, "i": [None, None]}),
        ('{"summary": "\\ud800", "details": {"\\udfff": "\\udc00"}}', "?", {"?": "?"}),
        ('{"summary": 5, "details": 6}', "5", {}),
        ("[1]", "[1]", {}),
        ("no JSON", "no JSON", {}),
        ("[" * 4000, "[" * 4000, {}),
        ("{}", "", {}),
    ],
)
async def test_receipts_in_the_store_are_read_whatever_stands_there(
    store: Store, receipt: str, summary: str, details: object
) -> None:
    await store.submit(keep())
    await store.write(lambda c: c.execute(update(deliveries).values(receipt=receipt)))
    [one] = await store.read(lambda c: find_deliveries(c, DeliveryFilter()))
    assert one.receipt == {"summary": summary, "details": details}
    assert json.dumps(as_data(one), default=str, ensure_ascii=False, allow_nan=False).encode()
