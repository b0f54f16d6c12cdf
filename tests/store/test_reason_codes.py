"""Codes of reasons: those of rows that a program without codes wrote, and what an upgrade makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from gateway.models import DeliveryState, ReasonCode
from gateway.store.engine import reason_codes
from gateway.store.operator.queries import find_deliveries
from gateway.store.operator.views import DeliveryFilter
from gateway.store.store import Store
from gateway.store.tables import deliveries, notifications
from tests.support.keeping import WEBSERVICE, keep, notification

PENDING, DEAD, DELIVERED = (
    state.value for state in (DeliveryState.PENDING, DeliveryState.DEAD, DeliveryState.DELIVERED)
)
WITHOUT = '{"summary": "1 row; without 1 attachment: photo (a.jpg) was given up", "details": {}}'
WRITTEN = [
    ({"reason": "the web service site is paused: password refused"}, ReasonCode.WEBSERVICE_WAITS, WEBSERVICE),
    ({"reason": "the web service site was loaded again meanwhile"}, ReasonCode.WEBSERVICE_WAITS, WEBSERVICE),
    (
        {"reason": f"the web service '{WEBSERVICE}' has no password in the routes file"},
        ReasonCode.WEBSERVICE_WAITS,
        WEBSERVICE,
    ),
    ({"reason": "the web service site waits for its account acme: 429"}, ReasonCode.ACCOUNT_WAITS, "acme"),
    (
        {"reason": "the delivery table of the route route to table is not in the routes file"},
        ReasonCode.NOT_LOADED,
        "route/table to table",
    ),
    ({"reason": "the web service answered 503"}, None, None),
    ({"reason": "given up after 3 attempts: 503"}, None, None),
    ({"reason": None}, None, None),
    ({"state": DEAD, "reason": "given up after 1 attempt: 503"}, ReasonCode.GIVEN_UP, None),
    ({"state": DEAD, "reason": "the record could not be fetched: gone"}, ReasonCode.RECORD_NOT_FETCHED, None),
    ({"state": DEAD, "reason": "2 attachments of 3 missing: a; b"}, ReasonCode.ATTACHMENT_MISSING, None),
    ({"state": DEAD, "reason": "1 attachment of 1 missing: a"}, ReasonCode.ATTACHMENT_MISSING, None),
    ({"state": DEAD, "reason": "HTTP 422: attachment missing"}, None, None),
    ({"state": DELIVERED, "receipt": WITHOUT}, ReasonCode.ATTACHMENT_MISSING, None),
    ({"state": DELIVERED, "receipt": '{"summary": "1 row", "details": {}}'}, None, None),
    ({"state": DeliveryState.DROPPED.value, "reason": "dropped by ann: x"}, ReasonCode.DROPPED, None),
]


async def written(store: Store, values: Mapping[str, Any]) -> None:
    """Keep a delivery, and write into its row what an older program would have written."""
    await store.submit(keep())
    old = {"reason_code": None, "reason_subject": None, **values}
    await store.write(lambda c: c.execute(update(deliveries).values(**old)))


async def found(store: Store) -> tuple[str | None, str | None]:
    row = (await store.read(lambda c: c.execute(select(deliveries)).all()))[0]
    return row.reason_code, row.reason_subject


@pytest.mark.parametrize(("values", "code", "subject"), WRITTEN)
async def test_codes_of_old_rows_are_filled_in_from_how_their_reasons_begin(
    store: Store, values: Mapping[str, Any], code: ReasonCode | None, subject: str | None
) -> None:
    await written(store, values)
    await store.write(reason_codes.fill)
    assert await found(store) == (code, subject)


async def test_codes_that_are_there_stay(store: Store) -> None:
    await written(store, {"state": DEAD, "reason": "given up after 3 attempts: x", "reason_code": "attachment missing"})
    await store.write(reason_codes.fill)
    assert await found(store) == (ReasonCode.ATTACHMENT_MISSING, None)


async def test_start_fills_in_what_the_program_before_wrote_meanwhile_and_waits_for_a_person(store: Store) -> None:
    await written(store, {"state": DEAD, "reason": "given up after 3 attempts: x"})
    values = {"matched": False, "mode_reason": "dropped by ann"}
    await store.write(lambda c: c.execute(update(notifications).values(**values)))
    await store.write(reason_codes.fill_few)
    assert await found(store) == (ReasonCode.GIVEN_UP, None)
    assert await store.read(lambda c: c.execute(select(notifications.c.mode_code)).scalar()) == ReasonCode.DROPPED


async def test_deliveries_that_went_without_an_attachment_are_found_whatever_their_receipt_says(store: Store) -> None:
    def spoil(connection: Connection) -> None:
        rows = connection.execute(select(deliveries.c.id).order_by(deliveries.c.id)).scalars().all()
        for id_, (state, receipt, code) in zip(rows, KINDS, strict=True):
            values = {"state": state, "receipt": receipt, "reason_code": code}
            connection.execute(update(deliveries).where(deliveries.c.id == id_).values(**values))

    for number in range(len(KINDS)):
        await store.submit(keep(notification(f"n{number}", record=f"r{number}")))
    await store.write(spoil)
    [only] = await store.read(lambda c: find_deliveries(c, DeliveryFilter(lacking=True)))
    assert only.notification == "n1"


KINDS = [
    (DELIVERED, WITHOUT, None),
    (DELIVERED, '{"summary": "sent", "details": {}}', ReasonCode.ATTACHMENT_MISSING.value),
    (DEAD, None, ReasonCode.ATTACHMENT_MISSING.value),
]
