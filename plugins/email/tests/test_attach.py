"""Mails that carry photos and files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from gateway_email import Email
from gateway_email.options import EmailOptions

from gateway.api import Attachment, Delivery, Rejected, Traits, Unavailable, Uncertain
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


async def test_large_photos_arrive_whole_with_the_lines_around_them(
    serve: Serve, email: MakeEmail, delivery: Make, tmp_path: Path
) -> None:
    server = await serve()
    contents = [bytes(range(256)) * 8192, b".", b"\r\n.\r\n" * 100_000]
    photos = tuple(make_attachment(tmp_path, f"photo{number}", one) for number, one in enumerate(contents))
    text = ".\n..two\nthree\n.\n"
    await email(port=server.port).deliver(replace(delivery(attach=["*"], text=text), attachments=photos))
    message = message_from_bytes(server.box.mails[0].content, policy=policy.default)
    assert message.get_body(("plain",)).get_content().replace("\r\n", "\n") == text
    assert [part.get_content() for part in message.iter_attachments()] == contents
    assert max(map(len, server.box.mails[0].content.split(b"\r\n"))) <= 78


Answer = Callable[[bytes], bytes]


@asynccontextmanager
async def scripted(
    answer: Answer, *, reads: int | bytes = 0, then: bytes = b"", hangs_up: bool = False
) -> AsyncIterator[tuple[int, bytearray]]:
    """Serve mail by a script until DATA; then take so many bytes, or up to these, say ``then``, and take what comes."""
    got, ended = bytearray(), asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            writer.write(answer(line.strip()))
            if line.strip() == b"DATA":
                break
        got.extend(await (reader.readuntil(reads) if isinstance(reads, bytes) else reader.readexactly(reads)))
        writer.write(then)
        if hangs_up:
            writer.transport.abort()
        while piece := await reader.read(65536):
            got.extend(piece)
        writer.close()
        ended.set()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], got
        await asyncio.wait_for(ended.wait(), 5)


def go_on(line: bytes) -> bytes:
    return b"354 go on\r\n" if line == b"DATA" else b"250 fine\r\n"


async def test_a_photo_that_vanishes_before_it_is_read_breaks_the_mail_off_before_its_end(
    email: MakeEmail, delivery: Make, tmp_path: Path
) -> None:
    photo = make_attachment(tmp_path, "photo", b"\xff\xd8 dock")

    def vanish(line: bytes) -> bytes:
        if line == b"DATA":
            photo.path.unlink()
        return go_on(line)

    async with scripted(vanish) as (port, got):
        with pytest.raises(Unavailable, match=r"photo: .* cannot be read"):
            await email(port=port).deliver(replace(delivery(attach=["photo"]), attachments=(photo,)))
    assert b"\r\n.\r\n" not in got


async def test_a_photo_that_is_not_whole_is_not_sent(email: MakeEmail, delivery: Make, tmp_path: Path) -> None:
    photo = make_attachment(tmp_path, "photo", b"\xff\xd8 dock")
    one = replace(delivery(attach=["photo"]), attachments=(replace(photo, size=photo.size + 1),))
    with pytest.raises(Unavailable, match="has 7 bytes instead of 8"):
        await email(port=1).deliver(one)


async def test_a_mail_that_is_refused_amid_its_photos_is_rejected_with_that_answer(
    email: MakeEmail, delivery: Make, tmp_path: Path
) -> None:
    photo = make_attachment(tmp_path, "photo", bytes(8_000_000))
    async with scripted(go_on, reads=100_000, then=b"552 too large\r\n") as (port, got):
        with pytest.raises(Rejected, match="552 too large"):
            await email(port=port).deliver(replace(delivery(attach=["photo"]), attachments=(photo,)))
    assert len(got) < 8_000_000


async def test_a_connection_that_is_lost_amid_the_photos_leaves_no_doubt(
    email: MakeEmail, delivery: Make, tmp_path: Path
) -> None:
    photo = make_attachment(tmp_path, "photo", bytes(8_000_000))
    async with scripted(go_on, reads=100_000, hangs_up=True) as (port, _):
        with pytest.raises(Unavailable, match="broken off before its end"):
            await email(port=port).deliver(replace(delivery(attach=["photo"]), attachments=(photo,)))


async def test_a_connection_that_is_lost_behind_the_last_photo_leaves_a_doubt(
    email: MakeEmail, delivery: Make, photos: tuple[Attachment, ...]
) -> None:
    async with scripted(go_on, reads=b"\r\n.\r\n", hangs_up=True) as (port, _):
        with pytest.raises(Uncertain, match="it may have arrived"):
            await email(port=port).deliver(replace(delivery(attach=["photo"]), attachments=photos))


async def test_a_server_that_takes_no_mail_now_gets_no_photos(
    email: MakeEmail, delivery: Make, photos: tuple[Attachment, ...]
) -> None:
    async with scripted(lambda line: b"451 later\r\n" if line == b"DATA" else b"250 fine\r\n") as (port, got):
        with pytest.raises(Unavailable, match="451 later"):
            await email(port=port).deliver(replace(delivery(attach=["photo"]), attachments=photos))
    assert not got.removeprefix(b"QUIT\r\n")


@pytest.mark.parametrize("path", ["findings[].photo", "findings.photo"])
async def test_photos_of_all_rows_are_attached(
    path: str, serve: Serve, email: MakeEmail, delivery: Make, photos: tuple[Attachment, ...]
) -> None:
    server = await serve()
    await email(port=server.port).deliver(replace(delivery(attach=[path]), attachments=photos))
    message = message_from_bytes(server.box.mails[0].content, policy=policy.default)
    assert [part.get_content() for part in message.iter_attachments()] == [b"\xff\xd8 rail"]


async def test_too_much_is_rejected_before_anything_is_sent(
    serve: Serve, email: MakeEmail, delivery: Make, photos: tuple[Attachment, ...]
) -> None:
    server = await serve()
    large = (replace(photos[0], size=30_000_000),)
    with pytest.raises(Rejected, match=r"1 attachment with 30.0 MB.* attach_limit of the destination \(18.0 MB\)"):
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
    assert "Attached: Döck 4.jpg (photo, image/jpeg, 7 bytes)" in shown


def test_only_a_mail_that_attaches_needs_attachments(email: MakeEmail, unrendered: Callable[..., EmailOptions]) -> None:
    def traits(**options: Any) -> Traits:
        return email().traits(unrendered(**options))

    assert (traits().needs, traits(attach=["*"]).needs) == (frozenset(), {"attachments"})
