"""Taking known secrets out of texts, however they are written there and wherever they were cut."""

from __future__ import annotations

import base64
import html
import json
import re
import string
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "********"
SHORTEST_SECRET = 8
"""Characters. A shorter text is not masked: it would blot out words of each line and tell the secret by it."""
_TOO_SHORT = 10 ** (SHORTEST_SECRET - 1)
"""A number below this cannot hold one."""
_TELLS_MUCH = 12
"""So many first characters of a secret, and half of it, are masked amid a text too: whoever repeated it cut it."""
_CUT_MARKS = " .\N{HORIZONTAL ELLIPSIS}\"'`)]}>*"
"""What may stand behind the place where a text was cut."""
_BASE64 = frozenset(string.ascii_letters + string.digits + "+/_=-")
_SPACE = re.compile(r"\s")


class Login(str):
    """A name and a secret as they are sent together, such as ``id:password``; the name alone is no secret."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Form:
    """A secret as it can stand in a text, without its blanks."""

    text: str
    packed: bool = False
    """Whether it is part of a longer base64 text, all of which is masked."""
    whole: bool = False
    """Whether its beginning alone gives nothing away."""

    @property
    def enough(self) -> int:
        return len(self.text) if self.whole else min(len(self.text), max(_TELLS_MUCH, (len(self.text) + 1) // 2))


class Mask:
    """Replaces known secrets in texts by asterisks."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: frozenset[str] = frozenset()
        self._forms: tuple[tuple[str, _Form], ...] = ()
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Add secrets, in each form in which another side may repeat them."""
        known = self._secrets.union(secret for secret in secrets if len(secret.strip()) >= SHORTEST_SECRET)
        if known == self._secrets:
            return
        self._secrets = known
        forms = {form for secret in known for form in _forms_of(secret) if len(form.text) >= SHORTEST_SECRET}
        self._forms = tuple((form.text[:SHORTEST_SECRET], form) for form in forms)

    def text(self, text: str) -> str:
        """Return the text with every known secret masked.

        Also one that is broken over lines, written as JSON, in a URL or as base64, and the beginning of one: of at
        least 8 characters where the text ends, of 12 and half of it anywhere.
        """
        dense = "".join(text.split())
        met = [form for begin, form in self._forms if begin in dense]
        if not met:
            return text
        spans = [span for form in met for span in _spans(dense, form)]
        return _without(text, dense, spans) if spans else text

    def data(self, value: Any) -> Any:
        """Return data (dicts, lists, texts) with every known secret masked, also where only its text shows one."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self._key(key): self.data(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.data(item) for item in value]
        if value is None or (isinstance(value, int) and -_TOO_SHORT < value < _TOO_SHORT):
            return value
        text = str(value)
        masked = self.text(text)
        return value if masked == text else masked

    def _key(self, key: Any) -> Any:
        return self.data(key if isinstance(key, str | int | float | None) else str(key))


def _spans(dense: str, form: _Form) -> Iterator[tuple[int, int, bool]]:
    """Yield where a form begins and ends, or as much of it as gives it away, and whether it is packed."""
    wanted, last = form.text, len(dense.rstrip(_CUT_MARKS))
    at = dense.find(wanted[:SHORTEST_SECRET])
    while at >= 0:
        end = at + SHORTEST_SECRET
        limit = min(len(dense), at + len(wanted))
        while end < limit and dense[end] == wanted[end - at]:
            end += 1
        if end - at >= form.enough or (end >= last and not form.whole):
            yield at, end, form.packed
        at = dense.find(wanted[:SHORTEST_SECRET], at + 1)


def _without(text: str, dense: str, spans: Iterable[tuple[int, int, bool]]) -> str:
    """Return the text with asterisks in the place of the spans of it without its blanks."""
    places = range(len(text)) if len(dense) == len(text) else [n for n, one in enumerate(text) if not one.isspace()]
    found = sorted(_span_in(text, places[begin], places[end - 1] + 1, packed) for begin, end, packed in spans)
    out: list[str] = []
    done = 0
    for begin, end in found:
        if end <= done:
            continue
        if begin > done or not out:
            out += [text[done:begin], MASK]
        done = end
    return "".join([*out, text[done:]])


def _span_in(text: str, begin: int, end: int, packed: bool) -> tuple[int, int]:
    """Return a span; one that is packed with all that is packed together with it."""
    if not packed:
        return begin, end
    while begin > 0 and text[begin - 1] in _BASE64:
        begin -= 1
    while end < len(text) and text[end] in _BASE64:
        end += 1
    return begin, end


def _forms_of(secret: str) -> Iterator[_Form]:
    whole = isinstance(secret, Login)
    for written in _written(secret):
        yield _Form(_SPACE.sub("", written), whole=whole)
    raw = secret.encode(errors="surrogatepass")
    for alone in (raw, raw.strip()):
        for offset in range(3):
            for packed in _base64_of(alone, offset):
                yield _Form(packed, packed=True, whole=whole)


def _base64_of(raw: bytes, offset: int) -> Iterator[str]:
    """Yield what any text has in base64 that holds these bytes behind so many others, modulo 3."""
    first, last = (0, 2, 3)[offset], (offset + len(raw)) * 8 // 6
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(bytes(offset) + raw).decode()[first:last]


def _written(secret: str) -> Iterator[str]:
    yield secret
    once = json.dumps(secret)[1:-1]
    yield from (once, json.dumps(once)[1:-1], once.replace("/", "\\/"))
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield html.escape(secret)
    quoters: tuple[Callable[..., str], ...] = (quote, quote_plus)
    for quoter in quoters:
        for safe in ("", "/", "$", ":$", "~()*!'"):
            yield from _in_both_cases(quoter(secret, safe=safe, errors="replace"))


def _in_both_cases(quoted: str) -> Iterator[str]:
    yield quoted
    yield re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), quoted)
