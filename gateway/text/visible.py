"""Texts from outside as they may be shown: what a terminal would obey, and what nobody would see, is written out.

A key, a status, a path or an error can hold whatever a stranger has put there. Control characters move the cursor or
begin a line that looks like another one; marks of direction make a text read as what it is not.
"""

from __future__ import annotations

import re
from typing import Any

_CONTROLS = "\x00-\x1f\x7f-\x9f"
"""C0, DEL and C1."""
_DIRECTIONS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""What changes the direction of writing (Unicode Standard Annex 9, section 2)."""
_SEPARATORS = "\u2028\u2029"
"""Line and paragraph separator."""
_UNSEEN = "\xad\u200b\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
"""What takes no room: two texts that differ in it look the same. Joiners stay, because scripts and emoji need them."""
_HALVES = "\ud800-\udfff"
"""Lone surrogates, which no output can encode."""

_HIDDEN = re.compile(f"[{_CONTROLS}{_DIRECTIONS}{_SEPARATORS}{_UNSEEN}{_HALVES}]")
_HIDDEN_IN_LINES = re.compile(f"(?![\t\n]){_HIDDEN.pattern}")


def visible(text: str, *, lines: bool = False) -> str:
    """Return a text with all of that written out, such as ``\\x1b`` or ``\\u202e``.

    With ``lines`` its line ends and tabs stay: for a text that stands by itself, not in a table or a line of the log.
    """
    if text.isascii() and text.isprintable():
        return text
    return (_HIDDEN_IN_LINES if lines else _HIDDEN).sub(lambda found: _written_out(found[0]), text)


def visible_json(text: str) -> str:
    """Return JSON text with all of that as escapes of JSON: it says the same as before (RFC 8259, section 7)."""
    return _HIDDEN_IN_LINES.sub(lambda found: _escaped(found[0]), text)


def visible_data(value: Any, *, lines: bool = False) -> Any:
    """Return data (dicts, lists, texts) with each text in it visible, keys too."""
    if isinstance(value, str):
        return visible(value, lines=lines)
    if isinstance(value, dict):
        return {visible_data(key): visible_data(item, lines=lines) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [visible_data(item, lines=lines) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return visible(str(value), lines=lines)


def _written_out(character: str) -> str:
    number = ord(character)
    if character in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character]
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _escaped(character: str) -> str:
    number = ord(character)
    if number < 0x10000:
        return f"\\u{number:04x}"
    high, low = divmod(number - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
