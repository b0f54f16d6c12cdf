"""What alarms tell a person to type does what they say."""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
import sys

import pytest

from tests.end_to_end.conftest import FORM, Make, World

FILE = 'to = "folder"\nfilename = "{{ record.key }}.json"'
FULL_DISK = 'min_free_disk = "1000000TB"'


async def raised(world: World, kind: str) -> str:
    """Return the text of an alarm, once it is raised."""
    query = f"SELECT text FROM alarms WHERE kind = '{kind}' AND cleared_at IS NULL"
    await world.doforms.until(lambda: len(world.stored(query)) == 1, timeout=10)
    [(text,)] = world.stored(query)
    return str(text)


def commands(text: str) -> list[str]:
    """Return the commands that a text names."""
    return re.findall(r"`gateway ([^`]+)`", text)


def typed(world: World, command: str, *more: str, status: int = 0) -> str:
    """Type a command that ends with this status, and return what it prints."""
    words = [sys.executable, "-m", "gateway", *shlex.split(command), *more]
    words += ["--routes", str(world.folder / "routes.toml")]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done.stdout


async def test_what_no_route_matched_is_matched_or_given_up_as_its_alarm_says(world: World, route: Make) -> None:
    with world.running(route(FILE, form="Other")):
        seen = await world.doforms.create(FORM, {"site": "Dock"}, key="r1")
        again, drop = commands(await raised(world, "unmatched"))[1:]
        world.rewrite(route(FILE))
        typed(world, "reload")
        assert "matched: 1 delivery" in typed(world, again, "--yes")
        await world.doforms.until(lambda: seen.belief == "completed", timeout=10)
        world.rewrite(route(FILE, form="Other"))
        typed(world, "reload")
        await world.doforms.create(FORM, {"site": "Dock"}, key="r2")
        await raised(world, "unmatched")
        assert "dropped" in typed(world, drop, "--yes")


async def test_what_was_never_fetched_is_fetched_as_its_alarm_says(world: World, route: Make) -> None:
    file = world.folder / "routes.toml"
    with world.running(route(FILE)) as gateway:
        file.write_text(file.read_text().replace("fetch_retry = { ", "fetch_retry = { attempts = 1, "))
        gateway.reload()
        world.doforms.faults.add(call="record", status=500, times=None)
        seen = await world.doforms.create(FORM, {"site": "Dock"}, key="r1")
        await world.doforms.until(lambda: seen.belief == "failed", timeout=10)
        world.doforms.faults.clear()
        [again] = commands(await raised(world, "record not fetched"))
        assert "1" in typed(world, again, "--yes")
        await world.doforms.until(lambda: seen.belief == "completed", timeout=10)


async def test_what_the_books_miss_is_let_in_as_they_say(
    world: World, route: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOFORMS_PASSWORD", "secret")
    with world.running(route(FILE)):
        world.doforms.world.put(FORM, "r1", {"site": "Dock"})
        told = await asyncio.to_thread(typed, world, "reconcile --books --webservice inspection --until 0s", status=1)
        assert "missing: r1" in told
        [let_in] = commands(told)
        await asyncio.to_thread(typed, world, let_in, "--yes")
        await world.doforms.until((world.folder / "files" / "r1.json").exists, timeout=10)


async def test_a_disk_that_is_nearly_full_says_how_to_make_room(world: World, route: Make) -> None:
    with world.running(route(FILE), gateway=FULL_DISK):
        [prune] = commands(await raised(world, "disk nearly full"))
        typed(world, prune, "--yes")


async def test_a_full_backlog_says_where_to_look(world: World, route: Make) -> None:
    with world.running(route(FILE), gateway="backlog_limit = 1"):
        typed(world, "destinations pause folder")
        await world.doforms.until(lambda: world.gateway.health()["destinations"]["folder"] != "ready")
        await world.doforms.create(FORM, {"site": "Dock"}, key="r1")
        [look] = commands(await raised(world, "backlog full"))
        assert "paused" in typed(world, look)
        typed(world, "destinations resume folder")


async def test_secrets_that_do_not_fit_say_how_what_was_refused_is_found(
    world: World, route: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOFORMS_PASSWORD", "secret")
    with world.running(route(FILE, form="Inspection")):
        world.doforms.headers["X-Webhook-Key"] = "wrong"
        for _ in range(20):
            await world.doforms.create(FORM, {"site": "Dock"})
        [books] = commands(await raised(world, "unauthorised"))
        assert "kept here 0, missing 20" in await asyncio.to_thread(typed, world, books, status=1)


async def test_what_is_amiss_with_a_record_is_found_in_the_log_by_its_key(world: World, route: Make) -> None:
    dead = 'to = "folder"\nfilename = "{{ record.fields.site / 2 }}.json"'
    with world.running(route(dead)) as gateway:
        await world.doforms.create(FORM, {"site": "Dock"}, key="r-dead")
        world.rewrite(route(FILE, form="Other"))
        gateway.reload()
        await world.doforms.create(FORM, {"site": "Dock"}, key="r-unmatched")
        world.rewrite(route(FILE), gateway=FULL_DISK)
        gateway.reload()
        await world.doforms.create(FORM, {"site": "Dock"}, key="r-refused")
        expected = {("delivery is dead", "r-dead"), ("unmatched", "r-unmatched"), ("not kept", "r-refused")}
        told = {(line["event"], line["record"]) for line in gateway.lines() if line.get("record")}
        assert told >= expected
