"""Connections to a mail server: made, kept for some seconds for the next mail, and parted from."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass

from aiosmtplib import SMTP, SMTPAuthenticationError, SMTPException, SMTPHeloError, SMTPResponseException

from gateway.api import DeliveryError, Misconfigured, Unavailable
from gateway_email.options import EmailSettings, Security
from gateway_email.replies import reply_of

_KEEP_FOR = 5.0
"""Seconds that a connection waits for another mail."""
_MOST_MAILS = 50
"""Servers end a connection after some number of mails; better to end it before."""
_PROOF_WITHIN = 2.0
"""Seconds that a kept connection has to show that it still works."""


async def connect(settings: EmailSettings, *, tls: ssl.SSLContext | None, hostname: str, timeout: float) -> SMTP:
    """Connect, protect the connection and log in.

    Raises:
        Unavailable: it could not be reached, or is not ready.
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
    try:
        async with asyncio.timeout(timeout):
            await client.connect()
            await _greet(client)
    except (SMTPException, OSError) as error:  # TimeoutError is an OSError
        client.close()
        raise _not_connected(error, settings) from error
    except BaseException:
        client.close()
        raise
    return client


async def _greet(client: SMTP) -> None:
    if not client.is_ehlo_or_helo_needed:
        return
    try:
        await client.ehlo()
    except SMTPHeloError:
        if not client.is_connected:
            raise
        await client.helo()


def part(client: SMTP) -> None:
    """Say goodbye and close. Nobody waits for the answer: it would cost a round trip and change nothing."""
    with contextlib.suppress(SMTPException, RuntimeError):
        if client.protocol is not None:
            client.protocol.write(b"QUIT\r\n")
    client.close()


def _not_connected(error: Exception, settings: EmailSettings) -> DeliveryError:
    place = f"{settings.host}:{settings.effective_port}"
    untrusted = next((link for link in _causes(error) if isinstance(link, ssl.SSLError)), None)
    if isinstance(untrusted, ssl.SSLCertVerificationError):
        return Misconfigured(
            f"the certificate of {place} is not trusted: {untrusted.verify_message}. "
            "Mend the certificate, or name its authority in `ca`"
        )
    if untrusted is not None and untrusted.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return Misconfigured(f'{place} does not speak TLS from the first byte: try security = "starttls"')
    if isinstance(error, SMTPAuthenticationError) and error.code >= 500:
        return Misconfigured(f"{place} refused the login as {settings.username}: {reply_of(error)}")
    if isinstance(error, SMTPResponseException):
        return Unavailable(f"{place} is not ready for mail: {reply_of(error)}", whole=True)
    if type(error) is SMTPException:  # aiosmtplib's way to say that STARTTLS or AUTH is not offered
        return Misconfigured(f"{place} does not offer what the settings ask for: {error}")
    return Unavailable(f"cannot connect to {place}: {str(error) or 'no answer in time'}", whole=True)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


@dataclass(slots=True)
class _Kept:
    """A connection, how many mails it has carried, and the timer that ends it while it waits."""

    client: SMTP
    mails: int = 0
    timer: asyncio.TimerHandle | None = None


class Connections:
    """Lends a connection for each mail: a kept one that still answers, else a new one."""

    def __init__(self, connect: Callable[[float], Awaitable[SMTP]], *, keep_for: float = _KEEP_FOR) -> None:
        self._connect = connect
        self._keep_for = keep_for
        self._waiting: list[_Kept] = []

    @contextlib.asynccontextmanager
    async def borrowed(self, timeout: float) -> AsyncIterator[SMTP]:
        """Lend a connection for one mail. Whatever goes wrong meanwhile ends it; else it is kept for the next mail."""
        kept = await self._proven() or _Kept(await self._connect(timeout))
        try:
            yield kept.client
        except BaseException:
            part(kept.client)
            raise
        kept.mails += 1
        self._keep(kept)

    def close(self) -> None:
        """Part from all that wait."""
        while self._waiting:
            part(self._taken().client)

    def _taken(self) -> _Kept:
        kept = self._waiting.pop()
        if kept.timer is not None:
            kept.timer.cancel()
        return kept

    async def _proven(self) -> _Kept | None:
        """Take a kept connection that still works: the server may have ended it while it waited."""
        if not self._waiting:
            return None
        kept = self._taken()
        try:
            async with asyncio.timeout(_PROOF_WITHIN):
                await kept.client.rset()
        except (SMTPException, OSError):
            kept.client.close()
            self.close()  # the others are older, and had the same fate
            return None
        except BaseException:
            kept.client.close()
            raise
        return kept

    def _keep(self, kept: _Kept) -> None:
        if not kept.client.is_connected or kept.mails >= _MOST_MAILS:
            part(kept.client)
            return
        kept.timer = asyncio.get_running_loop().call_later(self._keep_for, self._give_up, kept)
        self._waiting.append(kept)

    def _give_up(self, kept: _Kept) -> None:
        self._waiting.remove(kept)
        part(kept.client)
