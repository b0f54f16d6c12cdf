"""Decides which addresses a client may connect to, by the very address of each connection."""

from __future__ import annotations

import errno
import ipaddress
import socket
from enum import StrEnum
from typing import Any

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 addresses written as IPv6 ones: https://www.rfc-editor.org/rfc/rfc6052#section-2.1"""
_METADATA = frozenset(
    map(ipaddress.ip_address, ("169.254.169.254", "169.254.170.2", "fd00:ec2::254", "100.100.100.200", "168.63.129.16"))
)
"""Where clouds hand out the credentials of a machine to whoever asks from it."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Reach(StrEnum):
    """What a client may connect to."""

    ANY = "any"
    """Any address: where an operator said to go."""
    PRIVATE = "private"
    """Addresses of this network and machine too, but none that are link-local or hand out metadata of a cloud."""
    PUBLIC = "public"
    """Addresses of the Internet only: where an answer said to go."""


class ForbiddenAddress(OSError):
    """A connection was not made, because its address is not one to which this client may connect."""


def fault_of_address(text: str, reach: Reach) -> str | None:
    """Tell why an address as a socket takes it may not be connected to; None: it may."""
    if reach is Reach.ANY:
        return None
    address = _plain(ipaddress.ip_address(text.partition("%")[0]))
    if address in _METADATA or address.is_link_local or address.is_unspecified or address.is_multicast:
        return f"{text} is an address of the machine itself or of its cloud, to which no answer may lead"
    if reach is Reach.PUBLIC and not address.is_global:
        return f"{text} is an address of a private network, to which no answer may lead"
    return None


def is_private(text: str) -> bool:
    """Tell whether an address belongs to a private network or to this machine."""
    return not _plain(ipaddress.ip_address(text.partition("%")[0])).is_global


def _plain(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def socket_for(reach: Reach) -> Any:
    """Return what makes the sockets of a client; it raises `ForbiddenAddress` for a place out of its reach."""

    def make(info: Any) -> socket.socket:
        family, kind, protocol, _, place = info
        if (fault := fault_of_address(str(place[0]), reach)) is not None:
            raise ForbiddenAddress(errno.EACCES, fault)  # several of them are told by their number alone
        return socket.socket(family=family, type=kind, proto=protocol)

    return make
