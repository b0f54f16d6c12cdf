"""How the gateway says who it is, and that nobody else reads it."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from typing import Any

import pytest
from gateway_rest import Rest
from pydantic import SecretStr

from gateway.api import Delivery, DeliveryError

Make = Callable[..., Delivery[Any]]
MakeRest = Callable[..., Rest]

_PASSWORD = "pass:wörd"
_PAIR = base64.b64encode(f"gateway:{_PASSWORD}".encode()).decode()
_TOKEN = "tok-8c1f"

BASIC = {"type": "basic", "username": "gateway", "password": SecretStr(_PASSWORD)}
BEARER = {"type": "bearer", "token": SecretStr(_TOKEN)}
HEADER = {"type": "header", "name": "X-Api-Key", "value": SecretStr(_TOKEN)}
LOGINS = pytest.mark.parametrize(
    ("auth", "name", "sent"),
    [
        (BASIC, "Authorization", f"Basic {_PAIR}"),
        (BEARER, "Authorization", f"Bearer {_TOKEN}"),
        (HEADER, "X-Api-Key", _TOKEN),
    ],
    ids=["basic", "bearer", "header"],
)


@LOGINS
async def test_each_kind_of_login_is_sent_in_its_header(
    auth: Any, name: str, sent: str, service: Any, rest: MakeRest, delivery: Make
) -> None:
    await rest(auth=auth).deliver(delivery())
    assert service.heard[0].all(name) == [sent]


@LOGINS
async def test_no_other_header_takes_the_place_of_the_login(
    auth: Any, name: str, sent: str, service: Any, rest: MakeRest, delivery: Make
) -> None:
    await rest(auth=auth, headers={name.upper(): "other"}).deliver(delivery(headers={name.lower(): "other"}))
    assert service.heard[0].all(name) == [sent]


@LOGINS
async def test_secrets_are_not_shown(
    auth: Any, name: str, sent: str, service: Any, rest: MakeRest, delivery: Make
) -> None:
    destination = rest(auth=auth, url=SecretStr(f"{service.url}/hook-77"), headers={"X-Key": SecretStr("key-9931")})
    shown = destination.preview(delivery(path="items", headers={"X-Site": "Dock 4"}))
    assert "POST **********/items" in shown
    assert "X-Key: **********" in shown
    assert "X-Site: Dock 4" in shown
    assert f"{name}: " in shown
    assert not any(secret in shown for secret in (sent, _PASSWORD, _TOKEN, _PAIR, "hook-77", "key-9931"))


@LOGINS
@pytest.mark.parametrize("status", [200, 302, 400, 401, 503])
async def test_secrets_that_the_service_repeats_are_hidden(
    auth: Any, name: str, sent: str, status: int, service: Any, rest: MakeRest, delivery: Make
) -> None:
    destination = rest(auth=auth, url=SecretStr(f"{service.url}/hook-77"), headers={"X-Key": SecretStr("key-9931")})
    said = f"{sent} key-9931 {service.url}/hook-77"
    service.answer(status, f'{{"id": "{said}"}}'.encode(), content_type="application/json", location=said)
    try:
        receipt = await destination.deliver(delivery())
        shown = f"{receipt.summary} {receipt.details}"
    except DeliveryError as error:
        shown = str(error)
    assert "********" in shown
    assert not any(secret in shown for secret in (sent, _TOKEN, _PAIR, "hook-77", "key-9931"))


async def test_a_very_short_secret_is_left_alone_since_hiding_would_tell_it(
    service: Any, rest: MakeRest, delivery: Make
) -> None:
    service.answer(400, b"a bad thing")
    with pytest.raises(DeliveryError, match="a bad thing"):
        await rest(headers={"X-Key": SecretStr("a")}).deliver(delivery())


async def test_no_log_tells_the_address(
    service: Any, rest: MakeRest, delivery: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await rest(url=f"{service.url}/hook-77", auth=BEARER).deliver(delivery())
    assert "hook-77" not in caplog.text
    assert _TOKEN not in caplog.text
