"""The address of a client: that of the connection, or what a trusted proxy says."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.types import Scope

from gateway.config.loaded import Networks

_WITH_PORT = re.compile(r"\[(?P<six>[^\]]*)\](?::\d+)?|(?P<four>[\d.]+):\d+")


def client_of(scope: Scope, trusted: Networks) -> str | None:
    """Return the client's address; None: it is not known.

    ``X-Forwarded-For`` is believed from the right as long as the proxies that added to it are trusted: what stands to
    the left of the first stranger is that stranger's word.
    """
    client = scope.get("client")
    if client is None:
        return None
    peer: str = client[0]
    if not trusted or not _is_in(_address(peer), trusted):
        return peer
    for entry in reversed(list(_forwarded(scope["headers"]))):
        address = _address(entry)
        if address is None:
            return peer  # no address: whatever it is, it is not shown as one
        peer = str(address)
        if not _is_in(address, trusted):
            break
    return peer


def _forwarded(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[str]:
    for name, value in headers:
        if name == b"x-forwarded-for":
            yield from (entry.strip() for entry in value.decode("latin-1").split(","))


def _address(text: str) -> IPv4Address | IPv6Address | None:
    with_port = _WITH_PORT.fullmatch(text)
    try:
        address = ip_address(text if with_port is None else with_port["six"] or with_port["four"])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def _is_in(address: IPv4Address | IPv6Address | None, networks: Networks) -> bool:
    return address is not None and any(address in network for network in networks)
