"""SIGHUP to a real gateway under load: the routes change, the work stays."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Callable

import httpx

from gateway.doforms.simulator import Seen
from tests.end_to_end.conftest import FORM, KEY, Make, World
from tests.support import tape

ROW = 'to = "table"\ntable = "plain"\ndelivery_key = "delivery_key"\ncolumns = { record = "{{ notification.key }}" }'
OTHER_ROW = ROW.replace("{{ notification.key }}", "again {{ notification.key }}")
POST = 'to = "service"\npath = "records"\njson = { key = "{{ notification.key }}" }'
DELAYED = 'mode = "delayed"'


def tape_of(world: World, settings: str = "", *, name: str = "tape") -> str:
    path = world.folder / f"{name}.txt"
    return f'\n[destinations.{name}]\nplugin = "tape"\ntape = "{path}"\n{settings}\n'


def on_tape(world: World, name: str = "tape") -> list[str]:
    path = world.folder / f"{name}.txt"
    return path.read_text().splitlines() if path.exists() else []


def alarms(world: World) -> list[tuple[str, str]]:
    return world.stored("SELECT kind, subject FROM alarms WHERE cleared_at IS NULL ORDER BY kind, subject")


async def reload(world: World, routes: str, **more: str) -> dict[str, object]:
    world.rewrite(routes, **more)
    return await asyncio.to_thread(world.gateway.reload)


async def put_key(world: World, key: str, record: str = "r1") -> Seen:
    seen = world.doforms.compose(FORM, "update", submission_key=record, key=key)
    await world.doforms.send(seen)
    return seen


def settled(world: World, key: str) -> Callable[[], bool]:
    return lambda: (
        world.stored(
            "SELECT d.state FROM deliveries d JOIN notifications n ON n.id = d.notification_id"
            f" WHERE n.notification_key = '{key}'"
        )
        == [("delivered",)]
    )


async def test_ten_reloads_under_load_with_other_routes_each_time_lose_and_double_nothing(
    world: World, route: Make
) -> None:
    chance = random.Random(7)
    wider = f'\n[destinations.extra]\nplugin = "rest"\nurl = "{world.rest.url}"\n'
    versions = [
        route(ROW, POST),
        route(ROW, POST, head=DELAYED),  # another mode
        route(ROW, POST) + wider,  # another destination
        route(ROW, POST).replace('to = "service"', 'to = "service"\nrequired = false'),
        "this is = no routes file",
    ]
    heads = ["", 'lease = "30s"', 'unmatched = "fail"']
    pools = ["", "pool_size = 2", "concurrency = 3", 'rate = "500/s"']
    sent = [
        world.doforms.compose(FORM, "update", submission_key=f"r{chance.randrange(12)}", key=f"n{number}")
        for number in range(300)
    ]
    with world.running(versions[0]):

        async def load() -> None:
            gate = asyncio.Semaphore(10)

            async def send(seen: Seen) -> None:
                async with gate:
                    await world.doforms.send(seen)
                    await asyncio.sleep(0.1)

            await asyncio.gather(*(send(seen) for seen in sent))

        loading = asyncio.create_task(load())
        for turn in range(10):
            await asyncio.sleep(chance.uniform(0.05, 0.3))
            world.rewrite(versions[turn % len(versions)], gateway=heads[turn % len(heads)])
            file = world.folder / "routes.toml"
            limits = f'plugin = "database"\n{pools[turn % len(pools)]}\n'
            file.write_text(file.read_text().replace('plugin = "database"\n', limits))
            told = await asyncio.to_thread(world.gateway.reload)
            assert ("failed" in str(told["event"])) == (turn % len(versions) == 4)
        await loading
        world.rewrite(versions[0])
        await asyncio.to_thread(world.gateway.reload)
        await world.doforms.until(lambda: all(seen.belief == "completed" for seen in sent), timeout=30)
        rows = [key for (key,) in world.rows("SELECT record FROM plain")]
        assert sorted(rows) == sorted(seen.key for seen in sent)
        taken = [one.body["key"] for one in world.rest.taken]
        assert sorted(taken) == sorted(rows)
        assert {answer.status for seen in sent for answer in seen.answers} == {200}
        await world.doforms.until(lambda: alarms(world) == [])


async def test_a_file_with_mistakes_changes_nothing_and_all_of_them_are_in_the_log(world: World, route: Make) -> None:
    with world.running(route(ROW)):
        bad = route(ROW.replace("columns", "colums").replace('"table"\n', '"tabel"\n', 1))
        told = await reload(world, bad + '[destinations.more]\nplugin = "rset"\n')
        assert "the routes that were loaded before stay in force" in str(told["event"])
        problems = str(told["problems"])
        assert "tabel" in problems
        assert "rset" in problems
        assert alarms(world) == [("reload failed", str(world.folder / "routes.toml"))]
        await put_key(world, "n1")
        await world.doforms.until(lambda: len(world.rows("SELECT * FROM plain")) == 1)
        told = await reload(world, route(ROW, POST))
        assert told["event"] == "routes loaded again"
        await world.doforms.until(lambda: alarms(world) == [])


async def test_what_a_running_gateway_cannot_change_is_refused_with_the_way_out(world: World, route: Make) -> None:
    with world.running(route(ROW)):
        told = await reload(world, route(ROW), gateway='store = "sqlite:///other.db"')
        assert "[gateway] store has changed" in str(told["problems"])
        assert "Restart it, or take that change back" in str(told["problems"])
        assert not (world.folder / "other.db").exists()
        world.rewrite(route(ROW))
        open_to_all = (
            (world.folder / "routes.toml").read_text().replace('headers = { X-Webhook-Key = ["env:WEBHOOK_KEY"] }', "")
        )
        (world.folder / "routes.toml").write_text(open_to_all)
        told = await asyncio.to_thread(world.gateway.reload)
        assert "header is configured, so anybody who finds the URL could send" in str(told["problems"])


async def test_path_and_headers_of_the_webhook_are_swapped(world: World, route: Make) -> None:
    with world.running(route(ROW)) as gateway:
        world.rewrite(route(ROW))
        file = world.folder / "routes.toml"
        file.write_text(
            file.read_text().replace("X-Webhook-Key", "X-New-Key").replace("[webhook]", '[webhook]\npath = "/new"')
        )
        await asyncio.to_thread(gateway.reload)
        base = gateway.url.removesuffix("/webhooks/doforms")
        body = world.doforms.compose(FORM, "create", submission_key="r1").body
        async with httpx.AsyncClient() as http:
            statuses = [
                (await http.post(base + path, content=body, headers=headers)).status_code
                for path, headers in (
                    ("/webhooks/doforms", KEY),
                    ("/new", KEY),
                    ("/new", {"X-New-Key": "correct"}),
                    ("/new/added", {"X-New-Key": "correct"}),
                )
            ]
        assert statuses == [404, 401, 200, 200]


async def test_a_delivery_that_is_not_loaded_any_more_waits_with_an_alarm_until_it_is(
    world: World, route: Make
) -> None:
    closed = POST.replace('"records"', '"records"\nretry = { first = "1s", max = "1s" }')
    with world.running(route(closed)):
        world.doforms.faults.clear()
        await asyncio.to_thread(order, world, "destinations", "pause", "service")
        await world.doforms.until(lambda: world.gateway.health()["destinations"]["service"] != "ready")
        await put_key(world, "n1")
        await reload(world, route(ROW, name="two"))
        await world.doforms.until(lambda: ("not loaded", "one/service to service") in alarms(world))
        await asyncio.to_thread(order, world, "destinations", "resume", "service")
        await asyncio.sleep(1.5)
        assert world.rest.taken == []
        assert world.stored("SELECT state FROM deliveries") == [("pending",)]
        await reload(world, route(closed))
        await world.doforms.until(settled(world, "n1"))
        assert len(world.rest.taken) == 1
        await world.doforms.until(lambda: alarms(world) == [])


async def test_a_delivery_to_a_destination_that_was_removed_waits_with_an_alarm_until_it_is_back(
    world: World, route: Make
) -> None:
    environ = tape.install(world.folder)
    to_tape = route('to = "tape"\ntext = "{{ notification.key }}"', head=DELAYED)
    needs = f'needs = "{world.folder / "key"}"'
    with world.running(tape_of(world, needs) + to_tape, environ=environ):
        await put_key(world, "n1")
        await world.doforms.until(lambda: ("destination paused", "tape") in alarms(world))
        await reload(world, route(ROW))
        await world.doforms.until(lambda: alarms(world) == [("not loaded", "one/tape to tape")])
        assert on_tape(world) == ["open first", "close first"]
        await reload(world, tape_of(world) + to_tape)
        await world.doforms.until(settled(world, "n1"))
        await world.doforms.until(lambda: alarms(world) == [])


async def test_unchanged_destinations_keep_their_instance_and_changed_ones_close_after_their_sends(
    world: World, route: Make
) -> None:
    environ = tape.install(world.folder)

    def routes(settings: str) -> str:
        slow = tape_of(world, f"slow = 3.0\n{settings}")
        still = tape_of(world, "concurrency = 3" if settings else "", name="still")
        texts = ('to = "tape"\ntext = "{{ notification.key }}"', 'to = "still"\ntext = "{{ notification.key }}"')
        return slow + still + route(*texts, head=DELAYED)

    with world.running(routes(""), environ=environ):
        await put_key(world, "n1", "r1")
        await world.doforms.until(lambda: "begin first n1" in on_tape(world))
        told = await reload(world, routes('label = "second"'))
        assert (told["opened"], told["closed"]) == (["tape"], ["tape"])
        assert "still" in told["kept"]  # type: ignore[operator]
        await put_key(world, "n2", "r2")
        await put_key(world, "n3", "r1")
        await world.doforms.until(lambda: "took second n3" in on_tape(world), timeout=30)
        seen = on_tape(world)
        assert seen.index("took first n1") < seen.index("close first")
        assert seen.index("took first n1") < seen.index("begin second n3")  # the same record: one after the other
        assert seen.index("begin second n2") < seen.index("took first n1")  # another record need not wait
        assert seen.count("took first n1") == 1
        assert on_tape(world, "still")[0] == "open first"
        assert [line for line in on_tape(world, "still") if "close" in line] == []


async def test_a_pause_that_a_person_should_end_ends_by_a_reload_even_if_the_file_stayed_the_same(
    world: World, route: Make
) -> None:
    environ = tape.install(world.folder)
    needed = world.folder / "needed"
    routes = tape_of(world, f'needs = "{needed}"') + route('to = "tape"\ntext = "x"', head=DELAYED)
    with world.running(routes, environ=environ):
        await put_key(world, "n1")
        await world.doforms.until(lambda: alarms(world) == [("destination paused", "tape")])
        needed.touch()
        told = await reload(world, routes)
        assert told["opened"] == ["tape"]
        await world.doforms.until(settled(world, "n1"))
        await world.doforms.until(lambda: alarms(world) == [])


async def test_a_web_service_whose_password_was_refused_goes_on_with_the_new_one(world: World, route: Make) -> None:
    password = world.folder / "password"
    password.write_text("wrong")
    fetching = 'to = "table"\ntable = "state"\nwrite = "upsert"\nkey = ["record"]\n'
    fetching += 'columns = { record = "{{ record.key }}", score = "{{ record.fields.score }}" }'
    world.doforms.world.put(FORM, "r1", {"score": 4})
    world.write(route(fetching, head=DELAYED))
    file = world.folder / "routes.toml"
    file.write_text(file.read_text().replace("env:DOFORMS_PASSWORD", f"file:{password}", 1))
    world.gateway.start()
    world.doforms.target = world.gateway.url
    seen = await put_key(world, "n1")
    await world.doforms.until(lambda: alarms(world) == [("webservice paused", FORM)])
    password.write_text("secret")
    await asyncio.to_thread(world.gateway.reload)
    await world.doforms.until(lambda: seen.belief == "completed", timeout=10)
    assert alarms(world) == []
    assert world.gateway.stop() == 0


async def test_what_was_rendered_stays_and_goes_where_the_destination_is_now(world: World, route: Make) -> None:
    with world.running(route(POST, head=DELAYED)) as gateway:
        moved = (world.folder / "routes.toml").read_text().replace(world.rest.url, "http://127.0.0.1:9")
        (world.folder / "routes.toml").write_text(moved)
        await asyncio.to_thread(gateway.reload)
        await put_key(world, "n1")
        await world.doforms.until(lambda: world.stored("SELECT count(*) FROM renderings") == [(1,)])
        await reload(world, route(POST.replace("{{ notification.key }}", "another text"), head=DELAYED))
        await put_key(world, "n2", "r2")
        await world.doforms.until(lambda: len(world.rest.taken) == 2, timeout=10)
        assert sorted(one.body["key"] for one in world.rest.taken) == ["another text", "n1"]


def order(world: World, *words: str) -> None:
    command = [sys.executable, "-m", "gateway", *words, "--routes", str(world.folder / "routes.toml")]
    subprocess.run(command, check=True, capture_output=True)
