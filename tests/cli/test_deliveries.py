"""``gateway deliveries``: what went, goes or could not go."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.models import DeliveryState, ReasonCode
from gateway.store.engine.transaction_time import now
from gateway.store.store import Store
from gateway.store.work.queue import Begin, Settlement
from tests.cli.conftest import Run
from tests.support.keeping import keep, notification


def listed(run: Run, filled: Path, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run("deliveries", "list", "--routes", filled, "--json", *options).json
    return found


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], ["waiting", "waiting", "doubtful", "doubtful", "delivered", "delivered"]),
        (["--state", "dead"], ["doubtful"]),
        (["--state", "skipped"], ["delivered"]),
        (["--state", "dropped"], []),
        (["--notification", "doubtful"], ["doubtful", "doubtful"]),
        (["--record", "r1"], ["delivered", "delivered"]),
        (["--destination", "service", "--limit", "2"], ["waiting", "doubtful"]),
        (["--route", "statuses"], []),
        (["--since", "9999-01-01"], []),
    ],
)
def test_a_list_can_be_narrowed_and_comes_newest_first(
    run: Run, filled: Path, options: list[str], found: list[str]
) -> None:
    assert [one["notification"] for one in listed(run, filled, *options)] == found


def test_a_list_says_where_to_why_and_when_next(run: Run, filled: Path) -> None:
    words = run("deliveries", "list", "--routes", filled).words
    for text in (
        "dead (in doubt) route → folder notification doubtful 2 attempts in doubt: no answer within its time limit",
        "delivered route → service notification doubtful 3 attempts 200",
        "delivered route → folder notification delivered files/r1.json (88 bytes)",
        "pending route → folder notification waiting next 20",
    ):
        assert text in words


def test_an_empty_list_says_so(run: Run, filled: Path) -> None:
    assert run("deliveries", "list", "--routes", filled, "--route", "statuses").out == "No delivery fits.\n"


@pytest.mark.parametrize("order", ["list", "replay", "drop"])
@pytest.mark.parametrize("noun", ["deliveries", "notifications"])
@pytest.mark.parametrize(
    ("option", "name", "told"),
    [
        ("--destination", "fodler", "there is no destination 'fodler', neither in the routes file nor in the store"),
        ("--route", "inspektions", "there is no route 'inspektions', neither in the routes file nor in the store"),
    ],
)
def test_a_name_that_is_neither_in_the_file_nor_in_the_store_is_told_with_the_one_that_is_meant(
    run: Run, filled: Path, noun: str, order: str, option: str, name: str, told: str
) -> None:
    asked = run(noun, order, option, name, "--routes", filled)
    assert (asked.status, asked.out) == (2, "")
    meant = {"fodler": "folder", "inspektions": "inspections"}[name]
    assert f"Error: {told}. Did you mean `{meant}`? Known: `" in asked.err
    known = "route" if option == "--route" else "service"
    assert f"`{known}`" in asked.err  # from the store alone, or from both


def test_a_name_of_the_file_is_known_whatever_else_is_wrong_in_it(run: Run, filled: Path) -> None:
    broken = filled.with_name("broken.toml")
    broken.write_text(filled.read_text().replace('plugin = "file"', 'plugin = "fiel"'))
    list_of = ("deliveries", "list", "--routes", broken, "--record", "nobody", "--destination")
    assert run(*list_of, "folder").out == "No delivery fits.\n"
    asked = run(*list_of, "fodler")
    assert (asked.status, asked.out) == (2, "")
    assert "Did you mean `folder`?" in asked.err


@pytest.mark.parametrize(
    ("order", "told"),
    [
        (["deliveries", "list", "--state", "deed"], "'deed' is not known. Did you mean `dead`? Known: `dead`,"),
        (["notifications", "list", "--state", "deed"], "'deed' is not known. Did you mean `dead`? Known: `dead`,"),
        (["notifications", "list", "--event", "craete"], "'craete' is not known. Did you mean `create`?"),
        (["serve", "--role", "worker"], "'worker' is not known. Did you mean `work`? Known: `both`, `receive`, `work`"),
    ],
)
def test_a_word_that_is_none_of_the_choices_is_a_mistake_of_usage_that_names_them(
    run: Run, filled: Path, order: list[str], told: str
) -> None:
    asked = run(*order, "--routes", filled)
    assert (asked.status, asked.out) == (2, "")
    assert told in " ".join(asked.err.replace("│", " ").split())
    assert "Value error" not in asked.err


def test_one_is_shown_with_its_attempts_and_what_was_sent_by_id_or_key(run: Run, filled: Path) -> None:
    [dead] = listed(run, filled, "--state", "dead")
    by_id = run("deliveries", "show", str(dead["id"]), "--routes", filled)
    by_key = run("deliveries", "show", dead["delivery_key"], "--routes", filled)
    assert (by_id.status, by_id.out) == (0, by_key.out)
    for text in (
        "state dead (in doubt)",
        "attempts 2",
        "reason in doubt: no answer within its time limit of 30 s",
        f"delivery key {dead['delivery_key']}",
        "unavailable the disk is full",
        "uncertain in doubt: no answer",
        'What is sent, as rendered at the first attempt: { "filename": "r1.json" }',
    ):
        assert text in by_id.words


def test_json_of_one_is_one_object_with_its_history(run: Run, filled: Path) -> None:
    [dead] = listed(run, filled, "--state", "dead")
    one = run("deliveries", "show", str(dead["id"]), "--routes", filled, "--json").json
    assert [(each["number"], each["result"]) for each in one["history"]] == [(1, "unavailable"), (2, "uncertain")]
    assert (one["in_doubt"], one["sent"]) == (True, {"filename": "r1.json"})


@pytest.mark.parametrize("prior", [0, 1])
def test_what_was_rejected_before_it_was_sent_is_no_attempt_in_the_history_either(
    run: Run, empty: Path, prior: int
) -> None:
    asyncio.run(_reject(Store(f"sqlite:///{empty.with_name('gateway.db')}"), prior))
    [dead] = listed(run, empty, "--state", "dead")
    one = run("deliveries", "show", str(dead["id"]), "--routes", empty, "--json").json
    assert (one["attempts"], one["history"][-1]["number"], len(one["history"])) == (prior, prior, prior + 1)
    words = run("deliveries", "show", str(dead["id"]), "--routes", empty).words
    assert f"attempts {prior} settled" in words
    assert re.search(rf" {prior or '-'} \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d rejected no such question", words)


async def _reject(store: Store, prior: int) -> None:
    """Have a delivery tried so often, and then rejected before anything is sent."""
    await store.open()
    await store.submit(keep(notification("n1"), to=("folder",)))
    for _ in range(prior):
        [due] = await store.claim({"folder": 1})
        assert all(await store.begin([Begin(due=due, attempt_id=7, rendered=b"{}")]))
        again = {"result": "unavailable", "reason": "the disk is full", "due_at": now()}
        await store.settle([Settlement(due=due, attempt_id=7, state=DeliveryState.PENDING, **again)])  # type: ignore[arg-type]
    [due] = await store.claim({"folder": 1})
    rejected = {"state": DeliveryState.DEAD, "result": "rejected", "reason": "no such question"}
    await store.settle([Settlement(due=due, attempt_id=None, **rejected)])  # type: ignore[arg-type]
    await store.close()


@pytest.mark.parametrize(
    ("reason", "code", "result", "told"),
    [
        (
            "given up after 3 attempts in 3.0d: no answer",
            ReasonCode.GIVEN_UP,
            "unavailable",
            "mend folder, then `{again}`: it goes as it was",
        ),
        ("422: no such site", None, "rejected", "mend the route or folder, then `{again}`: it is rendered anew"),
        ("given up after reading it", None, "rejected", "mend the route or folder, then `{again}`: it is rendered"),
        (
            "1 attachment of 2 missing: ask",
            None,
            "rejected",
            "mend the route or folder, then `{again}`: it is rendered",
        ),
        ("it is gone", ReasonCode.RECORD_NOT_FETCHED, "rejected", "`{again}` fetches it again"),
        ("given up after 9", ReasonCode.ATTACHMENT_MISSING, "rejected", "cause, then `{again}` downloads them again"),
    ],
)
def test_a_dead_one_says_what_to_do_by_its_code_and_that_is_what_a_replay_does(
    run: Run, empty: Path, reason: str, code: ReasonCode | None, result: str, told: str
) -> None:
    asyncio.run(_dead(empty, reason, result, code))
    shown = run("deliveries", "show", "1", "--routes", empty).words
    assert told.format(again="gateway deliveries replay 1") in shown
    replayed = run("deliveries", "replay", "1", "--routes", empty).words
    assert ("sent again as it was" in replayed) == ("as it was" in told)
    assert " to do " not in run("deliveries", "show", "1", "--routes", empty).words


def test_one_in_doubt_says_to_look_at_its_destination(run: Run, filled: Path) -> None:
    [dead] = listed(run, filled, "--state", "dead")
    told = f"look at folder: if it is there, `gateway deliveries drop {dead['id']}`; if not, `gateway deliveries replay"
    assert told in run("deliveries", "show", str(dead["id"]), "--routes", filled).words


async def _dead(routes: Path, reason: str, result: str, code: ReasonCode | None) -> None:
    store = Store(f"sqlite:///{routes.with_name('gateway.db')}")
    await store.open()
    await store.submit(keep(notification("n1"), to=("folder",)))
    [due] = await store.claim({"folder": 1})
    assert all(await store.begin([Begin(due=due, attempt_id=7, rendered=b"{}")]))
    dead = {"state": DeliveryState.DEAD, "result": result, "reason": reason, "code": code}
    await store.settle([Settlement(due=due, attempt_id=7, **dead)])  # type: ignore[arg-type]
    await store.close()


def test_one_behind_an_earlier_one_of_its_record_says_which(run: Run, empty: Path) -> None:
    asyncio.run(_two_of_one_record(empty))
    second, first = listed(run, empty)
    assert (first["behind"], second["behind"], second["behind_state"]) == (None, first["id"], "pending")
    told = f"it waits behind delivery {first['id']}, an earlier one of the same record"
    assert told in run("deliveries", "show", str(second["id"]), "--routes", empty).words
    words = run("deliveries", "list", "--routes", empty).words
    assert f"notification n2 {told}" in words  # no time of a next attempt, which it does not have
    assert "notification n1 due since 20" in words


def test_one_behind_a_dead_one_of_a_strict_line_says_what_lets_it_go_on(run: Run, empty: Path) -> None:
    asyncio.run(_two_of_one_record(empty, strict=True))
    second, first = listed(run, empty)
    assert (first["state"], second["behind_state"]) == ("dead", "dead")
    told = (
        f"it waits behind delivery {first['id']}, which is dead: its order is strict, so that this one goes on when "
        "that one is replayed or dropped"
    )
    assert told in run("deliveries", "list", "--routes", empty).words
    assert told in run("notifications", "show", "n2", "--routes", empty).words


def test_one_whose_destination_is_paused_says_so_though_it_was_never_tried(run: Run, empty: Path) -> None:
    asyncio.run(_two_of_one_record(empty))
    run("destinations", "pause", "folder", "--reason", "moving the disk", "--routes", empty)
    _, first = listed(run, empty)
    assert (first["reason"], first["pause"]) == (None, "moving the disk")
    told = "notification n1 the destination folder is paused: moving the disk"
    assert told in run("deliveries", "list", "--routes", empty).words


def test_one_that_is_being_sent_says_since_when(run: Run, empty: Path) -> None:
    asyncio.run(_being_sent(empty))
    [one] = listed(run, empty)
    assert (one["state"], one["begun"] is not None) == ("pending", True)
    words = run("deliveries", "list", "--routes", empty).words
    assert re.search(r"notification n1 its attempt of 20[\d-]+ [\d:]+ has no known end yet", words)


async def _two_of_one_record(routes: Path, *, strict: bool = False) -> None:
    """Keep two notifications of one record; ``strict`` has the first one's delivery die and block the second one's."""
    store = Store(f"sqlite:///{routes.with_name('gateway.db')}")
    await store.open()
    for key in ("n1", "n2"):
        await store.submit(keep(notification(key), to=("folder",)))
    if strict:
        [due] = await store.claim({"folder": 1})
        ended = Settlement(due=due, attempt_id=None, state=DeliveryState.DEAD, reason="no such question", blocks=True)
        await store.settle([ended])
    await store.close()


async def _being_sent(routes: Path) -> None:
    store = Store(f"sqlite:///{routes.with_name('gateway.db')}")
    await store.open()
    await store.submit(keep(notification("n1"), to=("folder",)))
    [due] = await store.claim({"folder": 1})
    assert all(await store.begin([Begin(due=due, attempt_id=7, rendered=b"{}")]))
    await store.close()


@pytest.mark.parametrize("which", ["999", "99999999999999999999999", "²", "nope", "-"])
def test_one_that_is_not_there_is_status_1(run: Run, filled: Path, which: str) -> None:
    shown = run("deliveries", "show", "--routes", filled, which)
    assert (shown.status, shown.out) == (1, "")
    assert f"no delivery has the id or delivery key {which!r}" in shown.err


def test_none_is_listed_as_sent_without_an_attachment_that_had_them_all(run: Run, filled: Path) -> None:
    assert run("deliveries", "list", "--routes", filled, "--json", "--attachment-missing").json == []
    none = run("deliveries", "replay", "--routes", filled, "--attachment-missing", "--force", "--yes")
    assert none.status == 1
    assert "no delivery fits that is delivered" in none.err
