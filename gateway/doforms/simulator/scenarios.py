"""Stories that the simulated doForms plays: which forms, how many records, at what pace, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from gateway.doforms.simulator.forms import (
    FORMS,
    PHOTO_REPORT,
    SERVICE_CALL,
    SITE_INSPECTION,
    TIME_SHEET,
    WORK_ORDER,
    Form,
)
from gateway.doforms.simulator.forms.service_call import FLOW


class Step(NamedTuple):
    """Something that happens to a record: ``create``, ``update``, ``delete``, ``status``, or ``submit``.

    ``submit`` creates a submission from a dispatch.
    """

    what: str
    after: float = 0.0
    """Seconds after the step before."""


Life = Callable[[Random], Sequence[Step]]
"""What happens to a record, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A story."""

    name: str
    story: str
    forms: tuple[Form, ...]
    records: int | None
    """None: no end."""
    every: float
    """Seconds from one record to the next; 0: as fast as the notifications are answered."""
    life: Life
    conditions: Mapping[str, Any] = field(default_factory=dict)
    faults: Sequence[Mapping[str, Any]] = ()


def _created(_: Random) -> Sequence[Step]:
    return [Step("create")]


def _edited(chance: Random) -> Sequence[Step]:
    edits = [Step("update", chance.uniform(0.5, 3.0)) for _ in range(chance.choice((0, 0, 1, 2)))]
    deleted = [Step("delete", chance.uniform(1.0, 3.0))] if chance.random() < 0.1 else []
    return [Step("create"), *edits, *deleted]


def _forwarded(chance: Random) -> Sequence[Step]:
    return [Step("create"), *(Step("update", chance.uniform(0.0, 0.1)) for _ in range(4))]


def _dispatched(chance: Random) -> Sequence[Step]:
    return [*(Step("status", chance.uniform(0.2, 1.0)) for _ in FLOW), Step("submit", 0.2)]


_DAILY = (SITE_INSPECTION, WORK_ORDER, TIME_SHEET)
_REAL_LIMIT = {"a_minute": 600, "in_flight": 4}

_ALL = (
    Scenario(
        name="plain",
        story="a made-up record every 5 s, without end; nothing goes wrong",
        forms=tuple(FORMS.values()),
        records=None,
        every=5.0,
        life=_created,
    ),
    Scenario(
        name="ordinary-day",
        story="three forms, created, edited and now and then deleted, under the real limits of an account",
        forms=_DAILY,
        records=200,
        every=0.5,
        life=_edited,
        conditions={"limit": _REAL_LIMIT, "latency": 0.05},
    ),
    Scenario(
        name="burst",
        story="5,000 records at once, with room for 6,000 calls a minute and 4 at the same time",
        forms=(SITE_INSPECTION,),
        records=5000,
        every=0.0,
        life=_created,
        conditions={"limit": {"a_minute": 6000, "in_flight": 4}, "latency": 0.01},
    ),
    Scenario(
        name="forwarded",
        story="each record is stored again at each hop: a create, and four updates right behind it",
        forms=(WORK_ORDER,),
        records=50,
        every=0.5,
        life=_forwarded,
    ),
    Scenario(
        name="dispatches",
        story="service calls go through their statuses, some of the customer's making, and end in a submission",
        forms=(SERVICE_CALL,),
        records=25,
        every=1.0,
        life=_dispatched,
    ),
    Scenario(
        name="photos",
        story="reports of thirty photos, 40 MB each",
        forms=(PHOTO_REPORT,),
        records=5,
        every=5.0,
        life=_created,
        conditions={"limit": _REAL_LIMIT},
    ),
    Scenario(
        name="late-keys",
        story="a new record cannot be read by its key for 20 s, only by the id that listings tell",
        forms=_DAILY,
        records=40,
        every=0.5,
        life=_edited,
        conditions={"unreadable": 20.0},
    ),
    Scenario(
        name="no-keys",
        story="a record can never be read by its key, only by its id",
        forms=_DAILY,
        records=40,
        every=0.5,
        life=_edited,
        conditions={"unreadable": None},
    ),
    Scenario(
        name="lost-post",
        story="a fifth of the notifications is lost for good, some come twice, some late and out of order",
        forms=_DAILY,
        records=100,
        every=0.2,
        life=_edited,
        conditions={"lost": 0.2, "twice": 0.1, "late": 0.1},
    ),
    Scenario(
        name="bad-day",
        story="calls are slow, fail, break off, and are answered 200 with an error, with nothing or with HTML",
        forms=_DAILY,
        records=100,
        every=0.3,
        life=_edited,
        conditions={"latency": 0.2},
        faults=[
            {"name": name, "times": None, "share": 0.04}
            for name in ("unavailable", "broken", "slow", "reset", "half", "error-in-200", "empty", "html")
        ],
    ),
    Scenario(
        name="wrong-records",
        story="now and then another record is given than the one that was asked for",
        forms=_DAILY,
        records=50,
        every=0.3,
        life=_created,
        faults=[{"name": "other-record", "times": None, "share": 0.1}],
    ),
    Scenario(
        name="busy-account",
        story="others use up the account's limit: only 60 calls a minute are left, and one at a time",
        forms=_DAILY,
        records=60,
        every=0.5,
        life=_created,
        conditions={
            "limit": {"a_minute": 60, "in_flight": 1, "window": "sliding", "retry_after": "date"},
            "latency": 0.1,
        },
    ),
    Scenario(
        name="over-quota",
        story="after 20 reads of a web service doForms answers that its daily quota is exceeded",
        forms=_DAILY,
        records=100,
        every=0.3,
        life=_created,
        conditions={"quota": {"calls": 20}},
    ),
    Scenario(
        name="details-fail",
        story="every record fails to be read while listings work",
        forms=_DAILY,
        records=40,
        every=0.5,
        life=_created,
        faults=[{"name": "details-fail"}],
    ),
    Scenario(
        name="short-listings",
        story="notifications get lost, and half of the listings are short or empty",
        forms=_DAILY,
        records=100,
        every=0.2,
        life=_created,
        conditions={"lost": 0.3},
        faults=[
            {"name": "short-listing", "times": None, "share": 0.3},
            {"name": "empty-listing", "times": None, "share": 0.3},
        ],
    ),
    Scenario(
        name="wrong-clocks",
        story="notifications are dated two hours ahead, and records ten minutes back; keys are no use",
        forms=_DAILY,
        records=40,
        every=0.5,
        life=_created,
        conditions={"created_off": 7200.0, "received_off": -600.0, "unreadable": None},
    ),
    Scenario(
        name="refused-reports",
        story="most outcomes that are reported meet 404, 400, 401 or 503",
        forms=_DAILY,
        records=40,
        every=0.5,
        life=_created,
        faults=[
            {"name": "report-gone", "times": None, "share": 0.2},
            {"name": "report-refused", "times": None, "share": 0.2},
            {"name": "unavailable", "call": "report", "times": None, "share": 0.4},
            {"name": "report-forbidden", "times": 1},
        ],
    ),
)

SCENARIOS: Mapping[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
"""By name."""
