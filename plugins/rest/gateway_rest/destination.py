"""The ``rest`` destination."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import httpx

from gateway.api import Delivery, Destination, Finding, Misconfigured, Receipt, Rejected, Repeatable, Traits, Use
from gateway_rest.auth import clear
from gateway_rest.check import look, review
from gateway_rest.multipart import Multipart
from gateway_rest.options import RestOptions, RestSettings
from gateway_rest.request import build_request
from gateway_rest.response import failure_of, receipt_of

_EXPECTED_LATENCY = 0.3
_IDEMPOTENT = frozenset({"GET", "PUT", "DELETE"})


class Rest(Destination[RestSettings, RestOptions]):
    """Sends each delivery to a REST service."""

    name = "rest"
    Settings = RestSettings
    Options = RestOptions
    _http: httpx.AsyncClient | None = None

    def traits(self, options: RestOptions) -> Traits:
        """Tell that idempotent methods may be repeated, others under their key; the default body needs the record."""
        return Traits(
            expected_latency=_EXPECTED_LATENCY,
            repeatable=Repeatable.YES if options.method in _IDEMPOTENT else Repeatable.WITH_KEY,
            needs=frozenset({"record"} if options.whole else ()) | frozenset({"attachments"} if options.attach else ()),
        )

    def review(self, options: RestOptions) -> Sequence[Finding]:
        """Find a path that leads elsewhere, and headers that cannot be sent."""
        return list(review(options))

    async def open(self) -> None:
        """Make the client. What is wrong with ``ca`` is told by each delivery, so that the destination is paused."""
        with contextlib.suppress(Misconfigured):
            self._client()

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def deliver(self, delivery: Delivery[RestOptions]) -> Receipt:
        """Send one request."""
        request = build_request(self.settings, delivery, read=clear)
        client = self._client()
        headers = request.headers
        if isinstance(request.body, Multipart):
            await self.context.in_thread(request.body.check)
            headers = {**headers, "Content-Length": str(request.body.size)}
        try:
            answer = await client.request(request.method, request.url, content=request.body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise failure_of(error, hide=self.settings.hide) from error
        return receipt_of(answer, delivery.options, hide=self.settings.hide)

    def preview(self, delivery: Delivery[RestOptions]) -> str:
        """Show the request, with asterisks for what is secret."""
        try:
            request = build_request(self.settings, delivery, read=str)
        except Rejected as error:
            return f"would be rejected: {error}"
        lines = [f"{request.method} {request.url}", *(f"{name}: {value}" for name, value in request.headers.items())]
        body = request.body.decode(errors="replace") if isinstance(request.body, bytes) else str(request.body or "")
        return "\n".join([*lines, *(["", body] if body else [])])

    async def check(self, uses: Sequence[Use[RestOptions]]) -> Sequence[Finding]:
        """Look whether the service answers at all, with a HEAD request that changes nothing."""
        try:
            client = self._client()
        except Misconfigured as error:
            return [Finding(where="ca", found=str(error), remedy="Write the path of a PEM file with certificates")]
        return await look(client, self.settings)

    def _client(self) -> httpx.AsyncClient:
        """Return the client, made at the first call; raises Misconfigured."""
        if self._http is None:
            ca = self.settings.ca
            try:
                self._http = self.context.http(
                    ca=ca, proxy=self.settings.proxy, timeout=None
                )  # the core limits the whole
            except OSError as error:
                shown = f"the file {ca}" if ca and "\n" not in ca else "the text"
                raise Misconfigured(f"{shown} in `ca` cannot be used: {error}") from error
        return self._http
