from __future__ import annotations

from gateway.models import FetchState
from gateway.store import alarms, fetches, pauses, quarantine, records
from gateway.store.pauses import Pause
from gateway.store.quarantine import NewEntry
from gateway.store.store import Store
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
