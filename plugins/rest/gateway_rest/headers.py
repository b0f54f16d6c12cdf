"""What can be sent in a header: names that are names, values that cannot become another header."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""A token: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2"""
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "idempotency-key"})


def faults_of(headers: Mapping[str, Any]) -> Iterator[str]:
    """Tell what is wrong with headers, without their values; what is no text yet is not looked at."""
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            yield f"{name!r} is no name of a header. Write one such as X-Tenant"
        elif name.lower() in _OURS:
            yield f"the header {name} is set by the gateway. Remove it"
        elif isinstance(value, str) and (fault := fault_of(value)):
            yield f"the header {name} would hold {fault}"


def fault_of(value: str) -> str | None:
    """Tell why a header cannot hold a value."""
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        return "a line break or another control character. Take it out"
    if not value.isascii():
        return "a character that is not ASCII. Encode it, as in `{{ record.fields.site | urlencode }}`"
    return None


def merged(*tables: Mapping[str, str]) -> dict[str, str]:
    """Put tables of headers over one another; names count without case, later tables win."""
    found = {name.lower(): (name, value) for table in tables for name, value in table.items()}
    return dict(found.values())
