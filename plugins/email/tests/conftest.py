"""Real mail servers on loopback, and deliveries to send to them."""

# ruff: noqa: N802 - aiosmtpd calls its handlers so

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from gateway_email import Email
from gateway_email.options import EmailOptions, EmailSettings
from pydantic import SecretStr

from gateway.api import Delivery
from gateway.testing import make_context, make_delivery, make_notification
from gateway.testing import unrendered as compiled

USERNAME, PASSWORD = "gateway", "correct horse"


@dataclass
class Mailbox:
    """A handler for aiosmtpd that keeps mails and answers as it is told."""

    mails: list[Envelope] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    """By verb (``MAIL``, ``DATA``), or by recipient for RCPT."""
    said: list[str] = field(default_factory=list)
    """Every connection, QUIT and RSET."""

    async def handle_EHLO(
        self, server: Any, session: Session, envelope: Envelope, hostname: str, responses: Any
    ) -> Any:
        session.host_name = hostname
        self.said.append("EHLO")
        return responses

    async def handle_MAIL(self, server: Any, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if (answer := self.answers.get("MAIL")) is not None:
            return answer
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server: Any, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if (answer := self.answers.get(address)) is not None:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_RSET(self, server: Any, session: Session, envelope: Envelope) -> str:
        self.said.append("RSET")
        return "250 OK"

    async def handle_QUIT(self, server: Any, session: Session, envelope: Envelope) -> str:
        self.said.append("QUIT")
        return "221 Bye"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:
        if (answer := self.answers.get("DATA")) is not None:
            return answer
        self.mails.append(envelope)
        return f"250 OK queued as {len(self.mails)}"


@dataclass
class MailServer:
    """A running mail server."""

    port: int
    box: Mailbox
    server: asyncio.Server

    async def stop(self) -> None:
        """Stop listening; connections stay."""
        self.server.close()


def _authenticate(server: Any, session: Any, envelope: Any, mechanism: str, login: Any) -> AuthResult:
    good = isinstance(login, LoginPassword) and login == LoginPassword(USERNAME.encode(), PASSWORD.encode())
    return AuthResult(success=good, handled=False)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def ca(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Any]]:
    """Start an aiosmtpd server: ``await serve(tls=…, first_byte=…, login=…, smtputf8=…)``."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(
            *, tls: ssl.SSLContext | None = None, first_byte: bool = False, login: bool = False, smtputf8: bool = True
        ) -> MailServer:
            box = Mailbox()

            def protocol() -> SMTP:
                return SMTP(
                    box,
                    enable_SMTPUTF8=smtputf8,
                    hostname="mail.test",
                    tls_context=None if first_byte else tls,
                    require_starttls=tls is not None and not first_byte,
                    authenticator=_authenticate,
                    auth_required=login,
                    auth_require_tls=not first_byte,
                )

            server = await asyncio.get_running_loop().create_server(
                protocol, "127.0.0.1", 0, ssl=tls if first_byte else None
            )
            stack.callback(server.close)
            return MailServer(port=server.sockets[0].getsockname()[1], box=box, server=server)

        yield start


@dataclass
class Script:
    """What a scripted server does when it hears a verb: an answer, ``hang up`` or ``say nothing``."""

    answers: dict[str, str] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hold one conversation."""
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            going = await self._say("greeting", writer)
            while going and (line := await reader.readline()):
                verb = line.decode("latin-1").split(":")[0].split()[0].upper()
                self.heard.append(verb)
                going = await self._say(verb, writer)
                if going and verb == "DATA" and self.answers.get("DATA", "354").startswith("354"):
                    await reader.readuntil(b"\r\n.\r\n")
                    self.heard.append("content")
                    going = await self._say("content", writer)
        writer.close()

    async def _say(self, verb: str, writer: asyncio.StreamWriter) -> bool:
        answer = self.answers.get(
            verb, {"greeting": "220 hi", "DATA": "354 go on", "QUIT": "221 bye"}.get(verb, "250 OK")
        )
        if answer == "say nothing":
            await asyncio.sleep(60)
        if answer == "hang up":
            return False
        writer.write(answer.encode("latin-1") + b"\r\n")
        await writer.drain()
        return not answer.startswith("421")


@pytest.fixture
async def script() -> AsyncIterator[Callable[..., Any]]:
    """Start a scripted server: ``port, script = await script(content="hang up")``."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(**answers: str) -> tuple[int, Script]:
            spoken = Script(answers)
            tasks: set[asyncio.Task[None]] = set()

            def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                tasks.add(asyncio.ensure_future(spoken.talk(reader, writer)))

            server = await asyncio.start_server(connected, "127.0.0.1", 0)
            stack.callback(lambda: [task.cancel() for task in tasks])
            stack.callback(server.close)
            return server.sockets[0].getsockname()[1], spoken

        yield start


@pytest.fixture
async def email() -> AsyncIterator[Callable[..., Email]]:
    """Make the destination: ``email(port=…, security="none")``; closed at the end."""
    made: list[Email] = []

    def make(**settings: Any) -> Email:
        given = {"host": "127.0.0.1", "from": "Forms <forms@example.com>", "security": "none", **settings}
        if "password" in given:
            given["password"] = SecretStr(given["password"])
        made.append(Email(EmailSettings.model_validate(given), make_context("office")))
        return made[-1]

    yield make
    for destination in made:
        await destination.close()


@pytest.fixture
def delivery() -> Callable[..., Delivery[EmailOptions]]:
    """Make a rendered delivery: ``delivery(recipients=[…], text="…")``."""

    def make(*, key: str = "delivery-1", seconds: float = 20.0, **options: Any) -> Delivery[EmailOptions]:
        given = {"recipients": ["boss@example.com"], "subject": "High risk", "text": "Look.", **options}
        notification = make_notification(
            webservice_id="w1", submission_key=None, received=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
        )
        return make_delivery(EmailOptions.model_validate(given), key=key, seconds=seconds, notification=notification)

    return make


@pytest.fixture
def unrendered() -> Callable[..., EmailOptions]:
    """Make options as they stand in the routes file."""

    def make(**options: Any) -> EmailOptions:
        given = {"recipients": ["boss@example.com"], "subject": "High risk", "text": "Look.", **options}
        return compiled(EmailOptions, **given)

    return make
