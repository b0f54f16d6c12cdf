"""Headers as bytes, folded so that every program reads the same text and the same addresses back.

Python's own folding loses blanks between words that need encoding, and quotes around names with commas, differently
in each of its versions. Here a text is either plain ASCII, or encoded as a whole (RFC 2047), blanks included; an
address is never split, and each stands on a line of its own (RFC 5322, 2.2.3).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence

from gateway_email.addresses import Mailbox, is_quotable

_LINE = 76
"""Characters of a line that holds encoded words (RFC 2047, 2); others may be a little longer."""
_AROUND = len("=?utf-8?b??=")
_LONGEST_WORD = 900
"""Characters without a blank that a line may hold (RFC 5322, 2.1.1: 998)."""
_PLAIN = re.compile(r"[ -~]*")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+( [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
"""A name that needs no quotes (RFC 5322, 3.2.3)."""
_UNSAFE = re.compile(rb"[^A-Za-z0-9!*+/ -]")
"""What an encoded word of a name may not hold as it is (RFC 2047, 5)."""


def text_header(name: str, text: str) -> bytes:
    """Return a header whose value is text."""
    words = text.split(" ")
    plain = _PLAIN.fullmatch(text) and "=?" not in text and all(0 < len(word) <= _LONGEST_WORD for word in words)
    begin = len(name) + 2
    return _folded(name, _lines_of(words, begin) if plain else encoded_words(text, begin))


def address_header(name: str, mailboxes: Sequence[Mailbox]) -> bytes:
    """Return a header whose value is addresses; empty where there are none."""
    if not mailboxes:
        return b""
    shown = [_shown(mailbox) for mailbox in mailboxes]
    lines = [line for one in shown[:-1] for line in (*one[:-1], f"{one[-1]},")] + [*shown[-1]]
    return _folded(name, lines)


def encoded_words(text: str, begin: int) -> list[str]:
    """Return a text as encoded words, a line each; ``begin`` characters stand before the first already."""
    lines, word = [], b""
    room = _room(begin)
    for letter in text:
        more = letter.encode("utf-8", "replace")
        if len(word) + len(more) > room:
            lines.append(_encoded(word))
            word, room = b"", _room(1)
        word += more
    return [*lines, _encoded(word)]


def _shown(mailbox: Mailbox) -> list[str]:
    """Return the lines of an address: its name, if it has one, and itself between < and >."""
    if not mailbox.name:
        return [mailbox.address]
    name, address = _phrase(mailbox.name), f"<{mailbox.address}>"
    return [name, address] if len(name) + len(address) + 1 > _LINE else [f"{name} {address}"]


def _phrase(name: str) -> str:
    """Return a name as one word, for some programs, Python 3.11 among them, put a blank between two.

    A name of more than about 60 letters so becomes longer than an encoded word should be (RFC 2047, 2: 75 characters);
    a program that minds shows it as it stands, and still has the address.
    """
    if not is_quotable(name):
        raw = name.encode("utf-8", "replace")
        readable = _UNSAFE.sub(lambda found: b"=%02X" % found[0][0], raw).replace(b" ", b"_").decode()
        return min(_encoded(raw), f"=?utf-8?q?{readable}?=", key=len)
    if _ATOMS.fullmatch(name):
        return name
    quoted = re.sub(r'(["\\])', r"\\\1", name)
    return f'"{quoted}"'


def _room(begin: int) -> int:
    """Return how many bytes the next encoded word may hold."""
    return (_LINE - begin - _AROUND) // 4 * 3


def _encoded(word: bytes) -> str:
    return f"=?utf-8?b?{base64.b64encode(word).decode()}?="


def _lines_of(words: Sequence[str], begin: int) -> Iterator[str]:
    line = ""
    for word in words:
        if line and begin + len(line) + 1 + len(word) > _LINE:
            yield line
            line, begin = word, 1
        else:
            line = f"{line} {word}" if line else word
    yield line


def _folded(name: str, lines: Iterable[str]) -> bytes:
    """Return the header; what is not ASCII in an address goes out as UTF-8 (RFC 6532)."""
    value = "\r\n ".join(lines)
    return f"{name}: {value}\r\n".encode()
