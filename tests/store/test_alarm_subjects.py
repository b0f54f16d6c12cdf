"""Subjects of alarms: whatever a sender invents, the store can hold it and finds it again."""

from __future__ import annotations

import pytest

from gateway.store.store import Store
from gateway.store.work import alarms


@pytest.mark.parametrize(
    "subject", ["x" * 100_000, "表" * 5000, "a\x00b", "\ud800"], ids=["long", "wide", "nul", "half"]
)
async def test_subject_of_any_kind_is_raised_found_and_cleared(store: Store, subject: str) -> None:
    for times in (1, 2):
        new = await store.write(lambda c: alarms.raise_alarm(c, "kind", subject, "text", times=3))
        assert new is (times == 1)
    assert await store.write(lambda c: alarms.raise_alarm(c, "kind", subject + "!", "text"))
    [_, found] = await store.read(alarms.list_alarms)
    assert found.times == 6
    assert len(found.subject) < 400
    assert await store.read(lambda c: alarms.is_raised(c, "kind", subject))
    assert await store.write(lambda c: alarms.clear_alarm(c, "kind", subject))
    assert len(await store.read(alarms.list_alarms)) == 1
