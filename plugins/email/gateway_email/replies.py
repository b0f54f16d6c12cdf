"""Maps the mail server's replies to what they mean for a delivery."""

from __future__ import annotations

from collections.abc import Sequence

from aiosmtplib import SMTPRecipientRefused, SMTPResponseException

from gateway.api import DeliveryError, Misconfigured, Rejected, Unavailable

CLOSING = 421
"""The server closes the connection, and takes no mail at all for now (RFC 5321, 3.8)."""
_LOGIN_NEEDED = frozenset({530, 534, 535, 538})


def one_line(code: int, message: str) -> str:
    """Write an answer as one short line of clean text."""
    text = " ".join(message.encode("utf-8", "replace").decode("utf-8").split())
    return f"{code} {text}"[:300]


def reply_of(error: SMTPResponseException) -> str:
    """Write the answer that an error carries."""
    return one_line(error.code, error.message)


def refusal(what: str, errors: Sequence[SMTPResponseException]) -> DeliveryError:
    """Tell what these refusals mean: 5xx never, 4xx later; a wanted login needs a person."""
    answers = "; ".join(
        f"{error.recipient}: {reply_of(error)}" if isinstance(error, SMTPRecipientRefused) else reply_of(error)
        for error in errors
    )
    codes = [error.code for error in errors]
    if any(code in _LOGIN_NEEDED for code in codes):
        return Misconfigured(f"{what}, since it wants a login. Set username and password: {answers}")
    if any(500 <= code < 600 for code in codes):
        return Rejected(f"{what}: {answers}")
    return Unavailable(f"{what}: {answers}", whole=CLOSING in codes)
