"""What the simulated doForms is like for a while: its limits, its clocks, its post."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from gateway.doforms.simulator import AccountLimit, Conditions, Quota, Simulator
from gateway.doforms.simulator.limits import Gate
from tests.doforms.simulator.conftest import COMPLETED, FORM, OTHER_TOKEN, Target

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0  # a full minute

    def __call__(self) -> float:
        return self.now


def admitted(gate: Gate, webservice: str = FORM, method: str = "GET") -> bool:
    with gate.call(webservice, method) as refusal:
        return refusal is None


async def test_a_fixed_minute_begins_anew_with_the_clock() -> None:
    clock, conditions = Clock(), Conditions(limit=AccountLimit(a_minute=3))
    gate = Gate(conditions, clock=clock)
    clock.now += 50
    assert [admitted(gate) for _ in range(4)] == [True, True, True, False]
    clock.now += 10
    assert [admitted(gate) for _ in range(4)] == [True, True, True, False]
    assert gate.refused == {429: 2}


async def test_a_sliding_minute_counts_the_last_60_seconds() -> None:
    clock, conditions = Clock(), Conditions(limit=AccountLimit(a_minute=3, window="sliding"))
    gate = Gate(conditions, clock=clock)
    clock.now += 50
    assert [admitted(gate) for _ in range(4)] == [True, True, True, False]
    clock.now += 59
    assert not admitted(gate)
    clock.now += 2
    assert admitted(gate)


async def test_the_limit_is_the_accounts_not_the_web_services() -> None:
    gate = Gate(Conditions(limit=AccountLimit(a_minute=2)), clock=Clock())
    assert [admitted(gate, name) for name in ("acme$$1", "acme$$2", "acme$$3", "other$$1")] == [True, True, False, True]


async def test_too_many_at_once_are_429(doforms: Simulator, http: httpx.AsyncClient) -> None:
    doforms.conditions.change(limit={"in_flight": 2}, latency=0.2)
    answers = await asyncio.gather(*(http.get("submissions") for _ in range(5)))
    assert sorted(one.status_code for one in answers) == [200, 200, 429, 429, 429]
    assert (await http.get("submissions")).status_code == 200


@pytest.mark.parametrize(("how", "window"), [("seconds", "fixed"), ("date", "sliding"), ("none", "fixed")])
async def test_a_429_says_when_to_come_again(
    doforms: Simulator, http: httpx.AsyncClient, how: str, window: str
) -> None:
    doforms.conditions.change(limit=AccountLimit(a_minute=1, retry_after=how, window=window, minute=3600.0))
    answers = [await http.get("submissions") for _ in range(3)]
    refused = answers[-1]
    assert refused.status_code == 429
    assert "more than 1 calls a minute" in refused.text
    said = refused.headers.get("retry-after")
    if how == "none":
        assert said is None
    elif how == "seconds":
        assert 0 < int(said) <= 3600
    else:
        assert datetime.now(UTC) < parsedate_to_datetime(said) < datetime.now(UTC) + timedelta(seconds=3602)


async def test_a_daily_quota_counts_the_reads_of_a_web_service(doforms: Simulator, http: httpx.AsyncClient) -> None:
    doforms.conditions.change(quota={"calls": 2})
    answers = [await http.get("submissions") for _ in range(3)]
    assert [(one.status_code, one.text[:1]) for one in answers] == [(200, "["), (200, "["), (200, "{")]
    assert "Daily web service quota exceeded." in answers[2].text
    assert (await http.get("submissions", headers=OTHER_TOKEN)).json() == []
    doforms.conditions.change(quota=Quota(calls=1, status=403, text="Over quota."))
    assert (await http.get("submissions")).status_code == 403
    assert (await http.put("notifications/nobody", json={})).status_code == 404


async def test_a_quota_ends_at_midnight() -> None:
    clock = Clock()
    gate = Gate(Conditions(quota=Quota(calls=1)), clock=clock)
    assert [admitted(gate), admitted(gate)] == [True, False]
    clock.now += 86400
    assert admitted(gate)


async def test_new_records_are_readable_late_or_never_but_always_by_id(
    doforms: Simulator, http: httpx.AsyncClient
) -> None:
    async def statuses() -> list[int]:
        return [(await http.get(f"submissions/{name}")).status_code for name in ("r1", "id-r1")]

    doforms.put_record(FORM, "r1", {})
    doforms.conditions.change(unreadable=None)
    assert await statuses() == [404, 200]
    doforms.conditions.change(unreadable=0.05)
    await asyncio.sleep(0.1)
    assert await statuses() == [200, 200]
    doforms.put_record(FORM, "r1", {"edited": True})
    assert await statuses() == [200, 200]


async def test_clocks_can_be_off(doforms: Simulator, target: Target, http: httpx.AsyncClient) -> None:
    doforms.conditions.change(created_off=7200, received_off=-600)
    await doforms.create(FORM, key="r1")
    made = datetime.fromisoformat(json.loads(target.got[0][2])["createTime"])
    assert abs(made - datetime.now(UTC) - timedelta(hours=2)) < timedelta(seconds=5)
    recent = {"receiveTimeBegin": (datetime.now(UTC) - timedelta(minutes=5)).isoformat()}
    assert (await http.get("submissions", params=recent)).json() == []
    assert len((await http.get("submissions")).json()) == 1


async def test_lost_notifications_are_never_sent(doforms: Simulator, target: Target, http: httpx.AsyncClient) -> None:
    doforms.conditions.change(lost=1)
    sent = await doforms.create(FORM, key="r1")
    assert (sent.lost, sent.belief, sent.answers, target.got) == (True, "new", [], [])
    assert (await http.get("submissions/r1")).status_code == 200


async def test_notifications_can_come_twice(doforms: Simulator, target: Target) -> None:
    target.script = [COMPLETED]
    doforms.conditions.change(twice=1)
    sent = await doforms.create(FORM)
    await doforms.until(lambda: len(sent.answers) == 2, timeout=2)
    assert target.keys == [sent.key] * 2


async def test_late_notifications_are_overtaken(doforms: Simulator, target: Target) -> None:
    doforms.conditions.change(late=1, late_by=0.1)
    first = await doforms.create(FORM, key="r1")
    doforms.conditions.change(late=0)
    second = await doforms.update(FORM, "r1")
    await doforms.until(lambda: first.answers, timeout=2)
    assert target.keys == [second.key, first.key]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"lots": 1}, "not known here: lots. Known: created_off"),
        ({"lost": 2}, "`lost` is 2: give a share from 0 to 1"),
        ({"lost": "often"}, "`lost` cannot be 'often'"),
        ({"latency": -1}, "`latency` is -1"),
        ({"limit": 600}, "`limit` cannot be 600"),
        ({"limit": {"a_hour": 3}}, "`limit` knows a_minute, in_flight"),
        ({"limit": {"a_minute": 0}}, "`a_minute` is 0"),
        ({"limit": {"window": "open"}}, "give fixed or sliding"),
        ({"limit": {"retry_after": 5}}, "give seconds, date or none"),
        ({"limit": {"minute": 0}}, "`minute` is 0"),
        ({"quota": {"status": 42}}, "`status` is 42"),
    ],
)
async def test_a_wrong_condition_changes_nothing_and_is_told(given: dict[str, Any], told: str) -> None:
    conditions = Conditions()
    with pytest.raises(ValueError, match=told):
        conditions.change(twice=0.5, **given)
    assert conditions.unusual() == {}


async def test_what_is_unusual_can_be_told_and_ended() -> None:
    conditions = Conditions()
    conditions.change(limit={"a_minute": 60}, unreadable=None, late=0.5)
    assert conditions.unusual() == {"limit": asdict(AccountLimit(a_minute=60)), "unreadable": None, "late": 0.5}
    conditions.reset()
    assert conditions == Conditions()
