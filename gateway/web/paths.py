"""Compares request paths with the webhook's, and explains why one does not fit."""

from __future__ import annotations

from gateway.models import Event
from gateway.text.visible import visible

EVENT_PATHS = {
    "": None,
    "/added": Event.CREATE,
    "/edited": Event.UPDATE,
    "/deleted": Event.DELETE,
    "/status": Event.STATUS,
}
"""What stands behind the webhook's path, and the event it tells where the body does not."""
_LONGEST = 200
"""Characters of a stranger's path that are told."""


def plain(path: str) -> str:
    """Return a path without dot segments (RFC 3986, 5.2.4), doubled slashes and slashes at its end."""
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    return "/" + "/".join(segments)


def suffix_of(path: str, webhook: str) -> str | None:
    """Return what stands behind the webhook's path, as `EVENT_PATHS` has it; None: the path is not the webhook's.

    Slashes that are doubled or at the end do not matter, nor does the case of the suffix.
    """
    found = plain(path)
    suffix = found[len(webhook) :].lower()
    return suffix if found.startswith(webhook) and suffix in EVENT_PATHS else None


def shown(path: str) -> str:
    """Return a stranger's path as it may be told: visible, and not too long."""
    text = visible(path[: _LONGEST + 1])
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def why_not(path: str, webhook: str) -> str:
    """Say what is probably wrong with a path that a notification came to, and what to do."""
    found = plain(path)
    for suffix in sorted(EVENT_PATHS, key=len, reverse=True):
        whole = webhook + suffix
        if found.lower().endswith(whole.lower()):
            if len(found) == len(whole):
                return f"paths tell capitals from small letters: the URL in doForms must have {webhook}"
            prefix = shown(found[: -len(whole)])
            return (
                f"a proxy in front keeps the prefix {prefix}: have it take that off, or write "
                f'[webhook] path = "{prefix}{webhook}"'
            )
        if len(found) > 1 and whole.lower().endswith(found.lower()):
            return (
                f"a proxy in front takes {whole[: -len(found)]} off: have it leave the path as it is, or write "
                f'[webhook] path = "{shown(found.removesuffix(suffix))}"'
            )
    if found.lower().startswith(f"{webhook.lower()}/"):
        known = ", ".join(suffix for suffix in EVENT_PATHS if suffix)
        return f"below {webhook} there are only {known}"
    return f"the URL in doForms must have the path {webhook}, or [webhook] path be what stands there"
