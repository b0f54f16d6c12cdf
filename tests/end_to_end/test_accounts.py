"""Several accounts of doForms at one gateway: what one of them may not do holds up none of the others."""

from __future__ import annotations

from tests.end_to_end.conftest import FORM, Make, World
from tests.support.service import Service

FAR = "north$$1$$Published$$1"
FAR_OF_ACME = "acme$$1$$Published$$9"
MANY = 250
"""More than this gateway fetches or reports at once."""
WEBSERVICE = f"""
[webservices.far]
id = "{FAR}"
password = "env:DOFORMS_PASSWORD"
form = "Far"
"""
DELAYED = 'mode = "delayed"\n'
FETCHED = """
to = "table"
table = "plain"
delivery_key = "delivery_key"
columns = { record = "{{ record.fields.site }}" }
"""


async def test_an_account_that_may_not_be_called_for_an_hour_holds_up_no_other(world: World, route: Make) -> None:
    world.doforms.add_webservice(FAR, "secret", "Far")
    world.doforms.faults.add(path_contains="far-", status=429, headers={"Retry-After": "3600"}, times=None)
    for number in range(MANY):
        world.doforms.put_record(FAR, f"far-{number}", {"site": "Mill"})
    of_deletes = route(
        FETCHED.replace("record.fields.site", "notification.key"),
        name="of",
        head=DELAYED + 'events = ["delete"]',
        form="Far",
    )
    with world.running(WEBSERVICE + route(FETCHED, head=DELAYED, form="*") + of_deletes):
        for number in range(MANY):
            for event in ("create", "delete"):  # the one needs a fetch, the other has nothing but its outcome to tell
                seen = world.doforms.compose(FAR, event, submission_key=f"far-{number}", key=f"far-{event}-{number}")
                await world.doforms.send(seen)
        seen = await world.doforms.create(FORM, {"site": "Dock"})
        await world.doforms.until(lambda: seen.belief == "completed", timeout=10)
        assert ("Dock",) in world.rows("SELECT record FROM plain")
        assert sum("far-" in request.path for request in world.doforms.requests) < 10


ACCOUNT = """
[accounts.north]
requests_per_minute = 60
max_in_flight = 2
"""


async def notify_of_far(world: World, count: int, far: str = FAR) -> None:
    """Have one account receive so many records at once, and tell of each."""
    world.doforms.add_webservice(far, "secret", "Far")
    for number in range(count):
        world.doforms.put_record(far, f"far-{number}", {"site": "Mill"})
        await world.doforms.send(world.doforms.compose(far, "create", submission_key=f"far-{number}"))


async def test_an_account_with_more_to_fetch_than_it_may_in_minutes_holds_up_no_other(
    world: World, route: Make
) -> None:
    with world.running(ACCOUNT + WEBSERVICE + route(FETCHED, head=DELAYED, form="*")):
        await notify_of_far(world, 2 * MANY)
        seen = await world.doforms.create(FORM, {"site": "Dock"})
        await world.doforms.until(lambda: seen.belief == "completed", timeout=10)
        assert ("Dock",) in world.rows("SELECT record FROM plain")


async def test_an_account_whose_calls_hang_holds_up_no_other(world: World, route: Make) -> None:
    world.doforms.faults.add(path_contains="far-", status=None, delay=60.0, times=None)
    with world.running(ACCOUNT.replace("60", "6000") + WEBSERVICE + route(FETCHED, head=DELAYED, form="*")):
        await notify_of_far(world, 2 * MANY)
        seen = await world.doforms.create(FORM, {"site": "Dock"})
        await world.doforms.until(lambda: seen.belief == "completed", timeout=10)
        assert ("Dock",) in world.rows("SELECT record FROM plain")


