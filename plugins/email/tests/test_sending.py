"""Sending to a real mail server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
import trustme
from gateway_email import Email
from gateway_email.options import EmailOptions

from gateway.api import Delivery, Misconfigured, Rejected, Repeatable, Unavailable

Make = Callable[..., Delivery[EmailOptions]]
MakeEmail = Callable[..., Email]
Serve = Callable[..., Any]
USERNAME, PASSWORD = "gateway", "correct horse"


async def test_a_mail_arrives_and_the_receipt_tells_the_reply_and_the_id(
    serve: Serve, email: MakeEmail, delivery: Make
) -> None:
    server = await serve()
    receipt = await email(port=server.port).deliver(
        delivery(recipients=["boss@example.com"], bcc=["hidden@example.com"], text=".\n..dots\nü")
    )
    [mail] = server.box.mails
    assert mail.mail_from == "forms@example.com"
    assert mail.rcpt_tos == ["boss@example.com", "hidden@example.com"]
    message = message_from_bytes(mail.content)
    assert receipt.details == {
        "message_id": message["Message-ID"],
        "recipients": 2,
        "reply": "250 OK queued as 1",
    }
    assert receipt.summary == "250 OK queued as 1 (2 recipients)"
    assert message.get_payload(decode=True) == ".\r\n..dots\r\nü\r\n".encode()


async def test_starttls_and_login_with_a_trusted_certificate(
    serve: Serve, email: MakeEmail, delivery: Make, tls: ssl.SSLContext, ca: Path
) -> None:
    server = await serve(tls=tls, login=True)
    destination = email(
        port=server.port, security="starttls", ca=str(ca), username=USERNAME, password=PASSWORD, host="localhost"
    )
    await destination.deliver(delivery())
    assert len(server.box.mails) == 1
    assert await destination.check([]) == []


async def test_tls_from_the_first_byte_with_the_authority_as_text(
    serve: Serve, email: MakeEmail, delivery: Make, tls: ssl.SSLContext, authority: trustme.CA
) -> None:
    server = await serve(tls=tls, first_byte=True)
    destination = email(
        port=server.port,
        security="tls",
        ca=authority.cert_pem.bytes().decode(),
        username=USERNAME,
        password=PASSWORD,  # a `file:` reference
    )
    await destination.deliver(delivery())
    assert len(server.box.mails) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_that_is_not_trusted_is_misconfigured(
    security: str, serve: Serve, email: MakeEmail, delivery: Make, tls: ssl.SSLContext
) -> None:
    server = await serve(tls=tls, first_byte=security == "tls")
    with pytest.raises(Misconfigured, match=r"certificate of 127.0.0.1:\d+ is not trusted"):
        await email(port=server.port, security=security).deliver(delivery())
    assert server.box.mails == []


async def test_a_server_without_starttls_is_never_talked_to_in_the_clear(
    serve: Serve, email: MakeEmail, delivery: Make
) -> None:
    server = await serve()
    with pytest.raises(Misconfigured, match="STARTTLS extension not supported"):
        await email(port=server.port, security="starttls", username="u", password="p").deliver(delivery())
    assert server.box.mails == []


async def test_tls_to_a_server_that_speaks_starttls_says_so(serve: Serve, email: MakeEmail, delivery: Make) -> None:
    server = await serve()
    with pytest.raises(Misconfigured, match='try security = "starttls"'):
        await email(port=server.port, security="tls").deliver(delivery())


async def test_a_refused_login_is_misconfigured_and_does_not_tell_the_password(
    serve: Serve, email: MakeEmail, delivery: Make, tls: ssl.SSLContext, ca: Path
) -> None:
    server = await serve(tls=tls, login=True)
    destination = email(port=server.port, security="starttls", ca=str(ca), username=USERNAME, password="wrong horse")
    with pytest.raises(Misconfigured, match="refused the login as gateway: 535") as caught:
        await destination.deliver(delivery())
    assert "horse" not in str(caught.value)
    [finding] = await destination.check([])
    assert "refused the login" in finding.found


async def test_a_server_that_wants_a_login_is_misconfigured(
    serve: Serve, email: MakeEmail, delivery: Make, tls: ssl.SSLContext, ca: Path
) -> None:
    server = await serve(tls=tls, login=True)
    with pytest.raises(Misconfigured, match="wants a login"):
        await email(port=server.port, security="starttls", ca=str(ca)).deliver(delivery())


async def test_an_authority_file_that_is_not_there_is_misconfigured(
    serve: Serve, email: MakeEmail, delivery: Make
) -> None:
    server = await serve()
    with pytest.raises(Misconfigured, match="`ca`"):
        await email(port=server.port, security="starttls", ca="/nowhere/ca.pem").deliver(delivery())


async def test_an_international_address_goes_to_a_server_that_takes_it(
    serve: Serve, email: MakeEmail, delivery: Make
) -> None:
    server = await serve()
    await email(port=server.port).deliver(delivery(recipients=["jürgen@bücher.example"]))
    [mail] = server.box.mails
    assert mail.rcpt_tos == ["jürgen@xn--bcher-kva.example"]
    assert "SMTPUTF8" in mail.mail_options


async def test_an_international_address_is_rejected_where_the_server_cannot_take_it(
    serve: Serve, email: MakeEmail, delivery: Make
) -> None:
    server = await serve(smtputf8=False)
    with pytest.raises(Rejected, match="SMTPUTF8"):
        await email(port=server.port).deliver(delivery(recipients=["jürgen@example.com"]))


async def test_one_connection_carries_mail_after_mail(serve: Serve, email: MakeEmail, delivery: Make) -> None:
    server = await serve()
    destination = email(port=server.port)
    for number in range(3):
        await destination.deliver(delivery(key=f"delivery-{number}"))
    assert server.box.said == ["EHLO", "RSET", "RSET"]
    await destination.close()
    for _ in range(100):
        if "QUIT" in server.box.said:
            break
        await asyncio.sleep(0.01)
    assert server.box.said[-1] == "QUIT"


async def test_concurrent_mails_have_connections_of_their_own(serve: Serve, email: MakeEmail, delivery: Make) -> None:
    server = await serve()
    destination = email(port=server.port)
    await asyncio.gather(*(destination.deliver(delivery(key=f"delivery-{number}")) for number in range(8)))
    assert len({message_from_bytes(mail.content)["Message-ID"] for mail in server.box.mails}) == 8
    assert server.box.said.count("EHLO") == 8


async def test_a_kept_connection_that_the_server_ended_is_replaced(
    script: Callable[..., Any], email: MakeEmail, delivery: Make
) -> None:
    port, said = await script(RSET="hang up")
    destination = email(port=port)
    await destination.deliver(delivery())
    await destination.deliver(delivery())
    assert said.heard.count("content") == 2
    assert said.heard.count("EHLO") == 2


async def test_a_kept_connection_that_refuses_a_reset_is_replaced(
    script: Callable[..., Any], email: MakeEmail, delivery: Make
) -> None:
    port, said = await script(RSET="421 too many mails")
    destination = email(port=port)
    await destination.deliver(delivery())
    await destination.deliver(delivery())
    assert said.heard.count("content") == 2


async def test_nothing_listens_there(serve: Serve, email: MakeEmail, delivery: Make) -> None:
    server = await serve()
    await server.stop()
    with pytest.raises(Unavailable, match="cannot connect") as caught:
        await email(port=server.port).deliver(delivery())
    assert caught.value.whole


async def test_a_second_mail_shows(email: MakeEmail, unrendered: Callable[..., EmailOptions]) -> None:
    assert email().traits(unrendered()).repeatable is Repeatable.NO
