"""One conversation with the mail server, and what each way it can end means for a delivery.

Before DATA nothing was sent: everything is `Unavailable`, `Rejected` or `Misconfigured`. After DATA a lost connection
or a missing answer is `Uncertain`, since the server may have taken the mail.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPHeloError,
    SMTPRecipientRefused,
    SMTPResponseException,
)

from gateway.api import DeliveryError, Misconfigured, Rejected, Unavailable, Uncertain
from gateway_email.message import Mail
from gateway_email.options import EmailSettings, Security

_LOGIN_NEEDED = frozenset({530, 534, 535, 538})
_CLOSING = 421


@contextlib.asynccontextmanager
async def connected(
    settings: EmailSettings, *, tls: ssl.SSLContext | None, hostname: str, timeout: float
) -> AsyncIterator[SMTP]:
    """Connect, protect the connection and log in; on the way out say goodbye.

    Raises:
        Unavailable: it could not be reached, or is closing.
        Misconfigured: its certificate, its offers or the login are not as the settings say.
    """
    client = SMTP(
        hostname=settings.host,
        port=settings.effective_port,
        username=settings.username,
        password=settings.password.get_secret_value() if settings.password else None,
        local_hostname=hostname,
        use_tls=settings.security is Security.TLS,
        start_tls=settings.security is Security.STARTTLS,
        tls_context=tls,
        timeout=None,
    )
    place = f"{settings.host}:{settings.effective_port}"
    try:
        try:
            async with asyncio.timeout(timeout):
                await client.connect()
        except (SMTPException, OSError) as error:  # TimeoutError is an OSError
            raise _not_connected(error, place, settings) from error
        yield client
        # Nobody waits for the answer: it would cost a round trip, and a mail that was taken must not become an
        # attempt out of time.
        with contextlib.suppress(SMTPException, RuntimeError):
            if client.protocol is not None:
                client.protocol.write(b"QUIT\r\n")
    finally:
        client.close()


def _not_connected(error: Exception, place: str, settings: EmailSettings) -> DeliveryError:
    untrusted = next((link for link in _causes(error) if isinstance(link, ssl.SSLError)), None)
    if isinstance(untrusted, ssl.SSLCertVerificationError):
        return Misconfigured(
            f"the certificate of {place} is not trusted: {untrusted.verify_message}. "
            "Mend the certificate, or name its authority in `ca`"
        )
    if untrusted is not None and untrusted.reason == "WRONG_VERSION_NUMBER":
        return Misconfigured(f'{place} does not speak TLS from the first byte: try security = "starttls"')
    if isinstance(error, SMTPAuthenticationError) and error.code >= 500:
        return Misconfigured(f"{place} refused the login as {settings.username}: {_reply(error)}")
    if isinstance(error, SMTPResponseException):
        return Unavailable(f"{place} is not ready for mail: {_reply(error)}", whole=True)
    if type(error) is SMTPException:  # aiosmtplib's way to say that STARTTLS or AUTH is not offered
        return Misconfigured(f"{place} does not offer what the settings ask for: {error}")
    return Unavailable(f"cannot connect to {place}: {error or 'no answer in time'}", whole=True)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


async def ask_for_nothing(client: SMTP, *, timeout: float) -> None:
    """Find out whether the server still answers, without sending anything.

    Raises:
        Unavailable: it does not.
    """
    try:
        async with asyncio.timeout(timeout):
            await client.noop()
    except (SMTPException, OSError) as error:
        raise Unavailable(f"the server does not answer: {error or 'no answer in time'}") from error


def _reply(error: SMTPResponseException) -> str:
    return one_line(error.code, error.message)


def one_line(code: int, message: str) -> str:
    """Write a server's answer as one short line."""
    return f"{code} {' '.join(message.split())}"[:300]


async def address_envelope(client: SMTP, mail: Mail, *, timeout: float) -> None:
    """Name sender and recipients. All are named before anything is decided: one refused means that nobody gets it.

    Raises:
        Rejected: refused for good.
        Unavailable: refused for now, or the connection was lost.
        Misconfigured: the server wants a login.
    """
    try:
        async with asyncio.timeout(timeout):
            encoding, options = await _international(client) if mail.international else ("ascii", [])
            await client.mail(mail.sender, options=options, encoding=encoding)
            refused = await _name_recipients(client, mail, encoding)
            if refused and client.is_connected:
                await client.rset()
    except SMTPResponseException as error:
        raise _refused(f"the server refused the sender {mail.sender}", [error]) from error
    except (SMTPException, OSError) as error:
        raise Unavailable(
            f"the connection was lost before the mail was sent: {error or 'no answer in time'}"
        ) from error
    if refused:
        raise _refused("the server refused recipients, so nobody was sent the mail", refused)


async def _international(client: SMTP) -> tuple[str, list[str]]:
    if client.is_ehlo_or_helo_needed:
        with contextlib.suppress(SMTPHeloError):
            await client.ehlo()
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
            if error.code == _CLOSING:
                break
    return refused


def _refused(what: str, errors: Sequence[SMTPResponseException]) -> DeliveryError:
    answers = "; ".join(
        f"{error.recipient}: {_reply(error)}" if isinstance(error, SMTPRecipientRefused) else _reply(error)
        for error in errors
    )
    codes = [error.code for error in errors]
    if any(code in _LOGIN_NEEDED for code in codes):
        return Misconfigured(f"{what}, since it wants a login; set username and password: {answers}")
    if any(500 <= code < 600 for code in codes):
        return Rejected(f"{what}: {answers}")
    return Unavailable(f"{what}: {answers}", whole=_CLOSING in codes)


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
            raise Uncertain(f"the server's answer to the mail is neither yes nor no: {_reply(error)}") from error
        raise _refused("the server refused the mail", [error]) from error
    except (SMTPException, OSError) as error:
        raise Uncertain(f"no answer after the mail was sent, it may have arrived: {error or 'time is over'}") from error
    return one_line(response.code, response.message)
