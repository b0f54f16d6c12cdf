"""Composing a mail: everything that can be wrong with its content is found here, before any connection."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import format_datetime

from gateway.api import Attachment, Delivery, Rejected
from gateway_email.addresses import Mailbox, is_allowed, read_mailboxes
from gateway_email.attach import Marked, attach
from gateway_email.headers import address_header, text_header
from gateway_email.options import EmailOptions, EmailSettings

_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

_PLAIN = re.compile(r"[\t\r\n -~]*")
_LONGEST_SUBJECT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail ready to be sent."""

    head: bytes
    """Its headers, without those of its body."""
    content: bytes
    """What goes to the server; where there are attachments, a mark stands for each."""
    attached: Sequence[Marked]
    message_id: str
    sender: str
    recipients: tuple[Mailbox, ...]
    """Everyone who gets it, each once."""
    international: bool
    """Whether an address in it is not ASCII, so that the server must speak SMTPUTF8 (RFC 6531)."""


def compose(settings: EmailSettings, delivery: Delivery[EmailOptions], attached: Sequence[Attachment] = ()) -> Mail:
    """Make the mail of a delivery; the same delivery gives the same mail. What is ``attached`` is not read yet.

    Raises:
        Rejected: no or bad recipients, one that is not allowed, or text that cannot be sent.
    """
    options = delivery.options
    to, cc, bcc = (_recipients(settings, getattr(options, key), key) for key in ("recipients", "cc", "bcc"))
    everyone = tuple({mailbox.address: mailbox for mailbox in (*to, *cc, *bcc)}.values())
    if not everyone:
        raise Rejected("the mail has no recipients: recipients, cc and bcc are empty for this record")
    if len(everyone) > settings.max_recipients:
        raise Rejected(
            f"the mail has {len(everyone)} recipients, and max_recipients of the destination allows "
            f"{settings.max_recipients}. Raise it, if so many are meant"
        )
    sender, reply_to = settings.sender_mailbox, _read(options.reply_to, "reply_to")
    international = not all(mailbox.address.isascii() for mailbox in (sender, *reply_to, *everyone))
    message_id = f"<doforms.{_digest(delivery.key)}@{sender.domain}>"
    head = (
        address_header("From", [sender]),
        address_header("To", to),
        address_header("Cc", cc),
        address_header("Reply-To", reply_to),
        text_header("Subject", _subject(options.subject)),
        text_header("Date", format_datetime(delivery.notification.received)),
        text_header("Message-ID", message_id),
        text_header("Auto-Submitted", "auto-generated"),  # RFC 3834: keeps absence notes from answering
    )
    message = EmailMessage()
    _set_body(message, options)
    marked = attach(message, attached, _digest(delivery.key))
    for number, part in enumerate(part for part in message.walk() if part.is_multipart()):
        part.set_boundary(f"=_{_digest(delivery.key)}{f'_{number}' if number else ''}")  # else it were a random one
    return Mail(
        head=b"".join(head),
        content=b"".join((*head, message.as_bytes(policy=policy.SMTP.clone(utf8=international, cte_type="7bit")))),
        attached=marked,
        message_id=message_id,
        sender=sender.address,
        recipients=everyone,
        international=international,
    )


def _recipients(settings: EmailSettings, texts: Sequence[str], key: str) -> list[Mailbox]:
    mailboxes = _read(texts, key)
    if settings.allowed_recipients:
        for mailbox in mailboxes:
            if not is_allowed(mailbox, settings.allowed_recipients):
                allowed = ", ".join(settings.allowed_recipients)
                raise Rejected(f"{key}: {mailbox.address} is not among the allowed_recipients ({allowed})")
    return mailboxes


def _read(texts: Sequence[str], key: str) -> list[Mailbox]:
    try:
        return [mailbox for text in texts for mailbox in read_mailboxes(text)]
    except ValueError as error:
        raise Rejected(f"{key}: {error}") from error


def _digest(key: str) -> str:
    # The key is whatever the core chose, and must not break a header.
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:40]


def _subject(text: str) -> str:
    subject = " ".join(_BREAKS.sub(" ", _sendable(text)).split())
    return subject if len(subject) <= _LONGEST_SUBJECT else subject[: _LONGEST_SUBJECT - 1] + "…"


def _sendable(text: str) -> str:
    """Put a question mark for half a surrogate pair and drop NUL: neither can be sent."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")


def _set_body(message: EmailMessage, options: EmailOptions) -> None:
    text, html = (None if body is None else _sendable(body) for body in (options.text, options.html))
    if text is None and html is None:
        raise Rejected("the mail has neither text nor html: give one of them")
    if text is not None:
        message.set_content(text, cte=_encoding(text))
    if html is None:
        return
    if text is None:
        message.set_content(html, subtype="html", cte=_encoding(html))
    else:
        message.add_alternative(html, subtype="html", cte=_encoding(html))


def _encoding(body: str) -> str | None:
    """Choose quoted-printable for anything but short ASCII lines: it passes every server and stays readable."""
    plain = _PLAIN.fullmatch(body) and all(len(line) <= 78 for line in re.split(r"[\r\n]", body))
    return "7bit" if plain else "quoted-printable"


def describe(mail: Mail, options: EmailOptions, attached: Sequence[Attachment] = ()) -> str:
    """Show headers and text of a mail for a person."""
    head = message_from_bytes(mail.head, policy=policy.default)
    lines = [f"{name}: {value}" for name, value in head.items()]
    shown = {mailbox.address for mailbox in _read([*options.recipients, *options.cc], "recipients")}
    hidden = [mailbox.address for mailbox in mail.recipients if mailbox.address not in shown]
    if hidden:
        lines.append(f"Bcc: {', '.join(hidden)}")
    lines += [f"Attached: {one.filename} ({_about(one)})" for one in attached]
    for body in (options.text, options.html):
        if body is not None:
            lines += ["", body.rstrip("\n")]
    return "\n".join(lines)


def _about(one: Attachment) -> str:
    """Tell of an attachment where it stands in the record, and how large it is once it is there."""
    return f"{one.place}, {one.content_type}, {one.size} bytes" if one.sha256 else f"{one.place}, {one.content_type}"
