"""What is decided about a notification before it is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.intake.plan import Planner
from gateway.models import Event, Mode, Outcome
from gateway.pauses import Cause, Kind, Pauses
from gateway.routing.active import ActiveRoutes
from gateway.store.store import Store
from gateway.store.work.inbox import Keep, Kept
from gateway.store.work.records import KeptNotification
from tests.support.keeping import WEBSERVICE, notification
from tests.support.sink import load_routes

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROUTES = """
[gateway]
unmatched = "{unmatched}"
[doforms]
report = {report}
[webservices.inspection]
id = "{webservice}"
password = "env:PASSWORD"
form = "Inspection"
[webservices.silent]
id = "acme$$1$$Published$$3"
form = "Inspection"
[webservices.other]
id = "acme$$1$$Published$$4"
password = "env:PASSWORD"
form = "Other"
[destinations.table]
plugin = "sink"
[destinations.office]
plugin = "sink"
[[routes]]
name = "route"
form = "Inspection"
mode = "{mode}"
events = ["create", "delete"]
[[routes.deliver]]
to = "table"
text = "{text}"
[[routes.deliver]]
to = "office"
required = false
text = "{text}"
"""
SILENT, OTHER = "acme$$1$$Published$$3", "acme$$1$$Published$$4"


class Worker:
    """Stands in for whoever delivers; knows which destinations are in the way, and which have room."""

    def __init__(self, obstacles: Mapping[str, str | None], room: bool) -> None:
        self._obstacles = obstacles
        self._room = room

    def obstacle(self, destination: str) -> str | None:
        return self._obstacles.get(destination)

    def obstacles(self) -> Mapping[str, str | None]:
        return self._obstacles

    def has_room(self, destination: str) -> bool:
        return self._room

    def accept(self, kept: Kept, make: Callable[[], KeptNotification], *, urgent: bool) -> None:
        raise AssertionError("deciding hands nothing over")


class Deciding:
    """A planner with all that it looks at."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.pauses = Pauses(store)
        self.folder = folder

    def plan_notification(
        self,
        *,
        event: Event = Event.CREATE,
        of: str = WEBSERVICE,
        obstacles: Mapping[str, str | None] | None = None,
        room: bool = False,
        **routes: Any,
    ) -> Keep:
        settings = {"unmatched": "keep", "report": "true", "mode": "auto", "text": "{{ record.fields.site }}"} | routes
        loaded = load_routes(self.folder, ROUTES.format(webservice=WEBSERVICE, **settings))
        planner = Planner(active=ActiveRoutes(loaded), worker=Worker(obstacles or {}, room), pauses=self.pauses)
        return planner.plan_notification(notification(event=event, webservice_id=of))


@pytest.fixture
def deciding(store: Store, tmp_path: Path) -> Deciding:
    return Deciding(store, tmp_path)


async def test_a_record_is_fetched_where_it_is_needed_and_never_for_a_delete(deciding: Deciding) -> None:
    assert deciding.plan_notification().fetch
    assert not deciding.plan_notification(text="{{ record.key }}").fetch
    assert not deciding.plan_notification(event=Event.DELETE).fetch


async def test_what_stands_in_the_way_of_a_delivery_that_counts_delays_it(deciding: Deciding) -> None:
    assert deciding.plan_notification().mode is Mode.IMMEDIATE
    delayed = deciding.plan_notification(obstacles={"table": "the breaker is open"})
    assert (delayed.mode, delayed.reason) == (Mode.DELAYED, "the breaker is open")
    assert deciding.plan_notification(obstacles={"office": "the breaker is open"}).mode is Mode.IMMEDIATE


async def test_a_mode_that_is_delayed_anyway_keeps_its_own_reason(deciding: Deciding) -> None:
    reason = deciding.plan_notification(mode="delayed").reason
    assert deciding.plan_notification(mode="delayed", obstacles={"table": "the breaker is open"}).reason == reason


async def test_a_paused_web_service_delays_what_must_be_fetched_alone(deciding: Deciding) -> None:
    await deciding.pauses.pause(Kind.WEBSERVICE, WEBSERVICE, "over quota", cause=Cause.QUOTA)
    delayed = deciding.plan_notification()
    assert (delayed.mode, delayed.reason) == (Mode.DELAYED, "the web service inspection is paused: over quota")
    assert deciding.plan_notification(event=Event.DELETE).mode is Mode.IMMEDIATE


@pytest.mark.parametrize(
    ("mode", "room", "taken"),
    [
        ("auto", False, {"table": True, "office": False}),
        ("auto", True, {"table": True, "office": True}),
        ("delayed", False, {"table": False, "office": False}),
        ("delayed", True, {"table": True, "office": True}),
    ],
)
async def test_this_process_takes_what_is_awaited_and_for_what_it_has_room(
    deciding: Deciding, mode: str, room: bool, taken: dict[str, bool]
) -> None:
    assert {one.destination: one.take for one in deciding.plan_notification(mode=mode, room=room).deliveries} == taken


@pytest.mark.parametrize(
    ("of", "report", "told"),
    [
        (WEBSERVICE, "true", True),
        (WEBSERVICE, "false", False),
        (SILENT, "true", False),
        (OTHER, "true", True),
        (OTHER, "false", False),
        ("globex$$1", "true", False),
    ],
)
async def test_an_outcome_is_reported_where_that_is_wanted_and_possible(
    deciding: Deciding, of: str, report: str, told: bool
) -> None:
    assert deciding.plan_notification(of=of, report=report).report is told


@pytest.mark.parametrize(
    ("unmatched", "outcome", "alarm"),
    [("keep", None, True), ("fail", Outcome.FAILED, True), ("complete", Outcome.COMPLETED, False)],
)
@pytest.mark.parametrize(
    ("of", "account", "name", "why"),
    [
        (OTHER, "acme", "other", "no route matches form 'Other', project '', event create"),
        ("globex$$1", "globex", None, "its web service is not in the routes file"),
    ],
)
async def test_what_no_route_takes_is_kept_as_the_routes_file_says(
    deciding: Deciding,
    unmatched: str,
    outcome: Outcome | None,
    alarm: bool,
    of: str,
    account: str,
    name: str | None,
    why: str,
) -> None:
    keep = deciding.plan_notification(of=of, unmatched=unmatched)
    assert (keep.matched, keep.mode, keep.outcome, keep.deliveries) == (False, Mode.DELAYED, outcome, ())
    assert (keep.account, keep.webservice, keep.reason) == (account, name, why)
    assert (keep.alarm is not None) is alarm
    if keep.alarm is not None:
        assert keep.alarm.startswith(f"notification n1 of {of}: {why}. Mend the routes file and `gateway reload`")
