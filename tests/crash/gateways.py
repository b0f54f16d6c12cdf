"""Gateway processes under a supervisor, as a container platform would run them: what ends is started again."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.launcher import launcher
from tests.crash.routes import ENVIRON
from tests.support.gateway_process import GatewayProcess

_START_WITHIN = 30.0
_LOOK = 0.05


@dataclass(slots=True)
class Supervised:
    """One gateway that is kept running until `stop`."""

    process: GatewayProcess
    unasked: list[str] = field(default_factory=list)
    """How it ended when nobody had ended it."""
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while it is ended, stopped or started on purpose."""
    _slain: bool = False
    _watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it, again and again until it listens: the disk may be full, or the database down."""
        deadline = time.monotonic() + _START_WITHIN
        while True:
            try:
                await asyncio.to_thread(self.process.start)
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)
            else:
                break
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    async def kill(self, pause: float) -> None:
        """End it as a power cut would, and start it again after a while."""
        async with self.busy:
            self.process.kill()
            await asyncio.sleep(pause)
            await self.start()

    def slay(self) -> None:
        """Kill it in the middle of whatever it does; the supervisor finds it dead."""
        if self.process.process is not None and self.process.process.poll() is None:
            self._slain = True
            self.process.process.kill()

    async def shut_down(self, pause: float) -> None:
        """Ask it to end, and start it again after a while."""
        async with self.busy:
            await self._end()
            await asyncio.sleep(pause)
            await self.start()

    async def freeze(self, seconds: float) -> None:
        """Let it stand still for a while."""
        async with self.busy:
            self.signal(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process.process is not None
        self.process.process.send_signal(number)

    async def stop(self) -> None:
        """End it in order, for good."""
        async with self.busy:
            if self._watching is not None:
                self._watching.cancel()
            await self._end()

    def end(self) -> None:
        """End it at once, however it stands."""
        if self._watching is not None:
            self._watching.cancel()
        if self.process.process is not None and self.process.process.poll() is None:
            self.process.kill()

    async def _end(self) -> None:
        try:
            status = await asyncio.to_thread(self.process.stop)
        except (subprocess.TimeoutExpired, TimeoutError):
            self.unasked.append("it was asked to end by SIGTERM and did not end")
            self.process.kill()
            return
        if status != 0 and not self._was_slain():
            self.unasked.append(f"it was asked to end by SIGTERM and ended with exit status {status}")

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            async with self.busy:
                status = None if self.process.process is None else self.process.process.poll()
                if status is not None:
                    if not self._was_slain():
                        self.unasked.append(f"it ended by itself with exit status {status}")
                    await self.start()

    def _was_slain(self) -> bool:
        slain, self._slain = self._slain, False
        return slain


def supervised(routes: Path, number: int, *, bug: str | None = None) -> Supervised:
    """Return a gateway that is not started yet; ``bug`` switches one of its guards off."""
    log_name, environ = f"gateway-{number}.log", {**ENVIRON, "GATEWAY_NUMBER": str(number)}
    return Supervised(GatewayProcess(routes, environ=environ, launch=launcher(bug), log_name=log_name))
