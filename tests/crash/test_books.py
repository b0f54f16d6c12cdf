"""Each book notices what it is there for."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.doforms.simulator import Answer, Seen
from gateway.models import DeliveryState, Outcome
from tests.crash.books import BOOKS, audit, title
from tests.crash.effects import Row
from tests.crash.evidence import Evidence, KeptDelivery, KeptNotification
from tests.crash.faults import Done
from tests.crash.load import Sent
from tests.crash.plan import Fault, Kind
from tests.crash.routes import FORMS
from tests.crash.service import Call

DELIVERED, DEAD, PENDING = DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.PENDING
EMPTY = Answer(200, b"", 0.01)
COMPLETED = Answer(200, b'{"status": "completed"}', 0.01)


def sent(key: str = "1", *, form: str = "inspection", turn: int = 1, **more: Any) -> Sent:
    seen = Seen(key, FORMS[form].webservice_id, "update", b"{}")
    for answer in more.get("answers", [EMPTY]):
        seen.hear(answer)
    for status in more.get("puts", ["completed"]):
        seen.hear_put(status)
    return Sent(seen, FORMS[form], "r", turn)


def delivery(where: str = "inspections/entries", of: str = "1", **more: Any) -> KeptDelivery:
    route, name = where.split("/")
    values: dict[str, Any] = {
        "state": DELIVERED,
        "number": int(of),
        "key": f"{of}-{name}",
        "lane": sum(map(ord, where)),
    }
    return KeptDelivery(route=route, name=name, notification=of, record="r", **(values | more))


def kept(*deliveries: KeptDelivery, key: str = "1", **more: Any) -> KeptNotification:
    values: dict[str, Any] = {"outcome": Outcome.COMPLETED, "report_state": "reported", "record": "r"}
    return KeptNotification(key=key, deliveries=list(deliveries), **(values | more))


def inspection(key: str = "1", **more: Any) -> KeptNotification:
    return kept(delivery(of=key), delivery("inspections/service", of=key), key=key, **more)


def entry(key: str = "1", **more: Any) -> Row:
    return Row("r", key, **({"seq": 9, "key": f"{key}-entries"} | more))


def call(key: str = "1", *, at: str = "service", bodies: tuple[bytes, ...] = (b"{}",)) -> Call:
    return Call(at, f"{key}-{at}", "r", key, 9, list(bodies))


def right(*keys: str) -> dict[str, Any]:
    """Return evidence of notifications for which all went well."""
    return {
        "sent": [sent(key, turn=int(key)) for key in keys],
        "kept": [inspection(key) for key in keys],
        "entries": [entry(key) for key in keys],
        "calls": [call(key) for key in keys],
    }


def order(*states: DeliveryState) -> dict[str, Any]:
    """Return evidence of deliveries to the strict lane alone."""
    made = [delivery("orders/strictly", of=str(at), state=state) for at, state in enumerate(states, 1)]
    return {"kept": [kept(one, key=one.notification) for one in made]}


WRONG: dict[str, dict[str, Any]] = {
    "acknowledged is kept once": {"kept": []},
    "kept was sent": {"kept": [inspection(), inspection()]},
    "answers are known": {"sent": [sent(answers=[Answer(400, b"", 0.01)])]},
    "notifications add up": {"kept": [inspection(outcome=None)]},
    "routes made their deliveries": {"kept": [kept(delivery())]},
    "deliveries add up": {"kept": [kept(delivery(state=PENDING))]},
    "nobody holds anything": {"held_lanes": [7]},
    "the store is whole": {"inconsistencies": ["lane that is never claimed: lane 7"]},
    "delivered has happened": {"entries": []},
    "nothing happened twice": {"entries": [entry(), entry()]},
    "effects carry the delivery key": {"entries": [entry(key="another")]},
    "retries sent the same": {"calls": [call(bodies=(b"{}", b"{ }"))]},
    "records were no older": {"entries": [entry(seq=0)]},
    "lanes kept their order": right("1", "2") | {"entries": [entry("2"), entry("1")]},
    "numbers rise in a lane": right("1", "2") | {"kept": [inspection("1"), kept(delivery(of="2", number=1), key="2")]},
    "strict lanes stopped": order(DEAD, DELIVERED),
    "guarded rows are the newest": {"kept": [kept(delivery("orders/state"))], "state": [entry("0", number=0)]},
    "the dead have a cause": {"kept": [kept(delivery(state=DEAD, reason="given up"))]},
    "deadly records are given up": {"kept": [kept(delivery("banes/killer"))], "deadly": {"1": 4}},
    "outcomes follow from deliveries": {"kept": [kept(delivery(state=DEAD))]},
    "doforms believes what happened": {"sent": [sent(puts=["failed"])]},
    "reports are settled": {"kept": [inspection(report_state="due")]},
    "doforms was told once": {"sent": [sent(answers=[COMPLETED])]},
    "gateways ended in order": {"unasked": ["it ended by itself with exit status 1"]},
}


def test_every_book_holds_where_all_went_well() -> None:
    assert {name: found for name, found in audit(Evidence(**right("1", "2"))).items() if found} == {}


def test_every_book_is_tried() -> None:
    assert list(WRONG) == [title(book) for book in BOOKS]


@pytest.mark.parametrize("name", WRONG)
def test_a_book_notices_what_is_wrong_and_names_it(name: str) -> None:
    found = audit(Evidence(**(right("1") | WRONG[name])))[name]
    assert found
    assert all(len(text) > 10 for text in found)


def test_a_strict_lane_may_wait_behind_a_dead_delivery() -> None:
    found = audit(Evidence(**order(DELIVERED, DEAD, PENDING)))
    assert found["strict lanes stopped"] == found["deliveries add up"] == []


@pytest.mark.parametrize(("kind", "excused"), [(Kind.KILL, True), (Kind.SERVICE_DOWN, False)])
def test_a_second_report_is_excused_only_by_what_may_cut_the_first_one_off(kind: Kind, excused: bool) -> None:
    twice = sent(answers=[COMPLETED])
    done = Done(Fault(kind, 0.0, 0.0), twice.seen.created, twice.seen.created + 0.1)
    found = audit(Evidence(**(right("1") | {"sent": [twice], "done": [done]})))
    assert (found["doforms was told once"] == []) is excused


def test_a_second_report_is_excused_by_a_lease_that_a_busy_gateway_has_lost() -> None:
    twice = sent(puts=["completed", "completed"])
    lapse = twice.seen.created + twice.seen.reports[-1].seconds
    assert audit(Evidence(**(right("1") | {"sent": [twice]})))["doforms was told once"]
    assert audit(Evidence(**(right("1") | {"sent": [twice], "lapses": [lapse]})))["doforms was told once"] == []
