"""Requests that carry photos and files."""

from __future__ import annotations

import email
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gateway_rest import Rest
from gateway_rest.options import RestOptions

from gateway.api import Attachment, Delivery, Unavailable
from gateway.testing import make_attachment

Make = Callable[..., Delivery[Any]]
MakeRest = Callable[..., Rest]


def parts_of(heard: Any) -> list[tuple[str | None, str | None, str, bytes]]:
    """Return name, file name, type and content of each part."""
    [kind] = heard.all("Content-Type")
    message = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + heard.body)
    assert message.is_multipart()
    return [
        (
            part.get_param("name", header="content-disposition"),  # type: ignore[misc]
            part.get_filename(),
            part.get_content_type(),
            part.get_payload(decode=True),
        )
        for part in message.get_payload()
    ]


@pytest.fixture
def photos(tmp_path: Path) -> tuple[Attachment, ...]:
    return (
        make_attachment(tmp_path, "photo", b"\xff\xd8\r\n--dock", filename='Dock "4".jpg'),
        make_attachment(tmp_path, "findings[0].photo", b"\xff\xd8" * 400_000),
    )


async def test_the_body_and_the_attachments_are_parts_of_one_request(
    service: Any, rest: MakeRest, delivery: Make, photos: tuple[Attachment, ...]
) -> None:
    one = delivery({"site": "Dock"}, json={"site": "{{ record.fields.site }}"}, attach=["photo", "findings[].photo"])
    await rest().deliver(replace(one, attachments=photos))
    [heard] = service.heard
    assert heard.all("Transfer-Encoding") == []
    assert parts_of(heard) == [
        ("record", None, "application/json", b'{"site": "Dock"}'),
        ("photo", "Dock %224%22.jpg", "image/jpeg", b"\xff\xd8\r\n--dock"),
        ("findings[0].photo", "photo.jpg", "image/jpeg", b"\xff\xd8" * 400_000),
    ]


async def test_a_repeat_sends_the_same_bytes(
    service: Any, rest: MakeRest, delivery: Make, photos: tuple[Attachment, ...]
) -> None:
    destination = rest()
    for attempt in (1, 2):
        await destination.deliver(replace(delivery(attach=["*"], attempt=attempt), attachments=photos))
    first, second = service.heard
    assert (first.body, first.all("Content-Type")) == (second.body, second.all("Content-Type"))
    assert first.all("Idempotency-Key") == second.all("Idempotency-Key")


async def test_the_names_of_the_parts_are_options_and_each_field_of_a_form_is_one(
    service: Any, rest: MakeRest, delivery: Make, photos: tuple[Attachment, ...]
) -> None:
    destination = rest()
    await destination.deliver(
        replace(
            delivery(form={"title": "a", "tag": ["x", "y"]}, attach=["photo"], attach_as="file"), attachments=photos
        )
    )
    await destination.deliver(replace(delivery(body="note", body_as="note", attach=["photo"]), attachments=photos))
    form, text = service.heard
    assert [(name, content) for name, _, _, content in parts_of(form)][:3] == [
        ("title", b"a"),
        ("tag", b"x"),
        ("tag", b"y"),
    ]
    assert parts_of(form)[3][0] == "file"
    assert parts_of(text)[0] == ("note", None, "text/plain", b"note")


async def test_a_record_without_photos_is_sent_in_the_same_form(service: Any, rest: MakeRest, delivery: Make) -> None:
    await rest().deliver(delivery(json={"a": 1}, attach=["photo"]))
    assert [part[0] for part in parts_of(service.heard[0])] == ["record"]


async def test_one_that_is_not_whole_is_tried_later_and_nothing_is_sent(
    service: Any, rest: MakeRest, delivery: Make, photos: tuple[Attachment, ...]
) -> None:
    photos[1].path.write_bytes(b"short")
    with pytest.raises(Unavailable, match="has 5 bytes instead of 800000"):
        await rest().deliver(replace(delivery(attach=["*"]), attachments=photos))
    assert service.heard == []


def test_the_preview_shows_sizes_instead_of_contents(
    rest: MakeRest, delivery: Make, photos: tuple[Attachment, ...]
) -> None:
    shown = rest().preview(replace(delivery(json={"a": 1}, attach=["*"]), attachments=photos))
    assert '{"a": 1}' in shown
    assert "[800000 bytes]" in shown


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"attach": ["findings[0].photo"]}, "is no path into a record"),
        ({"attach": ["photo"], "method": "GET"}, "a GET has no body"),
    ],
)
def test_what_cannot_be_sent_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        RestOptions.model_validate(options)
