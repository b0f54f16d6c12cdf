"""Who sent a request: forwarded addresses are believed from proxies that are trusted, and from nobody else."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from gateway.web.clients import client_of

LOCAL = (ip_network("127.0.0.1"),)
INNER = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def scope(peer: str | None, *forwarded: str) -> dict[str, Any]:
    headers = [(b"x-forwarded-for", one.encode("latin-1")) for one in forwarded]
    return {"client": None if peer is None else (peer, 1234), "headers": headers}


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "client"),
    [
        ("127.0.0.1", ["6.6.6.6"], (), "127.0.0.1"),
        ("127.0.0.1", ["6.6.6.6"], INNER, "127.0.0.1"),
        ("127.0.0.1", ["6.6.6.6"], LOCAL, "6.6.6.6"),
        ("127.0.0.1", [], LOCAL, "127.0.0.1"),
        ("127.0.0.1", ["6.6.6.6, 192.0.2.7"], LOCAL, "192.0.2.7"),
        ("10.0.0.1", ["6.6.6.6, 192.0.2.7, 10.9.9.9"], INNER, "192.0.2.7"),
        ("10.0.0.1", ["6.6.6.6", "192.0.2.7", "10.9.9.9"], INNER, "192.0.2.7"),
        ("10.0.0.1", ["10.1.1.1, 10.2.2.2"], INNER, "10.1.1.1"),
        ("::ffff:10.0.0.1", ["192.0.2.7:5000"], INNER, "192.0.2.7"),
        ("fd00::1", ["[2001:db8::1]:443"], INNER, "2001:db8::1"),
        ("127.0.0.1", ["\x1b[2J"], LOCAL, "127.0.0.1"),
        ("127.0.0.1", ["unknown"], LOCAL, "127.0.0.1"),
        ("127.0.0.1", ["", ","], LOCAL, "127.0.0.1"),
        (None, ["6.6.6.6"], LOCAL, None),
        ("testclient", ["6.6.6.6"], LOCAL, "testclient"),
    ],
)
def test_forwarded_address_is_believed_as_far_as_proxies_are_trusted(
    peer: str | None, forwarded: list[str], trusted: Any, client: str | None
) -> None:
    assert client_of(scope(peer, *forwarded), trusted) == client
