"""Orders of a person on call to a running gateway: what was dead goes again, and doForms hears the new outcome."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

from tests.end_to_end.conftest import FORM, Make, World
from tests.support.service import Service

DELAYED = 'mode = "delayed"'
FILE = 'to = "folder"\nfilename = "{{ record.key }}.json"\ncolumns = { site = "{{ record.fields.site }}" }'
SEND = 'to = "mended"\npath = "records"\njson = { site = "{{ record.fields.site }}" }'
UNBROKEN = "breaker = { failures = 1000000 }"
"""So that each delivery meets the service."""
ONCE = f"{SEND}\nretry = {{ attempts = 1 }}"


def order(world: World, *words: str) -> Any:
    """Give an order by the command line; returns what became of it."""
    command = [sys.executable, "-m", "gateway", *words, "--routes", str(world.folder / "routes.toml"), "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


async def test_one_that_was_given_up_is_replayed_after_the_destination_was_mended_and_a_second_put_tells(
    world: World, route: Make, service: Service
) -> None:
    with world.running(service.destination(UNBROKEN) + route(ONCE, head=DELAYED)):
        seen = await world.doforms.create(FORM, {"site": "Dock"})
        await world.doforms.until(lambda: seen.belief == "failed")
        [dead] = order(world, "deliveries", "list", "--state", "dead")
        assert "given up after 1 attempt" in dead["reason"]
        service.status = 201
        [done] = order(world, "deliveries", "replay", str(dead["id"]), "--reason", "the service is back")
        assert done["text"] == "sent again as it was, under its old key"
        await world.doforms.until(lambda: seen.belief == "completed", timeout=5)
        assert seen.puts == ["failed", "completed"]
        assert [one.key for one in service.taken] == [dead["delivery_key"]]


async def test_hundreds_are_replayed_at_once_and_doforms_believes_each(
    world: World, route: Make, service: Service
) -> None:
    with world.running(service.destination(UNBROKEN) + route(ONCE, head=DELAYED)):
        sent = await asyncio.gather(*(world.doforms.create(FORM, {"site": number}) for number in range(200)))
        await world.doforms.until(lambda: all(seen.belief == "failed" for seen in sent), timeout=60)
        service.status = 201
        done = order(world, "deliveries", "replay", "--destination", "mended", "--error", "given up", "--yes")
        assert [one["done"] for one in done] == [True] * 200
        await world.doforms.until(lambda: all(seen.belief == "completed" for seen in sent), timeout=60)
        assert all(seen.puts == ["failed", "completed"] for seen in sent)
        assert len({one.key for one in service.taken}) == len(service.taken) == 200


async def test_what_was_rejected_is_rendered_anew_with_mended_routes(world: World, route: Make) -> None:
    rejected = 'to = "service"\npath = "closed"\njson = { key = "{{ record.key }}" }'
    with world.running(route(rejected, head=DELAYED)):
        seen = await world.doforms.create(FORM, {"site": "Dock"})
        await world.doforms.until(lambda: seen.belief == "failed")
    with world.running(route(rejected.replace("closed", "records"), head=DELAYED)):
        [done] = order(world, "notifications", "replay", seen.key)
        assert done["text"] == "rendered anew under a new key"
        await world.doforms.until(lambda: seen.belief == "completed", timeout=5)
        first, second = world.rest.taken
        assert (first.path, second.path) == ("/closed", "/records")
        assert first.key != second.key


async def test_a_refetch_brings_the_record_as_it_is_now(world: World, route: Make) -> None:
    with world.running(route(FILE, head=DELAYED)):
        seen = await world.doforms.create(FORM, {"site": "Dock"}, key="r1")
        await world.doforms.until(lambda: seen.belief == "completed")
        world.doforms.put_record(FORM, "r1", {"site": "Pier"})
        file = world.folder / "files" / "r1.json"
        [one] = order(world, "deliveries", "list")
        order(world, "deliveries", "replay", str(one["id"]), "--force", "--refetch")
        await world.doforms.until(lambda: "Pier" in file.read_text(), timeout=5)
        assert seen.puts == ["completed"]


async def test_an_unmatched_notification_is_matched_after_the_routes_were_mended(world: World, route: Make) -> None:
    with world.running(route(FILE, form="Other")):
        seen = await world.doforms.create(FORM, {"site": "Dock"}, key="r1")
        assert seen.belief == "received"
    with world.running(route(FILE, form="Inspection")):
        [done] = order(world, "notifications", "replay", "--unmatched", "--yes")
        assert done["text"] == "matched: 1 delivery"
        await world.doforms.until(lambda: seen.belief == "completed", timeout=5)
        assert "Dock" in (world.folder / "files" / "r1.json").read_text()
        other = await world.doforms.create(FORM, {"site": "Pier"})
        await world.doforms.until(lambda: other.belief == "completed", timeout=5)


async def test_a_strict_lane_goes_on_in_order_when_what_blocks_it_is_replayed(
    world: World, route: Make, service: Service
) -> None:
    with world.running(service.destination(UNBROKEN) + route(f'{ONCE}\norder = "strict"', head=DELAYED)):
        first = await world.doforms.create(FORM, {"site": "Dock"}, key="r1")
        await world.doforms.until(lambda: first.belief == "failed")
        service.status = 201
        second = await world.doforms.update(FORM, "r1", {"site": "Pier"})
        await asyncio.sleep(1.5)
        assert second.belief == "received"
        order(world, "notifications", "replay", first.key)
        await world.doforms.until(lambda: second.belief == "completed", timeout=5)
        assert [one.body["site"] for one in service.taken] == ["Dock", "Pier"]
        assert first.belief == "completed"


async def test_a_strict_lane_goes_on_when_what_blocks_it_is_dropped(
    world: World, route: Make, service: Service
) -> None:
    with world.running(service.destination(UNBROKEN) + route(f'{ONCE}\norder = "strict"', head=DELAYED)):
        first = await world.doforms.create(FORM, {"site": "Dock"}, key="r1")
        await world.doforms.until(lambda: first.belief == "failed")
        service.status = 201
        second = await world.doforms.update(FORM, "r1", {"site": "Pier"})
        assert second.belief == "received"
        [done] = order(world, "notifications", "drop", first.key, "--reason", "typed twice")
        assert done["text"].endswith("typed twice")
        await world.doforms.until(lambda: second.belief == "completed", timeout=5)
        assert [one.body["site"] for one in service.taken] == ["Pier"]
        assert first.puts == ["failed"]


async def test_what_waits_and_is_dropped_has_failed_for_doforms(world: World, route: Make, service: Service) -> None:
    later = SEND + '\nretry = { first = "1h", max = "1h" }'
    with world.running(service.destination(UNBROKEN) + route(later, head=DELAYED)):
        seen = await world.doforms.create(FORM, {"site": "Dock"})
        await world.doforms.until(lambda: world.stored("SELECT reason FROM deliveries") != [(None,)])
        order(world, "deliveries", "drop", "--state", "pending", "--error", "503", "--yes")
        await world.doforms.until(lambda: seen.belief == "failed", timeout=5)
        assert service.taken == []


async def test_a_notification_whose_record_could_not_be_fetched_is_replayed(world: World, route: Make) -> None:
    world.write(route(FILE, head=DELAYED))
    assert world.gateway is not None
    file = world.gateway.routes
    file.write_text(file.read_text().replace("fetch_retry = { ", "fetch_retry = { attempts = 1, "))
    world.gateway.start()
    world.doforms.target = world.gateway.url
    world.doforms.faults.add(method="GET", status=503)
    seen = await world.doforms.create(FORM, {"site": "Dock"}, key="r1")
    await world.doforms.until(lambda: seen.belief == "failed")
    order(world, "notifications", "replay", seen.key)
    await world.doforms.until(lambda: seen.belief == "completed", timeout=5)
    assert "Dock" in (world.folder / "files" / "r1.json").read_text()
    assert world.gateway.stop() == 0
