"""What waits for a web service that cannot be called."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from gateway.attachments.fetcher import AttachmentFetcher
from gateway.calls.access import WebserviceAccess
from gateway.doforms.failures import Unauthorised
from gateway.pauses import Cause, Kind
from gateway.retry import Deferred
from gateway.store.engine.transaction_time import SECOND
from gateway.store.operator import pauses
from gateway.store.work.records import KeptNotification
from tests.support.keeping import WEBSERVICE
from tests.support.parts import ROUTES, TEXT, Parts
from tests.support.sink import load_routes

pytestmark = pytest.mark.asyncio(loop_scope="module")
BETWEEN = SECOND // 1000
"""The routes of these tests allow 60,000 calls a minute."""


def next_look(callers: WebserviceAccess, kept: KeptNotification) -> int:
    with pytest.raises(Deferred) as raised:
        callers.caller(kept.notification.webservice_id)
    return raised.value.until


async def test_those_that_wait_for_a_paused_web_service_look_again_no_faster_than_records_can_be_fetched(
    parts: Parts,
) -> None:
    kept = await parts.keep("n1")
    callers = WebserviceAccess(store=parts.store, active=parts.active, pauses=parts.pauses)
    await parts.pauses.pause(Kind.WEBSERVICE, WEBSERVICE, "over quota", cause=Cause.QUOTA)
    looks = [next_look(callers, kept) for _ in range(5000)]
    assert looks[0] >= parts.store.now() + 55 * SECOND
    assert all(after - before >= BETWEEN for before, after in pairwise(looks))
    assert looks[-1] - looks[0] < 6 * SECOND, "nor slower"


async def test_records_and_attachments_that_wait_for_a_web_service_stand_in_one_line(parts: Parts) -> None:
    photo = parts.doforms.put_blob(WEBSERVICE, "p1", b"1")
    parts.doforms.put_record(WEBSERVICE, "r1", {"photo": photo})
    first, second = await parts.keep("n1"), await parts.keep("n2")
    record = (await parts.fetcher.records(first)).record
    fetcher = AttachmentFetcher(store=parts.store, active=parts.active, gate=parts.gate)
    await parts.pauses.pause(Kind.WEBSERVICE, WEBSERVICE, "over quota", cause=Cause.QUOTA)
    looks = []
    for number in range(10):
        with pytest.raises(Deferred) as raised:
            await (fetcher.attached(first, record, required=False) if number % 2 else parts.fetcher.records(second))
        looks.append(raised.value.until)
    assert all(after - before >= BETWEEN for before, after in pairwise(looks))


async def test_the_line_of_those_that_waited_is_forgotten_once_the_web_service_goes_on(parts: Parts) -> None:
    kept = await parts.keep("n1")
    callers = WebserviceAccess(store=parts.store, active=parts.active, pauses=parts.pauses)
    await parts.pauses.pause(Kind.WEBSERVICE, WEBSERVICE, "over quota", cause=Cause.QUOTA)
    for _ in range(5000):
        last = next_look(callers, kept)
    await parts.pauses.resume(Kind.WEBSERVICE, WEBSERVICE)
    assert callers.caller(kept.notification.webservice_id).id == WEBSERVICE
    await parts.pauses.pause(Kind.WEBSERVICE, WEBSERVICE, "over quota", cause=Cause.QUOTA)
    assert next_look(callers, kept) < last


@pytest.mark.parametrize(
    ("ident", "why"),
    [
        ("acme$$1$$Published$$3", "'acme$$1$$Published$$3' has no password in the routes file"),
        ("acme$$1$$Published$$9", "'acme$$1$$Published$$9' is not in the routes file"),
    ],
)
async def test_a_web_service_that_cannot_be_called_as_the_routes_are_is_waited_for(
    parts: Parts, ident: str, why: str
) -> None:
    kept = await parts.keep("n1", webservice_id=ident)
    with pytest.raises(Deferred) as raised:
        parts.gate.look(kept.notification.webservice_id)
    assert why in str(raised.value)
    assert raised.value.until >= parts.store.now() + 55 * SECOND


async def test_a_refused_password_in_whose_place_another_was_loaded_meanwhile_pauses_nothing(
    parts: Parts, tmp_path: Path
) -> None:
    callers = WebserviceAccess(store=parts.store, active=parts.active, pauses=parts.pauses)
    refused = callers.caller((await parts.keep("n1")).notification.webservice_id)
    text = ROUTES.format(api=parts.doforms.api, webservice=WEBSERVICE, more="", text=TEXT)
    parts.active.load(load_routes(tmp_path, text, environ={"PASSWORD": "another"}))
    with pytest.raises(Deferred, match="inspection was loaded again meanwhile") as raised:
        await callers.put_off(refused, Unauthorised("doForms answered 401"))
    assert raised.value.until <= parts.store.now()
    assert await parts.store.read(pauses.list_pauses) == []
