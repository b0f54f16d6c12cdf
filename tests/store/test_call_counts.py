"""Calls by day, web service and kind: added up, shown for a day, deleted after weeks."""

from __future__ import annotations

from gateway.store.engine.transaction_time import SECOND, now
from gateway.store.operator import retention
from gateway.store.store import Store
from gateway.store.work import call_counts
from gateway.store.work.call_counts import KEPT, Counts, day_of

TODAY = day_of(now())


async def add(store: Store, *, day: int = TODAY, webservice: str = "one", kind: str = "fetch", **counts: int) -> None:
    await store.write(lambda c: call_counts.add(c, {(day, webservice, kind): Counts(**counts)}))


async def shown(store: Store, moment: int) -> dict[str, dict[str, Counts]]:
    return await store.read(lambda c: call_counts.of_day(c, moment))


async def test_what_several_count_adds_up(store: Store) -> None:
    await add(store, calls=3, too_many=1)
    await add(store, calls=2, over_quota=1, failed=1)
    await add(store, kind="report", calls=1)
    await add(store, webservice="two", calls=7)
    assert await shown(store, TODAY + 5 * SECOND) == {
        "one": {"fetch": Counts(calls=5, too_many=1, over_quota=1, failed=1), "report": Counts(calls=1)},
        "two": {"fetch": Counts(calls=7)},
    }


async def test_each_day_counts_for_itself(store: Store) -> None:
    await add(store, calls=3)
    assert await shown(store, TODAY - SECOND) == {}
    assert day_of(TODAY + 86399 * SECOND) == TODAY
    assert day_of(TODAY + 86400 * SECOND) == TODAY + 86400 * SECOND


async def test_retention_deletes_counts_after_weeks_however_short_or_long_it_is(store: Store) -> None:
    await add(store, calls=1)
    await add(store, day=TODAY - 40 * 86400 * SECOND, calls=1)
    await store.write(lambda c: retention.prune_others(c, moment=now(), older_than=3600.0))
    assert await shown(store, TODAY - 40 * 86400 * SECOND) == {}
    assert await shown(store, TODAY) != {}
    later = now() + int((KEPT + 86400) * SECOND)
    await store.write(lambda c: retention.prune_others(c, moment=later, older_than=10**9))
    assert await shown(store, TODAY) == {}
