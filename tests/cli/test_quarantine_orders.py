"""``gateway quarantine replay`` and ``drop``, on both stores, as a gateway has left them."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import store_of
from gateway.errors import Misfit
from gateway.models import AlarmKind
from gateway.store.operator import quarantine
from gateway.store.operator.quarantine import NewEntry
from gateway.store.store import Store
from gateway.store.work import alarms
from tests.cli.conftest import Run, make_filled

BODY = b'{"key": "late-%d", "webserviceId": "acme$$1$$Published$$2", "submissionKey": "r9"}'


@pytest.fixture(params=["sqlite", "postgresql"])
def aside(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a routes file whose store holds a bit of everything."""
    return make_filled(request, tmp_path)


def put(routes: Path, *entries: NewEntry) -> list[str]:
    """Put bodies into quarantine as a gateway before the mend did, each under its alarm; returns their ids."""

    async def write() -> list[str]:
        store = Store(store_of(routes))
        await store.open(beside=True)
        numbers = [await store.write(lambda c, one=one: quarantine.add(c, one)) for one in entries]
        for one in entries:
            await store.write(lambda c, one=one: alarms.raise_alarm(c, AlarmKind.QUARANTINED, one.code, "told"))
        await store.close()
        return [str(number) for number in numbers]

    return asyncio.run(write())


def entry(body: bytes, **more: Any) -> NewEntry:
    values = {"path": "/webhooks/doforms/Deleted/", "client": "192.0.2.7", "reason": "odd", "body": body}
    return NewEntry(**(values | {"code": Misfit.ENCODING} | more))


def listed(run: Run, routes: Path) -> list[str]:
    return sorted(str(one["id"]) for one in run("quarantine", "list", "--routes", routes, "--json").json)


def test_replay_takes_a_body_in_as_receiving_does_and_out_of_quarantine(run: Run, aside: Path) -> None:
    marked = entry(b"\xef\xbb\xbf" + BODY % 1)
    packed = entry(gzip.compress(BODY % 2), coding="gzip", code=Misfit.CODING)
    repeat = entry(BODY % 1)
    numbers = put(aside, marked, packed, repeat)
    ran = run("quarantine", "replay", *numbers, "--routes", aside, "--json")
    assert ran.status == 0, ran.err
    told = {str(one["id"]): (one["done"], one["notification"], one["text"]) for one in ran.json}
    assert told[numbers[0]] == (True, "late-1", "kept, 2 deliveries")
    assert told[numbers[1]][:2] == (True, "late-2")
    assert told[numbers[2]] == (True, "late-1", "a repeat of what was kept before: open")
    shown = run("notifications", "show", "late-1", "--routes", aside, "--json").json
    assert (shown["event"], shown["mode"], shown["record_key"]) == ("delete", "delayed", "r9")
    assert shown["mode_reason"].startswith("taken in from quarantine by ")
    assert shown["body"] == (BODY % 1).decode()
    assert {one["state"] for one in shown["all_deliveries"]} == {"pending"}
    assert set(listed(run, aside)).isdisjoint(numbers)
    raised = [one["subject"] for one in run("alarms", "--routes", aside, "--json").json]
    assert "coding" not in raised


def test_replay_refuses_what_is_still_no_notification_with_the_reason(run: Run, aside: Path) -> None:
    cut = entry(b"\xff" * 5000)
    still = entry(b'{"key": "k"}', code=Misfit.IDENTIFIER)
    unknown = entry(BODY % 3, coding="br")
    numbers = put(aside, cut, still, unknown)
    ran = run("quarantine", "replay", *numbers, "--routes", aside, "--json")
    assert ran.status == 1
    texts = {str(one["id"]): one["text"] for one in ran.json}
    assert "only the first 4096 of its 5000 bytes" in texts[numbers[0]]
    assert "it is still no notification: `webserviceId` is missing" in texts[numbers[1]]
    assert "only gzip, deflate, identity are unpacked" in texts[numbers[2]]
    assert not any(one["done"] for one in ran.json)
    assert set(numbers) <= set(listed(run, aside))
    gone = run("quarantine", "replay", "4711", "--routes", aside)
    assert (gone.status, "not in quarantine" in gone.out) == (1, True)


