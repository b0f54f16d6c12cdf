"""What is found out before anything is sent."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from gateway_rest import Rest
from gateway_rest.options import RestOptions, RestSettings
from pydantic import SecretStr, ValidationError

from gateway.api import Delivery, Repeatable
from gateway.testing import DestinationConformance, unrendered

Make = Callable[..., Delivery[Any]]
MakeRest = Callable[..., Rest]


class TestConformance(DestinationConformance):
    destination = Rest
    settings = {  # noqa: RUF012
        "url": "https://service.example/api",
        "auth": {"type": "basic", "username": "gateway", "password": "secret-word"},
        "headers": {"X-Key": "secret-key"},
    }
    options = {  # noqa: RUF012
        "method": "PUT",
        "path": "items/{{ record.key }}",
        "headers": {"X-Site": "{{ record.fields.site }}"},
        "json": {"site": "{{ record.fields.site }}"},
    }


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "http://example.com:8080/api/",
        "https://[::1]:8443/x",
        "HTTPS://example.com",
        "http://h/@x",
    ],
)
def test_an_address_is_scheme_host_and_path(url: str) -> None:
    RestSettings.model_validate({"url": url})


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("example.com/api", "no address of a service"),
        ("/api", "no address of a service"),
        ("ftp://example.com", "no address of a service"),
        ("https:///api", "no address of a service"),
        ("https://:8080/api", "no address of a service"),
        ("", "no address of a service"),
        ("https://example.com:99999", "no address"),
        ("https://exa mple.com", "no address"),
        ("https://example.com/\r\nx", "no address"),
        ("https://me:word@example.com", "a login must not stand in the address"),
        ("https://me@example.com", "a login must not stand in the address"),
        ("https://@example.com", "a login must not stand in the address"),
        ("https://example.com/?a=1", "put it into `query`"),
        ("https://example.com/#a", "put it into `query`"),
        ("https://{{ record.fields.host }}/", "never a template"),
        ("https://example.com/{% if x %}", "never a template"),
    ],
)
@pytest.mark.parametrize("secret", [False, True])
def test_another_address_is_refused_without_being_shown(url: str, message: str, secret: bool) -> None:
    with pytest.raises(ValidationError) as caught:
        RestSettings.model_validate({"url": SecretStr(url) if secret else url})
    [told] = [one["msg"] for one in caught.value.errors() if one["type"] == "value_error"]
    assert message.casefold() in told.casefold()
    assert not url or url not in told


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"auth": {"type": "bearer", "token": "plain"}}, "in the clear"),
        ({"auth": {"type": "bearer", "token": SecretStr("a\r\nX-Admin: 1")}}, "holds a line break"),
        ({"auth": {"type": "header", "name": "X-Key", "value": SecretStr("schlüssel")}}, "not ASCII"),
        ({"auth": {"type": "header", "name": "X Key", "value": SecretStr("a")}}, "is no name of a header"),
        ({"auth": {"type": "header", "name": "Host", "value": SecretStr("a")}}, "is set by the gateway"),
        ({"auth": {"type": "basic", "username": "a:b", "password": SecretStr("a")}}, "neither a colon"),
        ({"auth": {"type": "basic", "username": "a", "password": "plain"}}, "in the clear"),
        ({"auth": {"type": "basic", "username": "a"}}, "Field required"),
        ({"auth": {"type": "digest"}}, "'basic', 'bearer', 'header'"),
        ({"auth": {"type": "oauth2", "token_url": "x"}}, "`oauth2` is not available in this version"),
        ({"cert": "client.pem"}, "not available in this version"),
        ({"signing_secret": SecretStr("a")}, "not available in this version"),
        ({"headers": {"X-Key": "a\nb"}}, "the header X-Key would hold a line break"),
        ({"headers": {"X-Key": SecretStr("ä")}}, "the header X-Key would hold a character that is not ASCII"),
        ({"headers": {"X:Key": "a"}}, "is no name of a header"),
        ({"headers": {"": "a"}}, "is no name of a header"),
        ({"headers": {"idempotency-key": "a"}}, "is set by the gateway"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "is set by the gateway"),
        ({"verify": False}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RestSettings.model_validate({"url": "https://example.com", **settings})
    assert message in " ".join(one["msg"] for one in caught.value.errors())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "FETCH"}, "'GET', 'POST', 'PUT', 'PATCH' or 'DELETE'"),
        ({"json": {}, "body": "x"}, "`json` and `body` are given"),
        ({"form": {}, "body": "x"}, "`form` and `body` are given"),
        ({"success": [200], "permanent": [200]}, "status 200 stands in two"),
        ({"success": [409], "retryable": [409]}, "status 409 stands in two"),
        ({"permanent": [500], "retryable": [500]}, "status 500 stands in two"),
        ({"success": [20]}, "greater than or equal to 100"),
        ({"retryable": [600]}, "less than or equal to 599"),
        ({"url": "https://example.com"}, "Extra inputs"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        unrendered(RestOptions, **options)
    assert message in " ".join(one["msg"] for one in caught.value.errors())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"path": "items/"},
        {"path": "/items?kind=a"},
        {"path": "items/{{ record.key }}"},
        {"path": "{{ record.key }}/.."},
        {"headers": {"X-Site": "{{ record.fields.site }}", "Content-Type": "text/xml"}},
        {"headers": "{{ record.fields.headers }}"},
    ],
)
def test_options_that_fit_are_left_alone(options: dict[str, Any], rest: MakeRest) -> None:
    assert rest().review(unrendered(RestOptions, **options)) == []


@pytest.mark.parametrize(
    ("options", "where", "found"),
    [
        ({"path": "https://example.com/items"}, "path", "is a whole address"),
        ({"path": "../admin"}, "path", "would leave its place"),
        ({"path": "a/%2e%2E/b"}, "path", "would leave its place"),
        ({"path": "a//b"}, "path", "is empty"),
        ({"path": "a#b"}, "path", "is never sent"),
        ({"headers": {"Host": "{{ record.key }}"}}, "headers", "is set by the gateway"),
        ({"headers": {"X Site": "{{ record.key }}"}}, "headers", "is no name of a header"),
        ({"headers": {"X-Site": "Süd"}}, "headers", "not ASCII"),
        ({"headers": {"X-Site": "a\nb"}}, "headers", "a line break"),
    ],
)
def test_options_that_do_not_fit_are_found(options: dict[str, Any], where: str, found: str, rest: MakeRest) -> None:
    [finding] = rest().review(unrendered(RestOptions, **options))
    assert (finding.where, finding.error) == (where, True)
    assert found in finding.found
    assert finding.remedy


@pytest.mark.parametrize(
    ("options", "repeatable", "needs"),
    [
        ({}, Repeatable.WITH_KEY, {"record"}),
        ({"method": "PATCH"}, Repeatable.WITH_KEY, {"record"}),
        ({"method": "PUT"}, Repeatable.YES, {"record"}),
        ({"method": "GET"}, Repeatable.YES, set()),
        ({"method": "DELETE"}, Repeatable.YES, set()),
        ({"json": {}}, Repeatable.WITH_KEY, set()),
        ({"form": {}}, Repeatable.WITH_KEY, set()),
        ({"body": ""}, Repeatable.WITH_KEY, set()),
        ({"method": "PUT", "json": {"site": "{{ record.fields.site }}"}}, Repeatable.YES, set()),
    ],
)
def test_the_method_tells_about_repeats_and_the_default_body_needs_the_record(
    options: dict[str, Any], repeatable: Repeatable, needs: set[str], rest: MakeRest
) -> None:
    traits = rest().traits(unrendered(RestOptions, **options))
    assert (traits.repeatable, traits.needs) == (repeatable, needs)


async def test_check_asks_with_head_and_the_login(service: Any, rest: MakeRest) -> None:
    destination = rest(
        url=f"{service.url}/api", headers={"X-Tenant": "acme"}, auth={"type": "bearer", "token": SecretStr("tok")}
    )
    assert await destination.check([]) == []
    [heard] = service.heard
    assert (heard.method, heard.target) == ("HEAD", "/api")
    assert (heard.all("X-Tenant"), heard.all("Authorization")) == (["acme"], ["Bearer tok"])
    assert heard.all("Idempotency-Key") == []


@pytest.mark.parametrize(
    ("status", "where"),
    [(204, None), (404, None), (405, None), (401, "auth"), (403, "auth"), (308, "url"), (503, "url")],
)
async def test_check_warns_of_answers_that_will_be_in_the_way(
    status: int, where: str | None, service: Any, rest: MakeRest
) -> None:
    service.answer(status, location="https://elsewhere.example/")
    found = await rest().check([])
    assert [(finding.where, finding.error) for finding in found] == ([] if where is None else [(where, False)])
    assert all(str(status) in finding.found for finding in found)
    assert all("elsewhere" in finding.found for finding in found if status == 308)


async def test_check_finds_that_nobody_answers(rest: MakeRest) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        [finding] = await rest(url=f"http://127.0.0.1:{taken.getsockname()[1]}").check([])
    assert (finding.where, finding.error) == ("url", True)
    assert "cannot be reached" in finding.found


async def test_check_finds_an_authority_that_cannot_be_used(rest: MakeRest) -> None:
    [finding] = await rest(ca="/nowhere/ca.pem").check([])
    assert (finding.where, finding.error) == ("ca", True)
    assert "/nowhere/ca.pem" in finding.found


def test_a_preview_shows_the_request(rest: MakeRest, delivery: Make) -> None:
    shown = rest(url="https://example.com/api", headers={"X-Tenant": "acme"}).preview(
        delivery(
            {"site": "Süd"}, method="PUT", path="items/{{ record.key }}", json={"site": "{{ record.fields.site }}"}
        )
    )
    assert shown.splitlines() == [
        "PUT https://example.com/api/items/s1",
        "Content-Type: application/json",
        "X-Tenant: acme",
        "Idempotency-Key: delivery-1",
        "",
        '{"site": "Süd"}',
    ]


def test_a_preview_tells_what_would_be_rejected(rest: MakeRest, delivery: Make) -> None:
    shown = rest().preview(delivery({"x": ".."}, path="{{ record.fields.x }}"))
    assert shown.startswith("would be rejected: the path '..'")
