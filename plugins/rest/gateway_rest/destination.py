"""The ``rest`` destination."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import httpx

from gateway.api import (
    Delivery,
    Destination,
    Finding,
    Misconfigured,
    Receipt,
    Rejected,
    Repeatable,
    Traits,
    Use,
    is_template,
    peek,
)
from gateway_rest.answer import failure_of, receipt_of
from gateway_rest.options import BasicAuth, BearerAuth, RestOptions, RestSettings
from gateway_rest.request import build_request

_EXPECTED_LATENCY = 0.3
_IDEMPOTENT = frozenset({"GET", "PUT", "DELETE"})
_TIMEOUT = 3600.0
"""Seconds; the core's own time-out is always shorter."""


class Rest(Destination[RestSettings, RestOptions]):
    """Sends each delivery to a REST service."""

    name = "rest"
    Settings = RestSettings
    Options = RestOptions
    _http: httpx.AsyncClient | None = None

    def traits(self, options: RestOptions) -> Traits:
        """Tell that idempotent methods may be repeated, others under their key; the default body needs the record."""
        own_body = {"json_", "form", "body"} & options.model_fields_set
        whole = not own_body and options.method not in ("GET", "DELETE")
        return Traits(
            expected_latency=_EXPECTED_LATENCY,
            repeatable=Repeatable.YES if options.method in _IDEMPOTENT else Repeatable.WITH_KEY,
            needs=frozenset({"record"}) if whole else frozenset(),
        )

    def review(self, options: RestOptions) -> Sequence[Finding]:
        """Find a path that is an address of its own."""
        path = peek(options.path)
        if not is_template(path) and "://" in str(path):
            found, remedy = f"`{path}` is a whole address", "Put scheme and host into `url` of the destination"
            return [Finding(where="path", found=found, remedy=remedy)]
        return ()

    async def open(self) -> None:
        """Make the client; raises Misconfigured if the authorities' file cannot be used."""
        if self._http is None:
            try:
                self._http = self.context.http(ca=self.settings.ca, timeout=_TIMEOUT)
            except OSError as error:
                raise Misconfigured(f"the file {self.settings.ca} of `ca` cannot be used: {error}") from None

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def deliver(self, delivery: Delivery[RestOptions]) -> Receipt:
        """Send one request."""
        if self._http is None:
            await self.open()
        assert self._http is not None, "open() made it"
        request = build_request(self.settings, delivery)
        headers = {**request.headers, **self._login()}
        try:
            answer = await self._http.request(request.method, request.url, content=request.body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise failure_of(error) from error
        return receipt_of(answer, delivery.options)

    def preview(self, delivery: Delivery[RestOptions]) -> str:
        """Show the request without the destination's login."""
        try:
            request = build_request(self.settings, delivery)
        except Rejected as error:
            return f"would be rejected: {error}"
        lines = [f"{request.method} {request.url}", *(f"{name}: {value}" for name, value in request.headers.items())]
        body = "" if request.body is None else request.body.decode(errors="replace")
        return "\n".join([*lines, *(["", body] if body else [])])

    async def check(self, uses: Sequence[Use[RestOptions]]) -> Sequence[Finding]:
        """Look whether the service answers at all, with a HEAD request that changes nothing."""
        if self._http is None:
            await self.open()
        assert self._http is not None, "open() made it"
        try:
            answer = await self._http.request("HEAD", self.settings.url, headers=self._login(), timeout=10.0)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            remedy = "Look whether `url` is right and the service is up"
            return [Finding(where="url", found=str(failure_of(error)), remedy=remedy)]
        if answer.status_code in (401, 403):
            found = f"the service answered {answer.status_code} to a HEAD request"
            return [Finding(where="auth", found=found, remedy="Look whether `auth` is right", error=False)]
        return ()

    def _login(self) -> dict[str, str]:
        auth: Any = self.settings.auth
        if auth is None:
            return {}
        if isinstance(auth, BasicAuth):
            pair = f"{auth.username}:{auth.password.get_secret_value()}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        if isinstance(auth, BearerAuth):
            return {"Authorization": f"Bearer {auth.token.get_secret_value()}"}
        return {auth.name: auth.value.get_secret_value()}
