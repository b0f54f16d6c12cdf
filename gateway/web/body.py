"""Reads the body of a request within bounds of size, time and memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from starlette.types import Receive, Scope

from gateway.config.sizes import say_size
from gateway.errors import CannotKeep
from gateway.intake.admission import LARGEST_HELD, Admission
from gateway.log.limit import LogLimit
from gateway.models import AlarmKind
from gateway.web.protocol.closing import peer_of
from gateway.web.protocol.strain import Strain

log = structlog.get_logger(__name__)

LARGEST_BODY = 1024 * 1024
SMALL = 16 * 1024
"""Bytes. So small is what doForms sends; a larger body is given up before a smaller one."""
_STANDS_AFTER = 3.0
"""Seconds after which a body that is not whole counts as one that stands still."""
_MANY = LARGEST_HELD // 4
"""Bytes of such bodies that a person should hear of."""
_TOO_LARGE = b"\0" * (LARGEST_BODY + 1)
_REMEDY = (
    "Somebody who has a secret header, or a proxy that does not wait for whole requests, begins bodies and does not "
    "end them: the log has the addresses. Have a proxy in front read requests whole before it passes them on, or give "
    "the secret header a new value"
)


@dataclass(eq=False, slots=True)
class _Reading:
    """A body that is not whole yet."""

    client: str | None
    share: str
    since: float
    limit: asyncio.Timeout
    body: bytearray = field(default_factory=bytearray)
    given_up: str | None = None
    """Why it is not read any more."""


class Bodies:
    """Reads bodies, and gives one up where there is no memory for it beside what waits to be kept.

    Which one: of whoever holds most, by the secret headers that they carry, the one that has been coming for longest, a
    large one before a small one. So nobody who begins bodies and does not end them takes the room of others, and one
    that comes in one piece is read whatever stands still beside it.
    """

    def __init__(self, admission: Admission, clock: Callable[[], float] = time.monotonic) -> None:
        self._admission = admission
        self._clock = clock
        self._held = 0
        self._readings: dict[_Reading, None] = {}
        self._log = LogLimit(log)
        self.stalled = Strain(AlarmKind.BODIES_STALLED, "webhook", _REMEDY, clock=clock)

    async def read(self, receive: Receive, declared: bytes, *, share: Callable[[], str], scope: Scope) -> bytes | None:
        """Read a body; one that is too large is cut. None: the client has hung up.

        ``share`` tells by whose secret header it came, and is asked only if it does not come whole at once. What is
        declared too large, or is not wanted any more, is not read here: see `gateway.web.protocol.closing`.

        Raises:
            CannotKeep: there is no memory for it.
        """
        if declared.isdigit() and int(declared[:20]) > LARGEST_BODY:
            return _TOO_LARGE
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        if not message.get("more_body", False):
            self._make_room(len(part), None)
            return bytes(part)
        one = _Reading(peer_of(scope), share(), self._clock(), asyncio.timeout(None))
        self._readings[one] = None
        try:
            async with one.limit:
                return await self._read(one, part, receive)
        except TimeoutError:
            assert one.given_up is not None
            raise CannotKeep(one.given_up) from None
        finally:
            self._held -= len(one.body)
            del self._readings[one]

    def stands(self) -> str | None:
        """Tell of bodies that stand still, if they are so many that a person should hear of it."""
        before = self._clock() - _STANDS_AFTER
        standing = [len(one.body) for one in self._readings if one.since < before]
        if sum(standing) >= _MANY:
            self.stalled.met(f"{len(standing)} bodies that stand still hold {say_size(sum(standing))} of memory")
        return self.stalled.why()

    async def _read(self, one: _Reading, part: bytes, receive: Receive) -> bytes | None:
        more = True
        while True:
            if len(one.body) + len(part) > LARGEST_BODY:
                return _TOO_LARGE
            self._make_room(len(part), one)
            one.body += part
            self._held += len(part)
            if not more:
                return bytes(one.body)
            message = await receive()
            if one.given_up is not None:
                raise TimeoutError  # its beginning is gone, and this part came in the same moment
            if message["type"] == "http.disconnect":
                return None
            part, more = message.get("body", b""), message.get("more_body", False)

    def _make_room(self, more: int, but: _Reading | None) -> None:
        """Have so many bytes find room; raises CannotKeep where nothing can be given up for them."""
        while (why := self._admission.memory_full(self._held + more)) is not None:
            others = [one for one in self._readings if one is not but and one.given_up is None and one.body]
            if not others:
                self._log.warning("a body was refused: no memory", reason=why)
                raise CannotKeep(why)
            self._give_up(_least_wanted(others))

    def _give_up(self, one: _Reading) -> None:
        held = say_size(self._held)
        one.given_up = (
            f"{held} wait in memory in {len(self._readings)} bodies that have begun and not ended; this one was given "
            f"up for others after {len(one.body)} bytes: send it again, whole"
        )
        self._held -= len(one.body)
        one.body = bytearray()
        one.limit.reschedule(asyncio.get_running_loop().time())
        self.stalled.met(f"{len(self._readings)} bodies that have begun and not ended hold {held} of memory")
        self._log.warning("a body was given up for others", client=one.client, held=held)


def _least_wanted(readings: list[_Reading]) -> _Reading:
    """Choose of the share that holds most its oldest large body, or else its oldest."""
    held: dict[str, int] = {}
    for one in readings:
        held[one.share] = held.get(one.share, 0) + len(one.body)
    most = max(held, key=lambda share: held[share])
    of_most = [one for one in readings if one.share == most]
    return next((one for one in of_most if len(one.body) > SMALL), of_most[0])
