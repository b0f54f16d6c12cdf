"""Matching unmatched notifications again, on the store and with a routes file of sinks."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select

from gateway.config.loaded import Routes
from gateway.intake.rematch import rematch
from gateway.models import DeliveryState, Outcome
from gateway.store.operator.actions import ActionResult, Actor
from gateway.store.operator.queries import show_notification
from gateway.store.operator.views import NotificationDetails
from gateway.store.store import Store
from gateway.store.tables import lanes
from gateway.store.work import alarms
from tests.store.test_queue import ALL
from tests.store.test_replay import ended, kept, report_of
from tests.support.keeping import WEBSERVICE, keep, notification
from tests.support.sink import load_routes

ROUTES = """
[webservices.inspection]
id = "{webservice}"
password = "env:PASSWORD"
form = "Inspection"
[destinations.table]
plugin = "sink"
[[routes]]
name = "route"
form = "{form}"
[[routes.deliver]]
to = "table"
text = "{{{{ record.fields.site }}}}"
{more}
"""
BY = Actor(who="ann")


def routes(folder: Path, *, form: str = "Inspection", more: str = "") -> Routes:
    other = '[webservices.other]\nid = "other$$1"\npassword = "env:PASSWORD"\nform = "Other"\n'
    return load_routes(folder, other + ROUTES.format(webservice=WEBSERVICE, form=form, more=more))


async def stranger(store: Store, key: str, outcome: Outcome | None = None) -> int:
    text = f"{key}: its web service is not in the routes file"
    item = keep(
        notification(key), to=(), matched=False, reason=text, alarm=text, webservice=None, report=False, outcome=outcome
    )
    return (await store.submit(item)).id


async def matched(store: Store, loaded: Routes, *ids: int) -> list[ActionResult]:
    return await store.write(lambda c: rematch(c, ids, loaded, BY))


async def shown(store: Store, id_: int) -> NotificationDetails:
    found = await store.read(lambda c: show_notification(c, id_))
    assert found is not None
    return found


async def test_it_gets_the_deliveries_that_the_routes_make_now_and_its_alarm_ends(store: Store, tmp_path: Path) -> None:
    id_ = await stranger(store, "n1")
    [one] = await matched(store, routes(tmp_path), id_)
    assert (one.done, one.text) == (True, "matched: 1 delivery")
    details = await shown(store, id_)
    assert (details.matched, details.webservice, details.form) == (True, "inspection", "Inspection")
    assert (details.mode_reason, details.fetch, details.outcome) == ("matched by a replay by ann", "due", None)
    assert await store.read(alarms.list_alarms) == []
    await ended(store, DeliveryState.DELIVERED)
    assert await report_of(store) == ("completed", "open", True)


async def test_its_deliveries_go_to_the_end_of_their_lanes(store: Store, tmp_path: Path) -> None:
    id_ = await stranger(store, "n1")
    later = await kept(store, "n2")
    await matched(store, routes(tmp_path), id_)
    assert len(await store.read(lambda c: c.execute(select(lanes.c.id)).all())) == 1
    assert (await ended(store, DeliveryState.DELIVERED)).id == later
    assert (await ended(store, DeliveryState.DELIVERED)).notification_id == id_


async def test_it_is_matched_once(store: Store, tmp_path: Path) -> None:
    id_ = await stranger(store, "n1")
    loaded = routes(tmp_path)
    await matched(store, loaded, id_)
    assert await matched(store, loaded, id_) == []
    assert len(await store.claim(ALL)) == 1


async def test_where_no_route_takes_it_still_it_stays_as_it_was(store: Store, tmp_path: Path) -> None:
    id_ = await stranger(store, "n1")
    [one] = await matched(store, routes(tmp_path, form="Other"), id_)
    assert not one.done
    assert "no route matches form 'Inspection'" in one.text
    assert not (await shown(store, id_)).matched
    assert len(await store.read(alarms.list_alarms)) == 1


async def test_an_outcome_that_was_told_changes_when_its_deliveries_end_otherwise(store: Store, tmp_path: Path) -> None:
    id_ = await stranger(store, "n1", Outcome.FAILED)
    await matched(store, routes(tmp_path), id_)
    assert (await report_of(store))[0] == "failed"
    await ended(store, DeliveryState.DELIVERED)
    assert await report_of(store) == ("completed", "open", True)


async def test_where_none_of_its_deliveries_counts_it_is_completed_at_once(store: Store, tmp_path: Path) -> None:
    id_ = await stranger(store, "n1")
    await matched(store, routes(tmp_path, more="required = false"), id_)
    assert await report_of(store) == ("completed", "open", True)
