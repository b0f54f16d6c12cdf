"""Connections: how many there may be, and which of them is closed when there is no room for a new one."""

from __future__ import annotations

import asyncio
import heapq
import ipaddress
import resource
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from gateway.log.limit import LogLimit
from gateway.models import AlarmKind
from gateway.web.protocol.strain import Strain

log = structlog.get_logger(__name__)

MOST = 2048
"""Connections at once, if the process may open so many files."""
_RESERVE = 512
"""Files kept for the store, the destinations and calls to doForms; at most half of what the process may open."""
_AT_ONCE = 64
"""How many of the idlest are looked for at once, at most."""
_UNLIMITED = 1 << 20
"""Files where the system sets no limit."""
_EVERY = 0.5
"""Seconds between two looks at the connections whose time is over."""
_REMEDY = (
    "Look who opens them (`ss -tn`), keep strangers out by a proxy or a firewall, and let the process open more files "
    "(`LimitNOFILE`, `ulimit -n`)"
)


class Connection(Protocol):
    """What is asked of a connection."""

    waiting_since: float | None
    """Since when it waits for what its client sends, by `time.monotonic`; None: a whole request is being answered."""

    def has_sent(self) -> bool:
        """Tell whether its client has sent something that was not read yet."""

    def close_for_room(self) -> None:
        """Close at once: a new one needs the room."""

    def end_if_overdue(self, now: float) -> None:
        """End if what is waited for has not come in time, by `time.monotonic`."""


def allow_most_files() -> None:
    """Raise the limit of open files (RLIMIT_NOFILE) to the highest that the process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _UNLIMITED if hard == resource.RLIM_INFINITY else hard
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:
        log.warning("the limit of open files could not be raised", limit=soft, wanted=wanted, error=str(error))


def most_files() -> int:
    """Return how many files the process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _UNLIMITED if soft == resource.RLIM_INFINITY else soft


def most_connections(files: int) -> int:
    """Return how many connections a process that may open so many files takes."""
    return max(1, min(MOST, files - min(_RESERVE, files // 2)))


class Connections:
    """Admits connections up to a bound in all and one for each peer.

    Who waits for its client to send something can be closed for a new one: of the peer with the most connections the
    one that has waited longest. Who is being answered cannot. So a client that sends its request at once finds room,
    however many others stand idle.
    """

    def __init__(
        self, most: int = MOST, most_of_peer: int | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.most = most
        self.most_of_peer = max(1, most * 3 // 4) if most_of_peer is None else most_of_peer
        self.full = Strain(AlarmKind.CONNECTIONS_FULL, "webhook", _REMEDY, clock=clock)
        self.log = LogLimit(log)
        self._clock = clock
        self._peers: dict[Connection, str] = {}
        self._of_peer: dict[str, int] = {}
        self._idlest: dict[str | None, list[tuple[float, Connection]]] = {}
        """Those that are closed next, of a peer or of all, the last one first."""
        self._look: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._peers)

    def admit(self, connection: Connection, address: str | None) -> bool:
        """Take a connection in, and close another one for it if need be; tell whether there was room."""
        peer = _peer(address)
        if self._of_peer.get(peer, 0) >= self.most_of_peer:
            found = f"{self.most_of_peer} connections from {peer} are open, as many as one address may have"
            if not self._make_room(peer, found, address):
                return False
        elif len(self._peers) >= self.most:
            found = f"{self.most} connections are open, as many as there may be"
            if not self._make_room(None, found, address):
                return False
        self._peers[connection] = peer
        self._of_peer[peer] = self._of_peer.get(peer, 0) + 1
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(_EVERY, self._look_at_all)
        return True

    def left(self, connection: Connection) -> None:
        """Note that a connection is closed."""
        if (peer := self._peers.pop(connection, None)) is not None:
            self._of_peer[peer] -= 1
            if not self._of_peer[peer]:
                del self._of_peer[peer]
                self._idlest.pop(peer, None)

    def _find_idlest(self, peer: str | None) -> Connection | None:
        """Find who has waited longest, of a peer or of the peer with the most connections.

        Some are looked for at once, since whoever fills the connections goes on with it: looking through all for each
        new one would take the time that good requests need.
        """
        sent: Connection | None = None
        for again in (False, True):
            found = self._idlest.setdefault(peer, [])
            while found:
                since, connection = found.pop()
                if connection not in self._peers or connection.waiting_since != since:
                    continue
                if not connection.has_sent():
                    return connection
                sent = sent or connection  # its request is here, the loop only has not come to it yet
            if not again:
                found += self._look_for_idlest(peer)
        self._idlest.pop(peer)
        return sent

    def _look_for_idlest(self, peer: str | None) -> list[tuple[float, Connection]]:
        waiting = (
            (-self._of_peer[of], one.waiting_since, number, one)
            for number, (one, of) in enumerate(self._peers.items())
            if one.waiting_since is not None and peer in (None, of)
        )
        idlest = heapq.nsmallest(max(8, min(_AT_ONCE, self.most // 16)), waiting)
        return [(since, one) for _, since, _, one in reversed(idlest)]

    def _make_room(self, peer: str | None, found: str, address: str | None) -> bool:
        idlest = self._find_idlest(peer)
        if idlest is None:
            self.log.warning("a connection was refused: all others are being answered", found=found, client=address)
            self.full.met(f"{found}, and all of them are being answered: new ones are refused")
            return False
        self.left(idlest)
        idlest.close_for_room()
        self.log.warning("a connection was closed: the idlest, for a new one", found=found, client=address)
        self.full.met(f"{found}: the idlest is closed for each new one")
        return True

    def _look_at_all(self) -> None:
        now = self._clock()
        for connection in list(self._peers):
            connection.end_if_overdue(now)
        again = bool(self._peers)
        self._look = asyncio.get_running_loop().call_later(_EVERY, self._look_at_all) if again else None


def _peer(address: str | None) -> str:
    """Return what counts as one peer: an IPv4 address, or a network of 64 bits where one host has 2^64 addresses."""
    if address is None or ":" not in address:
        return address or "unknown"
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))
