"""Mails that carry photos and files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from gateway_email import Email
from gateway_email.options import EmailOptions

from gateway.api import Attachment, Delivery, Rejected, Traits, Unavailable
from gateway.testing import make_attachment

Make = Callable[..., Delivery[EmailOptions]]
MakeEmail = Callable[..., Email]
Serve = Callable[..., Any]


@pytest.fixture
def photos(tmp_path: Path) -> tuple[Attachment, ...]:
    return (
        make_attachment(tmp_path, "photo", b"\xff\xd8 dock", filename="Döck 4.jpg"),
        make_attachment(tmp_path, "findings[0].photo", b"\xff\xd8 rail"),
        make_attachment(tmp_path, "report", b"one\ntwo\n", filename="report.txt", content_type="text/plain"),
    )


async def test_what_attach_names_arrives_with_its_name_and_type(
    serve: Serve, email: MakeEmail, delivery: Make, photos: tuple[Attachment, ...]
) -> None:
    server = await serve()
    one = replace(delivery(attach=["photo", "report"], html="<p>Look.</p>"), attachments=photos)
    receipt = await email(port=server.port).deliver(one)
    assert receipt.summary.endswith("(1 recipient, 2 attached)")
    [mail] = server.box.mails
    message = message_from_bytes(mail.content, policy=policy.default)
    found = [(part.get_filename(), part.get_content_type(), part.get_content()) for part in message.iter_attachments()]
    assert found == [
        ("Döck 4.jpg", "image/jpeg", b"\xff\xd8 dock"),
        ("report.txt", "application/octet-stream", b"one\ntwo\n"),
    ]
    assert message.get_body(("plain",)).get_content().strip() == "Look."
    again = await email(port=server.port).deliver(one)
    assert again.details["message_id"] == receipt.details["message_id"]
    assert server.box.mails[1].content == mail.content


async def test_photos_of_all_rows_are_attached(
    serve: Serve, email: MakeEmail, delivery: Make, photos: tuple[Attachment, ...]
) -> None:
    server = await serve()
    await email(port=server.port).deliver(replace(delivery(attach=["findings[].photo"]), attachments=photos))
    message = message_from_bytes(server.box.mails[0].content, policy=policy.default)
    assert [part.get_content() for part in message.iter_attachments()] == [b"\xff\xd8 rail"]


async def test_too_much_is_rejected_before_anything_is_sent(
    serve: Serve, email: MakeEmail, delivery: Make, photos: tuple[Attachment, ...]
) -> None:
    server = await serve()
    large = (replace(photos[0], size=30_000_000),)
    with pytest.raises(Rejected, match=r"1 attachments? with 30.0 MB .* attach_limit of the destination \(18.0 MB\)"):
        await email(port=server.port).deliver(replace(delivery(attach=["*"]), attachments=large))
    assert server.box.said == []


async def test_one_that_cannot_be_read_is_tried_later(
    email: MakeEmail, delivery: Make, photos: tuple[Attachment, ...]
) -> None:
    photos[0].path.unlink()
    with pytest.raises(Unavailable, match=r"photo: .* cannot be read"):
        await email(port=1).deliver(replace(delivery(attach=["photo"]), attachments=photos))


def test_the_preview_names_them_without_reading(
    email: MakeEmail, delivery: Make, photos: tuple[Attachment, ...]
) -> None:
    photos[0].path.unlink()
    shown = email().preview(replace(delivery(attach=["photo"]), attachments=photos))
    assert "Attached: Döck 4.jpg (image/jpeg, 7 bytes)" in shown


def test_only_a_mail_that_attaches_needs_attachments(email: MakeEmail, unrendered: Callable[..., EmailOptions]) -> None:
    def traits(**options: Any) -> Traits:
        return email().traits(unrendered(**options))

    assert (traits().needs, traits(attach=["*"]).needs) == (frozenset(), {"attachments"})
