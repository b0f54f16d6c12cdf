"""Mail addresses: read strictly, written from their parts, compared with the allowed patterns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import idna

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_LOCAL = re.compile(r'[^\s"(),:;<>@\[\]\\.]+(\.[^\s"(),:;<>@\[\]\\.]+)*')
_DOMAIN = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_SPECIAL = re.compile(r'[,;:<>@"()\[\]\\]+')
_ONE = re.compile(
    r"""\s*+ (?: (?P<name> "(?:[^"\\]|\\.)*+" \s*+ | [^"<>,;@:]*+ ) < (?P<angle> [^<>,;"]*+ ) > \s*+
           | (?P<bare> [^"<>,;]*+ ) ) (?: [,;] | $ )""",
    re.VERBOSE,
)
"""One address and the comma after it. Read here and not by `email.utils`, which differs between versions of Python.

All repeats are possessive: the text comes out of a form, and must not be able to make the reading slow.
"""
_LONGEST_LOCAL = 64
_NO_RELAY = "[^%!|]"
"""Old servers read ``user%host@relay`` and ``host!user@relay`` as a way, and a bar as a program to start."""
_LONGEST_NAME = 120
"""Characters: its line in a header must not become longer than servers take (RFC 5321, 4.5.3.1.6)."""
_LONGEST_QUOTED = 60
"""Characters: a longer name is encoded."""
_LONGEST = 254


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One address: what is checked, what goes to the mail server and what stands in the header are all made of this."""

    name: str
    local: str
    domain: str
    """Lower case and ASCII (international names in their ``xn--`` form)."""

    @property
    def address(self) -> str:
        """The bare address."""
        return f"{self.local}@{self.domain}"


def read_mailboxes(text: str) -> list[Mailbox]:
    """Read the addresses of a text, commas or semicolons between them; an empty text has none.

    Raises:
        ValueError: something in it is no address.
    """
    text = text.strip()
    if not text:
        return []
    if _CONTROL.search(text):
        raise ValueError(f"{_shortened(text)} holds a line break or control character, which no address may")
    mailboxes: list[Mailbox] = []
    position = 0
    while position < len(text):
        match = _ONE.match(text, position)
        if match is None:
            raise ValueError(_no_address(text))
        position = match.end()
        if match["angle"] is not None:
            mailboxes.append(_mailbox(_unquoted(match["name"].strip()), match["angle"].strip(), text))
        elif match["bare"].strip():
            mailboxes.append(_mailbox("", match["bare"].strip(), text))
    return mailboxes


def _no_address(text: str) -> str:
    return f"{_shortened(text)} is no mail address, nor several with commas between them"


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 100 else text[:100] + "…")


def _unquoted(name: str) -> str:
    return re.sub(r"\\(.)", r"\1", name[1:-1]) if name.startswith('"') else name


def _mailbox(name: str, address: str, text: str) -> Mailbox:
    if len(address) > _LONGEST:
        raise ValueError(f"{_shortened(address)} is longer than a mail address may be")
    local, _, domain = address.rpartition("@")
    ascii_domain = _ascii_domain(domain)
    if not (_LOCAL.fullmatch(local) and _DOMAIN.fullmatch(ascii_domain)):
        raise ValueError(_no_address(text))
    if len(local.encode("utf-8")) > _LONGEST_LOCAL or len(local) + 1 + len(ascii_domain) > _LONGEST:
        raise ValueError(f"{_shortened(text)} is longer than a mail address may be")
    # Some programs decode a name before they look for commas, which turns one address into two. A name that has to be
    # encoded does without those characters.
    plain = name if is_quotable(name) else _SPECIAL.sub(" ", name)
    plain = " ".join(plain.split())
    return Mailbox(plain if len(plain) <= _LONGEST_NAME else f"{plain[: _LONGEST_NAME - 1]}…", local, ascii_domain)


def is_quotable(name: str) -> bool:
    """Tell whether a name can stand in a header between quotes; else it has to be encoded (RFC 2047)."""
    return name.isascii() and len(name) <= _LONGEST_QUOTED and "=?" not in name


def _ascii_domain(domain: str) -> str:
    domain = domain.lower()
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return ""


def compile_pattern(pattern: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Compile ``*@example.com``: case counts before the ``@`` and not after it; only * and ? are special.

    They stand for no letter by which a server may send a mail on to another one, as ``a%evil@example.com`` asks for.

    Raises:
        ValueError: it has no ``@`` with something on both sides.
    """
    local, _, domain = pattern.strip().rpartition("@")
    if not local or not domain:
        raise ValueError(f"{pattern!r} is no pattern for addresses: write it like *@example.com or boss@example.com")
    labels = (label if label.isascii() else _ascii_domain(label) for label in domain.lower().split("."))
    return _wild(local, _NO_RELAY), _wild(".".join(labels))


def _wild(pattern: str, any_letter: str = ".") -> re.Pattern[str]:
    wild = {"*": f"{any_letter}*", "?": any_letter}
    return re.compile("".join(wild.get(char, re.escape(char)) for char in pattern), re.DOTALL)


def is_allowed(mailbox: Mailbox, patterns: Iterable[str]) -> bool:
    """Tell whether one of the patterns fits the address."""
    for local, domain in map(compile_pattern, patterns):
        if local.fullmatch(mailbox.local) and domain.fullmatch(mailbox.domain):
            return True
    return False
