"""Several accounts of doForms at one gateway: what one of them may not do holds up none of the others."""

from __future__ import annotations

from tests.end_to_end.conftest import FORM, Make, World

FAR = "north$$1$$Published$$1"
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
