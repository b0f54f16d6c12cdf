"""Photos and files that a mail carries: which ones, whether they are too large, and how they get into it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from email.message import EmailMessage

from gateway.api import Attachment, Delivery, Rejected, Unavailable, select_attachments
from gateway_email.options import EmailOptions, EmailSettings

_TYPE = re.compile(r"([a-z0-9!#$&^_.+-]+)/([a-z0-9!#$&^_.+-]+)")


def to_attach(settings: EmailSettings, delivery: Delivery[EmailOptions]) -> list[Attachment]:
    """Return what a mail is to carry.

    Raises:
        Rejected: it is larger than the destination's ``attach_limit``.
    """
    found = select_attachments(delivery.attachments, delivery.options.attach)
    size = sum(one.size for one in found)
    if size > settings.attach_limit:
        raise Rejected(
            f"attach: {len(found)} attachments with {_megabytes(size)} are more than the attach_limit of the "
            f"destination ({_megabytes(settings.attach_limit)}). Attach fewer, or raise it if the server allows"
        )
    return found


def attach(message: EmailMessage, attached: Sequence[Attachment]) -> None:
    """Put the content of attachments into a message; raises Unavailable where one cannot be read."""
    for one in attached:
        kind = _TYPE.fullmatch(one.content_type)
        maintype, subtype = kind.groups() if kind else ("application", "octet-stream")
        try:
            content = one.path.read_bytes()
        except OSError as error:
            raise Unavailable(f"{one.place}: {one.path} cannot be read: {error.strerror}") from error
        if maintype in ("message", "multipart", "text"):  # servers may change their line ends
            maintype, subtype = "application", "octet-stream"
        message.add_attachment(content, maintype=maintype, subtype=subtype, filename=one.filename)


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB"
