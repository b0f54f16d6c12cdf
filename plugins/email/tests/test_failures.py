"""What each way a conversation can end means for the delivery."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from gateway_email import Email
from gateway_email.options import EmailOptions

from gateway.api import Delivery, DeliveryError, Misconfigured, Rejected, Unavailable, Uncertain

Make = Callable[..., Delivery[EmailOptions]]
MakeEmail = Callable[..., Email]


@pytest.mark.parametrize(
    ("answers", "error", "whole"),
    [
        ({"greeting": "421 busy"}, Unavailable, True),
        ({"greeting": "554 no"}, Unavailable, True),
        ({"greeting": "hang up"}, Unavailable, True),
        ({"greeting": "nonsense"}, Unavailable, True),
        ({"EHLO": "421 busy"}, Unavailable, True),
        ({"EHLO": "500 what", "HELO": "501 what"}, Unavailable, True),
        ({"EHLO": "hang up"}, Unavailable, True),
        ({"MAIL": "450 later"}, Unavailable, False),
        ({"MAIL": "421 busy"}, Unavailable, True),
        ({"MAIL": "550 not you"}, Rejected, None),
        ({"MAIL": "530 log in"}, Misconfigured, None),
        ({"MAIL": "hang up"}, Unavailable, False),
        ({"RCPT": "450 later"}, Unavailable, False),
        ({"RCPT": "421 busy"}, Unavailable, True),
        ({"RCPT": "550 unknown"}, Rejected, None),
        ({"RCPT": "hang up"}, Unavailable, False),
        ({"DATA": "451 later"}, Unavailable, False),
        ({"DATA": "554 no"}, Rejected, None),
        ({"DATA": "hang up"}, Uncertain, None),
        ({"content": "451 later"}, Unavailable, False),
        ({"content": "421 busy"}, Unavailable, True),
        ({"content": "552 too big"}, Rejected, None),
        ({"content": "hang up"}, Uncertain, None),
        ({"content": "nonsense"}, Uncertain, None),
        ({"content": "354 again"}, Uncertain, None),
    ],
    ids=str,
)
async def test_the_way_it_ends_decides(
    answers: dict[str, str],
    error: type[DeliveryError],
    whole: bool | None,
    script: Callable[..., Any],
    email: MakeEmail,
    delivery: Make,
) -> None:
    port, _ = await script(**answers)
    with pytest.raises(DeliveryError) as caught:
        await email(port=port).deliver(delivery())
    assert type(caught.value) is error
    assert getattr(caught.value, "whole", None) is whole


async def test_a_server_without_ehlo_is_greeted_the_old_way(
    script: Callable[..., Any], email: MakeEmail, delivery: Make
) -> None:
    port, said = await script(EHLO="500 what")
    await email(port=port).deliver(delivery())
    assert said.heard[:2] == ["EHLO", "HELO"]
    assert "content" in said.heard


@pytest.mark.parametrize(
    ("verb", "error"),
    [("greeting", Unavailable), ("MAIL", Unavailable), ("RCPT", Unavailable), ("content", Uncertain)],
)
async def test_silence_is_unavailable_before_the_mail_was_sent_and_uncertain_after(
    verb: str, error: type[DeliveryError], script: Callable[..., Any], email: MakeEmail, delivery: Make
) -> None:
    port, _ = await script(**{verb: "say nothing"})
    with pytest.raises(error):
        await email(port=port).deliver(delivery(seconds=0.4))


async def test_silence_after_the_mail_was_sent_is_told_as_such(
    script: Callable[..., Any], email: MakeEmail, delivery: Make
) -> None:
    port, _ = await script(content="say nothing")
    with pytest.raises(Uncertain) as silent:
        await email(port=port).deliver(delivery(seconds=0.4))
    assert str(silent.value) == "no answer after the mail was sent, it may have arrived: time is over"


async def test_when_time_is_over_nothing_is_sent(script: Callable[..., Any], email: MakeEmail, delivery: Make) -> None:
    port, said = await script()
    with pytest.raises(Unavailable):
        await email(port=port).deliver(delivery(seconds=-1))
    assert "DATA" not in said.heard


async def test_one_refused_recipient_means_that_nobody_gets_the_mail(
    serve: Callable[..., Any], email: MakeEmail, delivery: Make
) -> None:
    server = await serve()
    server.box.answers["gone@example.com"] = "550 5.1.1 no such user"
    server.box.answers["grey@example.com"] = "450 4.2.0 greylisted"
    destination = email(port=server.port)
    with pytest.raises(Rejected, match=r"gone@example.com: 550 5.1.1 no such user"):
        await destination.deliver(delivery(recipients=["boss@example.com, gone@example.com, grey@example.com"]))
    with pytest.raises(Unavailable, match=r"grey@example.com: 450 4.2.0 greylisted"):
        await destination.deliver(delivery(recipients=["boss@example.com, grey@example.com"]))
    assert server.box.mails == []
    await destination.deliver(delivery())
    assert [mail.rcpt_tos for mail in server.box.mails] == [["boss@example.com"]]


async def test_a_refused_mail_leaves_nothing_behind_for_the_next_one(
    serve: Callable[..., Any], email: MakeEmail, delivery: Make
) -> None:
    server = await serve()
    server.box.answers["DATA"] = "554 5.7.1 looks like spam"
    destination = email(port=server.port)
    with pytest.raises(Rejected, match="looks like spam"):
        await destination.deliver(delivery(recipients=["a@example.com"]))
    server.box.answers.clear()
    await destination.deliver(delivery(recipients=["b@example.com"]))
    assert [mail.rcpt_tos for mail in server.box.mails] == [["b@example.com"]]


@pytest.mark.parametrize("at", [b"", b"EHLO", b"MAIL", b"."], ids=["greeting", "EHLO", "MAIL", "content"])
@pytest.mark.parametrize("line", [b"250-more\r\n", b"2" * 1000], ids=["lines", "one line"])
async def test_reply_without_end_is_given_up_before_it_fills_memory(
    at: bytes, line: bytes, email: MakeEmail, delivery: Make
) -> None:
    poured = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal poured
        with contextlib.suppress(OSError):
            said = b""
            while not (said.startswith(at) if at else True):
                writer.write(b"220 here\r\n" if not said else b"354 go\r\n" if said == b"DATA" else b"250 fine\r\n")
                said = (await reader.readuntil(b"\r\n.\r\n") if said == b"DATA" else await reader.readline()).strip()
                said = b"." if said.endswith(b"\r\n.") else said
            while poured < 200_000_000:
                writer.write(line * 100)
                poured += len(line) * 100
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        with pytest.raises((Unavailable, Uncertain)):
            await email(port=server.sockets[0].getsockname()[1]).deliver(delivery())
    assert poured < 50_000_000
