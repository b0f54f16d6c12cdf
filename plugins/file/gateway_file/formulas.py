"""Texts that a spreadsheet could take for a formula: https://owasp.org/www-community/attacks/CSV_Injection

Programs part cells not only at commas: by the country of their user at semicolons, or at tabs, bars and line ends. So
each part of a text is looked at as if it stood in a cell of its own.
"""

from __future__ import annotations

import re

_PART = re.compile(r"(?:^|(?<=[;|\t\n]))[^;|\t\n]*")
_FORMULA = re.compile(r"""[\s"'`\ufeff\u200b-\u200f\u202a-\u202e\u2060-\u2069]*[=+\-@＝＋－＠﹢﹣﹦﹫−]""")
"""Blanks, quotes and marks that cannot be seen do not keep a program from reading on."""
_NUMBER = re.compile(r"\s*[+\-]?\s?\d[\d.,\s'’]*([eE][+\-]?\d+)?\s*[%‰]?\s*")
_PHONE = re.compile(r"\s*\+?[\d\s()./\-]*\d[\d\s()./\-]*")
_ASIDE = re.compile(r"\s*[+\-]+\s*")
"""A dash that stands for nothing, or a plus for yes."""


def harmless(text: str) -> str:
    """Return a text with an apostrophe before whatever could be taken for a formula; numbers stay as they are.

    >>> harmless("=1+1"), harmless("+49 30 1234567"), harmless("a;=1+1")
    ("'=1+1", '+49 30 1234567', "a;'=1+1")
    """
    if text[:1] in ("\t", "\n"):
        text = f"'{text}"  # the OWASP page names them, for programs that read on behind them
    return _PART.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    part = found[0]
    if not _FORMULA.match(part) or any(one.fullmatch(part) for one in (_NUMBER, _PHONE, _ASIDE)):
        return part
    return f"'{part}"
