"""One mail over a connection, and what each way it can end means for a delivery.

Before DATA nothing was sent: everything is `Unavailable`, `Rejected` or `Misconfigured`. After DATA a lost connection
or a missing answer is `Uncertain`, since the server may have taken the mail.
"""

from __future__ import annotations

import asyncio

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
)

from gateway.api import Rejected, Unavailable, Uncertain
from gateway_email.message import Mail
from gateway_email.replies import CLOSING, one_line, refusal, reply_of


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
        raise Unavailable(f"the connection was lost before the mail was sent: {error or 'time is over'}") from error
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
        Unavailable: refused for now.
        Uncertain: no answer came, or none that can be understood.
    """
    if not client.is_connected:
        raise Unavailable("the connection was lost before the mail was sent")
    try:
        async with asyncio.timeout(timeout):
            response = await client.data(mail.content)
    except SMTPDataError as error:
        if not 400 <= error.code < 600:
            raise Uncertain(f"the server's answer to the mail is neither yes nor no: {reply_of(error)}") from error
        raise refusal("the server refused the mail", [error]) from error
    except (SMTPException, OSError) as error:
        raise Uncertain(f"no answer after the mail was sent, it may have arrived: {error or 'time is over'}") from error
    return one_line(response.code, response.message)