async def test_an_account_whose_photos_do_not_come_holds_up_no_other(world: World, route: Make) -> None:
    world.doforms.add_webservice(FAR, "secret", "Far")
    photo = world.doforms.put_blob(FAR, "p1", b"\xff\xd8\xff photo")
    world.doforms.faults.add(path_contains="/blobs/", status=None, delay=60.0, times=None)
    filed = 'to = "folder"\nfilename = "{{ record.key }}.json"\nattachments = true\n'
    account = ACCOUNT.replace("60", "3000")
    with world.running(account + WEBSERVICE + route(filed, head=DELAYED, form="*")):
        for number in range(MANY):
            world.doforms.put_record(FAR, f"far-{number}", {"photo": photo})
            await world.doforms.send(world.doforms.compose(FAR, "create", submission_key=f"far-{number}"))
        await world.doforms.until(lambda: world.stored("SELECT count(*) FROM attachments")[0][0] >= 200, timeout=30)
        seen = await world.doforms.create(FORM, {"site": "Dock"}, key="near")
        await world.doforms.until(lambda: seen.belief == "completed", timeout=10)
        assert [path.name for path in (world.folder / "files").iterdir()] == ["near.json"]


async def test_an_account_whose_reports_hang_holds_up_no_others(world: World, route: Make) -> None:
    world.doforms.add_webservice(FAR, "secret", "Far")
    world.doforms.faults.add(path_contains="far-", method="PUT", status=None, delay=60.0, times=None)
    told = route(FETCHED.replace("record.fields.site", "notification.key"), head=DELAYED, form="*")
    with world.running(ACCOUNT.replace("60", "6000") + WEBSERVICE + told):
        for number in range(MANY):
            seen = world.doforms.compose(FAR, "create", submission_key=f"r{number}", key=f"far-{number}")
            await world.doforms.send(seen)
        await world.doforms.until(lambda: len(world.rows("SELECT * FROM plain")) == MANY, timeout=20)
        near = await world.doforms.create(FORM, {"site": "Dock"})
        await world.doforms.until(lambda: near.belief == "completed", timeout=10)


async def test_a_record_that_was_fetched_for_one_delivery_waits_for_no_turn_for_the_next(
    world: World, route: Make, service: Service
) -> None:
    world.doforms.add_webservice(FAR, "secret", "Far")
    service.status, service.delay = 201, 3.0
    posted = 'to = "mended"\npath = "records"\njson = { site = "{{ record.fields.site }}" }'
    both = route(FETCHED, posted, head=DELAYED, form="*")
    with world.running(ACCOUNT + WEBSERVICE + service.destination("concurrency = 1") + both):
        for site in ("Mill", "Pier"):  # they fill the room of the service, so that what comes next is left in the store
            await world.doforms.create(FORM, {"site": site})
        await world.doforms.until(lambda: len(world.rows("SELECT * FROM plain")) == 2)
        await world.doforms.create(FAR, {"site": "Dock"})
        await world.doforms.until(lambda: len(world.rows("SELECT * FROM plain")) == 3)
        world.doforms.faults.add(path_contains="far-", status=None, delay=60.0, times=None)
        await notify_of_far(world, 100)
        await world.doforms.until(lambda: len(service.taken) == 3, timeout=20)
        assert [one.body["site"] for one in service.taken] == ["Mill", "Pier", "Dock"]


async def test_what_needs_no_call_does_not_wait_behind_what_an_account_may_fetch_in_minutes(
    world: World, route: Make
) -> None:
    whole = FETCHED.replace("record.fields.site", "notification.key")
    routes = route(FETCHED, head=DELAYED, form="Far") + route(whole, name="two", head='events = ["create"]')
    with world.running(ACCOUNT.replace("north", "acme") + WEBSERVICE.replace(FAR, FAR_OF_ACME) + routes):
        await notify_of_far(world, 2 * MANY, FAR_OF_ACME)
        seen = await world.doforms.create(FORM, key="near")
        await world.doforms.until(lambda: (seen.key,) in world.rows("SELECT record FROM plain"), timeout=10)
