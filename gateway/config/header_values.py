"""Secrets that travel in a header: what no header can carry is found when the routes file is checked.

A field value is visible ASCII, blanks and tabs within, and bytes above 0x7F of no agreed meaning; blanks round it do
not belong to it (RFC 9110, 5.5). A field name is a token (5.1 and 5.6.2).
"""

from __future__ import annotations

import re

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f]")


def is_name(name: str) -> bool:
    """Tell whether a header can have this name."""
    return _NAME.fullmatch(name) is not None


def unsendable(secret: str, *, latin: bool = True) -> str | None:
    """Say why no header can carry a secret, without telling it; None: one can.

    ``latin=False`` allows characters beyond Latin-1, where they are sent as UTF-8 by the gateway itself.
    """
    if "\ufeff" in secret or "\ufffe" in secret:
        return "a byte order mark (U+FEFF), as some editors put before a text"
    if "\n" in secret or "\r" in secret:
        return "a line end" if secret.strip("\r\n") == secret else "more than one line end at an end"
    if _CONTROL.search(secret):
        return "a control character"
    if secret != secret.strip():
        return "a blank or tab at an end, which does not count in a header"
    if _UNSEEN.search(secret):
        return "a character that cannot be seen"
    if latin and any(ord(character) > 0xFF for character in secret):
        return "a character beyond Latin-1, for which no header has an agreed form"
    return None