def test_replay_takes_in_for_an_account_only_what_came_with_its_headers(run: Run, aside: Path) -> None:
    head, _, rest = aside.read_text().partition("[webhook]\n")
    own = '[accounts.acme]\nheaders = { X-Own = "env:OWN" }\n'
    numbers = put(aside, entry(BODY % 4), entry(BODY % 5, senders=("", "acme")))
    aside.write_text(f"{head}{own}[webhook]\n{rest}")
    ran = run("quarantine", "replay", *numbers, "--routes", aside, "--json")
    assert [one["done"] for one in ran.json] == [False, True]
    assert "carried those of somebody else" in ran.json[0]["text"]


def test_replay_keeps_what_no_route_matches_under_its_alarm(run: Run, aside: Path) -> None:
    body = b'{"key": "strange", "webserviceId": "nowhere$$1"}'
    [number] = put(aside, entry(body))
    ran = run("quarantine", "replay", number, "--routes", aside)
    assert (ran.status, "kept, unmatched: its web service is not in the routes file" in ran.words) == (0, True)
    shown = run("notifications", "show", "strange", "--routes", aside, "--json").json
    assert shown["matched"] is False
    text = " ".join(one["text"] for one in run("alarms", "--routes", aside, "--json").json)
    assert "notification strange of nowhere$$1" in text


def test_drop_forgets_bodies_by_id_or_by_what_fits(run: Run, aside: Path) -> None:
    numbers = put(aside, *[entry(b"x", code=code) for code in (Misfit.NOT_JSON, Misfit.NOT_JSON, Misfit.EMPTY)])
    before = listed(run, aside)
    ran = run("quarantine", "drop", "--code", "not-json", "--routes", aside)
    assert (ran.status, "Add --yes" in ran.err, listed(run, aside)) == (2, True, before)
    ran = run("quarantine", "drop", "--code", "not-json", "--yes", "--routes", aside, "--json")
    assert [one["done"] for one in ran.json] == [True, True]
    assert set(before) - set(listed(run, aside)) == set(numbers[:2])
    raised = [one["subject"] for one in run("alarms", "--routes", aside, "--json").json]
    assert ("not-json" in raised, "empty" in raised) == (False, True)
    assert run("quarantine", "drop", numbers[2], "--routes", aside).status == 0
    assert run("quarantine", "drop", numbers[2], "--routes", aside).status == 1
    assert run("quarantine", "drop", "--all", "--yes", "--reason", "junk", "--routes", aside).status == 0
    assert listed(run, aside) == []
    assert run("quarantine", "drop", "--all", "--yes", "--routes", aside).status == 1


@pytest.mark.parametrize("order", ["replay", "drop"])
@pytest.mark.parametrize(
    "words", [[], ["1", "--all"], ["1", "--code", "empty"], ["--all", "--since", "3d"], ["--code", "x"]]
)
def test_order_that_does_not_say_which_is_a_mistake_of_usage(
    run: Run, filled: Path, order: str, words: list[str]
) -> None:
    assert run("quarantine", order, *words, "--routes", filled).status == 2


def test_list_can_be_narrowed(run: Run, filled: Path) -> None:
    found = run("quarantine", "list", "--code", "identifier", "--routes", filled, "--json").json
    assert [(one["code"], one["reason"]) for one in found] == [("identifier", "`key` is missing")]
    assert run("quarantine", "list", "--error", "utf-8", "--routes", filled, "--json").json[0]["code"] == "encoding"
    assert run("quarantine", "list", "--until", "3d", "--routes", filled).out == "Nothing fits.\n"
