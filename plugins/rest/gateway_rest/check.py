"""Checks the options, and asks the service (``gateway check --connect``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import httpx

from gateway.api import Finding, peek
from gateway_rest.auth import clear
from gateway_rest.headers import faults_of
from gateway_rest.options import RestOptions, RestSettings
from gateway_rest.request import fault_of_path
from gateway_rest.response import failure_of, redirect

_WITHIN = 10.0
"""Seconds."""


def review(options: RestOptions) -> Iterator[Finding]:
    """Find a path that leads elsewhere, and headers that cannot be sent."""
    headers = peek(options.headers)
    for fault in faults_of(headers if isinstance(headers, Mapping) else {}):
        what, _, remedy = fault.partition(". ")
        yield Finding(where="headers", found=what, remedy=remedy)
    path = peek(options.path)
    if path is ...:
        return
    if "://" in path:
        yield Finding(where="path", found=f"`{path}` is a whole address", remedy="Put scheme and host into `url`")
    elif wrong := fault_of_path(path):
        yield Finding(where="path", found=wrong, remedy="Write it as it shall be added to `url`")


async def look(client: httpx.AsyncClient, settings: RestSettings) -> list[Finding]:
    """Find out whether the service answers at all."""
    try:
        answer = await client.head(clear(settings.url), headers=settings.sent({}, read=clear), timeout=_WITHIN)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        found = str(failure_of(error, hide=settings.hide))
        return [Finding(where="url", found=found, remedy="Look whether `url` and `ca` are right and the service is up")]
    found = f"the service answered {answer.status_code} to a HEAD request"
    if answer.status_code == 407:
        return [Finding(where="proxy", found=found, remedy="Look whether user and password in `proxy` are right")]
    if answer.status_code in (401, 403):
        return [Finding(where="auth", found=found, remedy="Look whether `auth` is right", error=False)]
    if answer.is_redirect:
        found = f"{found}, {redirect(answer, hide=settings.hide)}"
        return [Finding(where="url", found=found, remedy="Write the address that it leads to", error=False)]
    if answer.status_code >= 500:
        return [Finding(where="url", found=found, remedy="Look whether the service is well", error=False)]
    return []
