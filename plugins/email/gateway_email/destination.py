"""The ``email`` destination: one mail for each delivery."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence

from aiosmtplib import SMTP

from gateway.api import (
    Context,
    Delivery,
    DeliveryError,
    Destination,
    Finding,
    Misconfigured,
    Receipt,
    Rejected,
    Repeatable,
    Traits,
    Use,
    check_attachments,
    fault_of_attachment_path,
    is_template,
    peek,
)
from gateway_email.addresses import is_allowed, read_mailboxes
from gateway_email.attach import to_attach
from gateway_email.connection import Connections, connect, part
from gateway_email.message import compose, describe
from gateway_email.options import EmailOptions, EmailSettings, Security
from gateway_email.session import address_envelope, send_content

_BEFORE_DATA = 0.6
"""The part of the time left that may pass before DATA, so that a slow server is found out while nothing is sent yet."""
_CHECK_WITHIN = 15.0


class Email(Destination[EmailSettings, EmailOptions]):
    """Sends a mail for each delivery, over connections that are kept for some seconds for the next one."""

    name = "email"
    Settings = EmailSettings
    Options = EmailOptions

    def __init__(self, settings: EmailSettings, context: Context) -> None:
        super().__init__(settings, context)
        self._tls: ssl.SSLContext | None = None
        self._hostname: str | None = None
        self._connections = Connections(self._connect)

    async def close(self) -> None:
        """Part from the mail server."""
        self._connections.close()

    def traits(self, options: EmailOptions) -> Traits:
        """A mail server takes about a second, and a second mail shows."""
        needs = frozenset({"attachments"}) if options.attach else frozenset[str]()
        return Traits(expected_latency=1.0, repeatable=Repeatable.NO, needs=needs)

    def review(self, options: EmailOptions) -> Sequence[Finding]:
        """Find recipients that may not be, and mails without recipients, subject or body."""
        findings = [
            finding
            for key in ("recipients", "cc", "bcc")
            for finding in self._review_recipients(key, getattr(options, key))
        ]
        if not any(peek(part) for part in (options.recipients, options.cc, options.bcc)):
            findings.append(Finding(where="recipients", found="there are no recipients", remedy="Name at least one"))
        findings += self._review_reply_to(options)
        findings += [
            Finding(where=f"attach[{index}]", found=fault, remedy="Such as photo, findings[].photo, or *")
            for index, path in enumerate(options.attach)
            if (fault := fault_of_attachment_path(path))
        ]
        if options.text is None and options.html is None:
            findings.append(
                Finding(where="text", found="there is neither text nor html", remedy="Give one of them, or both")
            )
        if not peek(options.subject):
            findings.append(
                Finding(where="subject", found="there is no subject", remedy="Give the mail a subject", error=False)
            )
        return findings

    def _review_recipients(self, key: str, value: object) -> list[Finding]:
        allowed = self.settings.allowed_recipients
        if is_template(value) and not allowed:
            return [
                Finding(
                    where=key,
                    found="a recipient is a template, and the destination has no allowed_recipients",
                    remedy='Say who may get mail, e.g. allowed_recipients = ["*@example.com"] at the destination',
                )
            ]
        return [finding for text in _literal_texts(value) for finding in self._review_literal(key, text)]

    def _review_literal(self, key: str, text: str) -> list[Finding]:
        try:
            mailboxes = read_mailboxes(text)
        except ValueError as error:
            return [_no_address(key, error)]
        allowed = self.settings.allowed_recipients
        return [
            Finding(
                where=key,
                found=f"{mailbox.address} is not among the allowed_recipients of the destination",
                remedy=f"Allowed are {', '.join(allowed)}: add it there, or take it out here",
            )
            for mailbox in mailboxes
            if allowed and not is_allowed(mailbox, allowed)
        ]

    def _review_reply_to(self, options: EmailOptions) -> list[Finding]:
        try:
            for text in _literal_texts(options.reply_to):
                read_mailboxes(text)
        except ValueError as error:
            return [_no_address("reply_to", error)]
        return []

    async def deliver(self, delivery: Delivery[EmailOptions]) -> Receipt:
        """Send the mail to all of its recipients or to none."""
        attached = to_attach(self.settings, delivery)
        mail = compose(self.settings, delivery, attached)
        if attached:
            await self.context.in_thread(check_attachments, attached)
        async with self._connections.borrowed(self._left(delivery) * _BEFORE_DATA) as client:
            await address_envelope(client, mail, timeout=self._left(delivery) * _BEFORE_DATA)
            answer = await send_content(client, mail, timeout=self._left(delivery))
        count = len(mail.recipients)
        carried = f", {len(attached)} attached" if attached else ""
        details = {"message_id": mail.message_id, "recipients": count, "reply": answer}
        return Receipt(
            summary=f"{answer} ({count} recipient{'' if count == 1 else 's'}{carried})",
            details={**details, "attached": len(attached)} if attached else details,
        )

    def _left(self, delivery: Delivery[EmailOptions]) -> float:
        return max((delivery.deadline - self.context.clock()).total_seconds(), 0.0)

    async def _connect(self, timeout: float) -> SMTP:
        tls, hostname = await self._prepare()
        return await connect(self.settings, tls=tls, hostname=hostname, timeout=timeout)

    async def _prepare(self) -> tuple[ssl.SSLContext | None, str]:
        """Do once what reads files or asks the name service."""
        if self._hostname is None:
            self._hostname = await self.context.in_thread(_own_name)
        if self._tls is None and self.settings.security is not Security.NONE:
            self._tls = await self.context.in_thread(_trust, self.settings.ca)
        return self._tls, self._hostname

    def preview(self, delivery: Delivery[EmailOptions]) -> str:
        """Show headers and text."""
        try:
            attached = to_attach(self.settings, delivery)
            return describe(compose(self.settings, delivery), delivery.options, attached)
        except Rejected as error:
            return f"would be rejected: {error}"

    async def check(self, uses: Sequence[Use[EmailOptions]]) -> Sequence[Finding]:
        """Connect, log in and say goodbye; no mail is sent."""
        try:
            part(await self._connect(_CHECK_WITHIN))
        except DeliveryError as error:
            remedy = "Compare host, port, security, ca and login with what the mail server asks for"
            return [Finding(where="host", found=str(error), remedy=remedy)]
        if self.settings.security is Security.NONE and self.settings.username:
            return [
                Finding(
                    where="security",
                    found="the password goes over the network in the clear",
                    remedy='Use security = "starttls" or "tls" unless the server is on this machine',
                    error=False,
                )
            ]
        return []


def _literal_texts(value: object) -> list[str]:
    literal = peek(value)
    return [text for text in (literal if isinstance(literal, list) else [literal]) if isinstance(text, str)]


def _no_address(key: str, error: ValueError) -> Finding:
    return Finding(where=key, found=str(error), remedy="Write addresses like boss@example.com")


def _own_name() -> str:
    """Return the name to greet with: the machine's full name, else its address in brackets (RFC 5321, 4.1.3)."""
    name = socket.getfqdn()
    if "." in name and name.isascii() and not any(char.isspace() for char in name):
        return name
    try:
        return f"[{socket.gethostbyname(socket.gethostname())}]"
    except OSError:
        return "[127.0.0.1]"


def _trust(ca: str | None) -> ssl.SSLContext:
    try:
        if ca is not None and "-----BEGIN" in ca:
            return ssl.create_default_context(cadata=ca)
        return ssl.create_default_context(cafile=ca)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise Misconfigured(f"the authority's file in `ca` cannot be used: {error}") from error
