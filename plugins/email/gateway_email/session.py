"""One mail over a connection, and what each way it can end means for a delivery.

Before DATA nothing was sent: everything is `Unavailable`, `Rejected` or `Misconfigured`. After DATA a lost connection
or a missing answer is `Uncertain`, since the server may have taken the mail.
"""

from __future__ import annotations

import asyncio
import re
from typing import cast

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponse,
    SMTPResponseException,
    SMTPServerDisconnected,
)
from aiosmtplib.protocol import SMTPProtocol

from gateway.api import Rejected, Unavailable, Uncertain
from gateway_email.attach import pieces_of
from gateway_email.message import Mail
from gateway_email.replies import CLOSING, one_line, refusal, reply_of

_GO_ON, _DONE = 354, 250
_LINE_END = re.compile(rb"\r\n|\n|\r")
_DOT = re.compile(rb"^\.", re.MULTILINE)
_BUFFERED = 256 * 1024
"""Bytes that may wait for the network."""
_LOOK = 0.005
"""Seconds between two looks whether it has taken them."""


async def address_envelope(client: SMTP, mail: Mail, *, timeout: float) -> None:
    """Name sender and recipients. All are named before anything is decided: one refused means that nobody gets it.

    Raises:
        Rejected: refused for good.
        Unavailable: refused for now, or the connection was lost.
        Misconfigured: the server wants a login.
    """
    try:
        async with asyncio.timeout(timeout):
            encoding, options = _international(client) if mail.international else ("ascii", [])
            await client.mail(mail.sender, options=options, encoding=encoding)
            refused = await _name_recipients(client, mail, encoding)
    except SMTPResponseException as error:
        raise refusal(f"the server refused the sender {mail.sender}", [error]) from error
    except (SMTPException, OSError) as error:
        raise Unavailable(
            f"the connection was lost before the mail was sent: {str(error) or 'time is over'}"
        ) from error
    if refused:
        raise refusal("the server refused recipients, so nobody was sent the mail", refused)


def _international(client: SMTP) -> tuple[str, list[str]]:
    if not client.supports_extension("smtputf8"):
        raise Rejected("an address is not ASCII, and the mail server does not take such addresses (SMTPUTF8)")
    return "utf-8", ["SMTPUTF8"]


async def _name_recipients(client: SMTP, mail: Mail, encoding: str) -> list[SMTPResponseException]:
    refused: list[SMTPResponseException] = []
    for recipient in mail.recipients:
        try:
            await client.rcpt(recipient.address, encoding=encoding)
        except SMTPRecipientRefused as error:
            refused.append(error)
            if error.code == CLOSING:
                break
    return refused


async def send_content(client: SMTP, mail: Mail, *, timeout: float) -> str:
    """Send the mail itself and return the server's answer.

    Raises:
        Rejected: refused for good.
        Unavailable: refused for now, or broken off before its end: no server delivers that (RFC 5321, 4.1.1.4).
        Uncertain: no answer came, or none that can be understood.
    """
    if not client.is_connected:
        raise Unavailable("the connection was lost before the mail was sent")
    whole = asyncio.Event()
    try:
        async with asyncio.timeout(timeout):
            response = await (_stream(client, mail, whole) if mail.attached else client.data(mail.content))
    except SMTPDataError as error:
        if not 400 <= error.code < 600:
            raise Uncertain(f"the server's answer to the mail is neither yes nor no: {reply_of(error)}") from error
        raise refusal("the server refused the mail", [error]) from error
    except (SMTPException, OSError) as error:
        if mail.attached and not whole.is_set():
            raise Unavailable(f"the mail was broken off before its end: {str(error) or 'time is over'}") from error
        raise Uncertain(
            f"no answer after the mail was sent, it may have arrived: {str(error) or 'time is over'}"
        ) from error
    return one_line(response.code, response.message)


async def _stream(client: SMTP, mail: Mail, whole: asyncio.Event) -> SMTPResponse:
    """Send a mail piece by piece: its attachments are never whole in memory; sets ``whole`` before the last dot.

    Raises what `SMTP.data` raises, and what reading an attachment does.
    """
    started = await client.execute_command(b"DATA")
    if started.code != _GO_ON:
        raise SMTPDataError(started.code, started.message)
    if (protocol := client.protocol) is None:
        raise SMTPServerDisconnected("the connection was lost")
    answer = asyncio.create_task(protocol.read_response())  # the server may refuse it before it has come to an end
    answer.add_done_callback(lambda task: task.cancelled() or task.exception())  # looked at, whatever comes first
    try:
        async for piece in pieces_of(mail.content, mail.attached):
            protocol.write(_on_the_wire(piece))
            await _drained(protocol, answer)
            if answer.done():
                break
        else:
            whole.set()
            protocol.write(b".\r\n")
        response = await answer
    finally:
        answer.cancel()
    if response.code != _DONE:
        raise SMTPDataError(response.code, response.message)
    return response


def _on_the_wire(lines: bytes) -> bytes:
    """Return lines that end as they must, with a dot more before each that begins with one (RFC 5321, 4.5.2)."""
    return _DOT.sub(b"..", _LINE_END.sub(b"\r\n", lines))


async def _drained(protocol: SMTPProtocol, answer: asyncio.Task[SMTPResponse]) -> None:
    while (transport := cast("asyncio.WriteTransport | None", protocol.transport)) is not None:
        if answer.done() or transport.get_write_buffer_size() <= _BUFFERED:
            return
        await asyncio.sleep(_LOOK)
