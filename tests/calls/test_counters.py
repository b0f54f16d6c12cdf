"""Calls to doForms are counted in memory, written now and then, and shown by day and web service."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.calls.client import LeaseLost
from gateway.calls.counters import CallCounts, CallKind
from gateway.errors import DoformsError
from gateway.models import Outcome, RecordKind
from gateway.store.work import call_counts
from gateway.store.work.call_counts import Counts
from tests.support.keeping import WEBSERVICE
from tests.support.parts import Parts, eventually, whole

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def shown(parts: Parts) -> dict[str, Counts]:
    found = await parts.store.read(lambda c: call_counts.of_day(c, parts.store.now()))
    return found.get(WEBSERVICE, {})


async def make_calls(parts: Parts, count: int = 1) -> None:
    webservice = parts.active.webservice(WEBSERVICE)
    assert webservice is not None
    account, moment = parts.active.account(webservice), datetime.now(UTC)
    for _ in range(count):
        for call in (
            parts.calls.fetch(account, webservice, RecordKind.SUBMISSION, "r1", take=whole),
            parts.calls.list_submissions(account, webservice, moment, moment),
            parts.calls.report(account, webservice, "n1", Outcome.COMPLETED, may_send=lambda: True),
        ):
            try:
                await call
            except DoformsError:
                continue


async def test_calls_are_counted_by_kind_with_what_became_of_them(parts: Parts) -> None:
    await make_calls(parts)  # the report fails: there is no such notification
    parts.doforms.faults.add(method="GET", path_contains="/r1", status=400, body=b"Over quota.")
    parts.doforms.faults.add(method="GET", status=503)
    parts.doforms.faults.add(method="PUT", status=429, headers={"Retry-After": "0"})
    await make_calls(parts)
    await parts.calls.aclose()
    assert await shown(parts) == {
        "fetch": Counts(calls=2, over_quota=1),
        "listing": Counts(calls=2, failed=1),
        "report": Counts(calls=2, too_many=1, failed=1),
    }


async def test_a_call_that_was_not_made_is_not_counted(parts: Parts) -> None:
    webservice = parts.active.webservice(WEBSERVICE)
    assert webservice is not None
    account = parts.active.account(webservice)
    with pytest.raises(LeaseLost):
        await parts.calls.report(account, webservice, "n1", Outcome.COMPLETED, may_send=lambda: False)
    await parts.calls.aclose()
    assert await shown(parts) == {}


async def test_many_calls_are_written_together_within_a_second_or_so(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.calls.counters._EVERY", 0.1)
    counts, writes = CallCounts(parts.store), 0
    write = counts._write

    async def counted() -> None:
        nonlocal writes
        writes += 1
        await write()

    counts._write = counted  # type: ignore[method-assign]
    for _ in range(500):
        counts.count(WEBSERVICE, CallKind.DOWNLOAD)
    assert await eventually(lambda: shown(parts)) == {"download": Counts(calls=500)}
    assert writes == 1
    await counts.close()
