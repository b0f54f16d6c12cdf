"""What each answer of the service means for the delivery."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from gateway_rest import Rest

from gateway.api import Delivery, DeliveryError, Misconfigured, Rejected, Unavailable

Make = Callable[..., Delivery[Any]]
MakeRest = Callable[..., Rest]

_LISTS: dict[str, Any] = {"success": [200, 404], "permanent": [503, 429], "retryable": [409, 401, 302]}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, Unavailable) for status in (408, 425, 429, 500, 501, 502, 503, 504, 507, 599)),
        *((status, Misconfigured) for status in (401, 403)),
        *((status, Rejected) for status in (400, 402, 404, 405, 409, 410, 413, 415, 422, 423, 451, 499)),
        *((status, Rejected) for status in (301, 302, 303, 304, 307, 308)),
    ],
)
async def test_the_status_decides(
    status: int, error: type[DeliveryError], service: Any, rest: MakeRest, delivery: Make
) -> None:
    service.answer(status, b"" if status == 304 else b"because\r\n of this")
    with pytest.raises(DeliveryError, match=f"the service answered {status}") as caught:
        await rest().deliver(delivery())
    assert type(caught.value) is error
    assert ("because of this" in str(caught.value)) is (status != 304)
    assert getattr(caught.value, "whole", False) is False
    assert len(service.heard) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204, 226])
async def test_every_2xx_is_a_success(status: int, service: Any, rest: MakeRest, delivery: Make) -> None:
    service.answer(status)
    receipt = await rest().deliver(delivery(method="PUT"))
    assert receipt.summary == f"PUT answered HTTP {status}"
    assert receipt.details == {"status": status}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (200, None),
        (404, None),
        (201, Rejected),
        (503, Rejected),
        (429, Rejected),
        (409, Unavailable),
        (401, Unavailable),
        (302, Unavailable),
        (502, Unavailable),
        (403, Misconfigured),
    ],
)
async def test_the_lists_of_a_delivery_go_before_the_table(
    status: int, error: type[DeliveryError] | None, service: Any, rest: MakeRest, delivery: Make
) -> None:
    service.answer(status)
    if error is None:
        assert (await rest().deliver(delivery(**_LISTS))).details == {"status": status}
        return
    with pytest.raises(error) as caught:
        await rest().deliver(delivery(**_LISTS))
    assert type(caught.value) is error


@pytest.mark.parametrize("status", [429, 503, 408])
@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120), ("0", 0), ("9999999999", 86400), ("soon", None), ("", None), ("-5", None), ("1.5", None)],
)
async def test_retry_after_in_seconds_is_passed_on(
    status: int, text: str, seconds: float | None, service: Any, rest: MakeRest, delivery: Make
) -> None:
    service.answer(status, retry_after=text)
    with pytest.raises(Unavailable) as caught:
        await rest().deliver(delivery())
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(("ahead", "seconds"), [(120, 120), (-60, 0), (10**6, 86400)])
async def test_retry_after_as_a_date_is_passed_on(
    ahead: int, seconds: float, service: Any, rest: MakeRest, delivery: Make
) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=ahead)
    service.answer(503, retry_after=format_datetime(moment, usegmt=True))
    with pytest.raises(Unavailable) as caught:
        await rest().deliver(delivery())
    assert caught.value.retry_after == pytest.approx(seconds, abs=5)


async def test_a_date_beyond_all_dates_is_no_wish(service: Any, rest: MakeRest, delivery: Make) -> None:
    service.answer(503, retry_after="Mon, 01 Jan 2024 00:00:00 +99999999999999999999")
    with pytest.raises(Unavailable) as caught:
        await rest().deliver(delivery())
    assert caught.value.retry_after is None


async def test_a_redirect_is_not_followed_and_the_reason_names_where_it_leads(
    service: Any, rest: MakeRest, delivery: Make
) -> None:
    service.answer(307, location=f"{service.url}/elsewhere")
    with pytest.raises(Rejected, match=r"a redirect to '.*/elsewhere'; redirects are not followed"):
        await rest().deliver(delivery())
    assert [one.target for one in service.heard] == ["/"]


@pytest.mark.parametrize(
    ("kind", "body", "found"),
    [
        ("application/json", b'{"id": 42, "key": "k"}', "42"),
        ("application/vnd.acme+json; charset=utf-8", b'{"id": "a-1"}', "a-1"),
        ("application/json", b'{"id": null, "key": "k"}', "k"),
        ("application/json", b'{"uuid": "u"}', "u"),
        ("application/json", b'{"id": 0}', "0"),
        ("application/json", b'{"id": true}', None),
        ("application/json", b'{"id": {"a": 1}}', None),
        ("application/json", b'{"id": ""}', None),
        ("application/json", b'[{"id": 1}]', None),
        ("application/json", b"nonsense", None),
        ("application/json", b"[" * 50_000, None),
        ("application/json", b'{"id": 1, "x": "' + b"x" * 100_000 + b'"}', None),
        ("text/plain", b'{"id": 1}', None),
        ("application/json", b'{"id": "' + b"x" * 300 + b'"}', "x" * 200),
    ],
)
async def test_the_receipt_holds_the_id_that_the_service_gave(
    kind: str, body: bytes, found: str | None, service: Any, rest: MakeRest, delivery: Make
) -> None:
    service.answer(201, body, content_type=kind)
    receipt = await rest().deliver(delivery())
    assert receipt.details == {"status": 201, **({} if found is None else {"id": found})}
    assert receipt.summary == "POST answered HTTP 201" + ("" if found is None else f", id {found}")
