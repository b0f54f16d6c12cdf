"""Who may send notifications: secret headers, compared in constant time."""

from __future__ import annotations

import hmac
import itertools
from collections.abc import Iterator, Mapping, Sequence

from gateway.config.loaded import Headers, Routes

_BLANKS = b" \t"

_Set = tuple[tuple[bytes, tuple[bytes, ...]], ...]


class Authenticator:
    """Checks a request's headers against those of ``[webhook]`` and of accounts that have their own.

    Every header named in a set must be there exactly once and carry one of its values; blanks and tabs round a value
    do not belong to it (RFC 9110, 5.5). Each comparison runs over all values, so that the time it takes tells nothing
    about which one came close.
    """

    def __init__(self, routes: Routes) -> None:
        self._common = _prepared(routes.headers)
        self._own = {name: _prepared(account.headers) for name, account in routes.accounts.items() if account.headers}

    @property
    def secure(self) -> bool:
        """Whether a request without any secret is refused."""
        return bool(self._common)

    def may_pass(self, headers: Mapping[bytes, Sequence[bytes]]) -> bool:
        """Tell whether a request carries the headers of some set; asked before its body is read."""
        common = _matches(self._common, headers)
        own = [_matches(wanted, headers) for wanted in self._own.values()]
        return common or any(own)

    def passing(self, headers: Mapping[bytes, Sequence[bytes]]) -> tuple[str, ...]:
        """Return whose headers a request carries: accounts with headers of their own, and "" for everybody's."""
        own = [name for name, wanted in self._own.items() if _matches(wanted, headers)]
        return (*([""] if _matches(self._common, headers) else []), *own)

    def doubled(self, headers: Mapping[bytes, Sequence[bytes]]) -> str | None:
        """Return the name of a secret header that came more than once, be it in several lines or joined into one."""
        for name, _ in itertools.chain(self._common, *self._own.values()):
            sent = headers.get(name, ())
            parts = [part.strip(_BLANKS) for value in sent for part in value.split(b",")]
            if len(sent) > 1 or len(parts) > len(set(parts)):
                return name.decode("latin-1")
        return None

    def may_speak_for(self, account: str, headers: Mapping[bytes, Sequence[bytes]]) -> bool:
        """Tell whether a request may notify for an account: one with headers of its own accepts only those."""
        return _matches(self._own.get(account, self._common), headers)

    def share(self, headers: Mapping[bytes, Sequence[bytes]]) -> str:
        """Return the account whose own headers a request carries, or an empty text: what it holds counts as theirs."""
        return next((name for name, wanted in self._own.items() if _matches(wanted, headers)), "")


def _prepared(headers: Headers) -> _Set:
    return tuple(
        (name.lower().encode("latin-1"), tuple(form for value in values for form in _forms(value.get_secret_value())))
        for name, values in headers
    )


def _forms(value: str) -> Iterator[bytes]:
    """Yield the bytes that may stand for a value: of one beyond ASCII senders make UTF-8 or Latin-1."""
    yield value.encode("utf-8", "replace")
    if not value.isascii() and all(ord(character) < 0x100 for character in value):
        yield value.encode("latin-1")


def _matches(wanted: _Set, headers: Mapping[bytes, Sequence[bytes]]) -> bool:
    good = True
    for name, values in wanted:
        sent = headers.get(name, ())
        candidate = sent[0].strip(_BLANKS) if len(sent) == 1 else b""
        found = False
        for value in values:
            found |= hmac.compare_digest(value, candidate)
        good &= found and len(sent) == 1
    return good
