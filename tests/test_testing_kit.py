"""The kit that plugins are tested with: it makes what the gateway makes, and its suite finds what is wrong."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, ConfigDict, Field

from gateway import api, testing


class Room(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    hook: api.Secret


class Chat(api.Destination["Chat.Settings", "Chat.Options"]):
    """Fits in every way."""

    name = "chat"

    class Settings(api.Settings):
        token: api.Secret
        spare: list[api.Secret] = Field(default_factory=list)
        rooms: dict[str, Room] = Field(default_factory=dict)

    class Options(api.Options):
        text: api.Template[Any] = None

    async def deliver(self, delivery: api.Delivery[Any]) -> api.Receipt:
        async with self.context.http(base_url="https://chat.example.com") as http:
            answer = await http.post("/messages", content=str(delivery.options.text))
        return api.Receipt(summary=f"answered {answer.status_code}")


SETTINGS = {"token": "tok-1234", "spare": ["spare-5678"], "rooms": {"ops": {"hook": "hook-9012"}}}


OPTIONS = {"text": "{{ record.fields.site }}"}


class TestAPluginThatFits(testing.DestinationConformance):
    destination = Chat
    settings = SETTINGS
    options = OPTIONS


class Careless(BaseModel):
    hook: str = ""
    again: list[Careless] = Field(default_factory=list)


class Loose(Chat):
    class Settings(Chat.Settings):
        more: dict[str, Careless] = Field(default_factory=dict)


def suite(plugin: type[api.Destination[Any, Any]]) -> testing.DestinationConformance:
    class Suite(testing.DestinationConformance):
        destination = plugin
        settings = SETTINGS
        options = OPTIONS

    return Suite()


class Shows(Chat):
    def preview(self, delivery: api.Delivery[Any]) -> str:
        return f"to {self.settings.rooms['ops'].hook.get_secret_value()}"


class Mute(Chat):
    def preview(self, delivery: api.Delivery[Any]) -> str:
        return None  # type: ignore[return-value]


@pytest.mark.parametrize("plugin", [Shows, Mute])
async def test_a_preview_that_shows_a_secret_or_nothing_is_found(plugin: type[Chat]) -> None:
    with pytest.raises((AssertionError, TypeError), match=r"shows a secret|returned None"):
        await suite(plugin).test_it_shows_what_it_would_send()


def test_a_method_that_does_not_fit_is_found() -> None:
    class Sync(Chat):
        def deliver(self, delivery: api.Delivery[Any]) -> api.Receipt:  # type: ignore[override]
            return api.Receipt(summary="")

    with pytest.raises(AssertionError, match="async def"):
        suite(Sync).test_it_is_registered_under_its_name()


def test_an_inner_table_that_takes_any_key_is_found() -> None:
    with pytest.raises(AssertionError, match=r'extra="forbid".* to Careless'):
        suite(Loose).test_unknown_settings_and_options_are_refused()


def test_traits_and_findings_of_another_kind_are_found() -> None:
    class Odd(Chat):
        def review(self, options: Any) -> Any:
            return None

    with pytest.raises(TypeError, match=r"review\(\) returned None"):
        suite(Odd).test_it_judges_unrendered_options()


def test_a_record_holds_what_a_real_one_does() -> None:
    record = testing.make_record(score=7.5, tags=["a", "b"], parts=[{"price": 0.1}], none=[])
    assert record.fields["score"] == Decimal("7.5")
    assert isinstance(record.fields["score"], Decimal)
    assert record.tables == {"parts": [{"price": Decimal("0.1")}], "none": []}


async def test_a_fake_takes_the_place_of_the_network() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(201)

    context = testing.make_context("talk", transport=httpx.MockTransport(answer))
    chat = Chat(testing.settings(Chat.Settings, **SETTINGS), context)
    receipt = await chat.deliver(testing.make_delivery(testing.rendered(Chat.Options, text="hello")))
    assert (context.name, receipt.summary) == ("talk", "answered 201")
    assert [(str(one.url), one.content) for one in asked] == [("https://chat.example.com/messages", b"hello")]
