"""Cleans links in rendered HTML: http, https and mailto only.

Escaping keeps an answer from ending the text or the attribute it stands in. It does not help where the answer is the
address itself (``href="{{ … }}"``), or where the template has no quotes around it. So the text is looked at as browsers
and mail programs do (HTML standard, 13.2.5.32 ff.; URL standard, 4.4): whatever way an address is spelt, what counts is
what it comes to. What stands in the template word for word is the operator's own and stays.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from html import unescape

from gateway.templates.work import STEP, spend

ALLOWED = frozenset({"http", "https", "mailto"})
"""The schemes of addresses that answers may bring; one without a scheme is fine, too."""
_NEVER = frozenset({"javascript", "vbscript", "data"})
"""What may run, or show something as if it came from elsewhere: not even where the template begins with it."""
_HARMLESS = "#"
"""What stands in place of an address that is refused: it leads nowhere."""
_ADDRESSES = frozenset(
    {"action", "background", "cite", "classid", "codebase", "content", "data", "dynsrc", "formaction", "href", "icon"}
    | {"longdesc", "lowsrc", "manifest", "ping", "poster", "profile", "src", "srcset", "usemap", "xlink:href"}
)
_ACTING = frozenset({"srcdoc", "style"})
"""Attributes that an answer may not add where the template has no quotes, beside those that begin with ``on``."""
_BLANK = r"[\t\n\f\r ]"
_TAG = re.compile(r"<[a-zA-Z][^\t\n\f\r />]*+")
_ATTRIBUTE = re.compile(
    rf"(?:{_BLANK}|/)*+(?P<name>[^\t\n\f\r />][^\t\n\f\r />=]*+)"
    rf"(?:{_BLANK}*+={_BLANK}*+(?:\"(?P<double>[^\"]*+)\"?|'(?P<single>[^']*+)'?|(?P<bare>[^\t\n\f\r >]*+)))?+"
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*+\Z")
_LITERAL = re.compile(r"=\s*[\"']?\s*([a-zA-Z][a-zA-Z0-9+.-]*+):")
_REFRESH = re.compile(r"url\s*+=\s*+[\"']?(.*)", re.IGNORECASE | re.DOTALL)
_CSS_ESCAPE = re.compile(r"\\([0-9a-fA-F]{1,6})\s?")
_CSS_ACTS = re.compile(r"(?:javascript|vbscript)\s*+:|expression\s*+\(|-moz-binding|behavior\s*+:", re.IGNORECASE)
_A_LETTER = STEP
"""What looking at a letter of an address costs."""
_DECODED = 5
"""How often entities are decoded: mail programs pass HTML on to each other."""


def harmless(html: str, source: str) -> str:
    """Return rendered HTML in which no address is left that an answer brought and that leads elsewhere than it may.

    ``source`` is the template.
    """
    pieces, place = [], 0
    for start, end, piece in _refused(html, source):
        pieces += [html[place:start], piece]
        place = end
    return "".join([*pieces, html[place:]]) if pieces else html


def _refused(html: str, source: str) -> Iterator[tuple[int, int, str]]:
    """Yield from where to where something is to be replaced, and by what."""
    place = 0
    while (tag := _TAG.search(html, place)) is not None:
        place = tag.end()
        while (found := _ATTRIBUTE.match(html, place)) is not None:
            place = found.end()
            name = found["name"].lower()
            if name.startswith("on") or name in _ACTING:
                if name not in source.lower():
                    yield found.start(), found.end(), " "
                elif name == "style" and (spoilt := _if_refused(found, source, lambda value, _: _acts(value))):
                    yield spoilt
            elif name in _ADDRESSES and (spoilt := _if_refused(found, source, _leads_astray)):
                yield spoilt


def _if_refused(
    found: re.Match[str], source: str, is_refused: Callable[[str, str], bool]
) -> tuple[int, int, str] | None:
    for kind in ("double", "single", "bare"):
        value = found[kind]
        spend(STEP + _A_LETTER * len(value or ""))
        if value and is_refused(value, source) and not (found[0].strip() in source and not _is_script(value)):
            return found.start(kind), found.end(kind), _HARMLESS
    return None


def _leads_astray(value: str, source: str) -> bool:
    plain = _decoded(value)
    refresh = _REFRESH.search(plain)
    whole = refresh[1] if refresh else plain
    return any(_is_astray(one, source) for one in (whole, *re.split(r"[\s,]+", whole)[1:]))


def _is_astray(address: str, source: str) -> bool:
    scheme = scheme_of(address)
    if scheme == "data" and address.lower().startswith("data:image/") and "svg" not in address[:40].lower():
        return "data:image/" not in source
    return scheme is not None and scheme not in ALLOWED | _own_schemes(source)


def scheme_of(address: str) -> str | None:
    """Return the scheme that a browser finds in an address, in small letters; None: it is relative."""
    address = address.lstrip("=")  # of an attribute without quotes; some programs pass over what stands there too much
    head, colon, _ = re.split(r"[/?#\\]", address, maxsplit=1)[0].partition(":")
    plain = "".join(letter for letter in head if unicodedata.category(letter)[0] not in "CZ").lower()
    return plain if colon and _SCHEME.match(plain) else None


def _is_script(value: str) -> bool:
    return scheme_of(_decoded(value)) in ("javascript", "vbscript")


def _acts(style: str) -> bool:
    plain = _CSS_ESCAPE.sub(lambda found: chr(min(int(found[1], 16), 0x10FFFF)), _decoded(style))
    return _CSS_ACTS.search(re.sub(r"/\*.*?\*/|[\x00-\x1f\\]", "", plain, flags=re.DOTALL)) is not None


def _decoded(value: str) -> str:
    for _ in range(_DECODED):
        plain = unescape(value)
        if plain == value:
            break
        value = plain
    return value


@lru_cache(maxsize=256)
def _own_schemes(source: str) -> frozenset[str]:
    """Return the schemes with which the template itself begins addresses, such as ``tel`` or ``cid``."""
    return frozenset(scheme.lower() for scheme in _LITERAL.findall(source)) - _NEVER
