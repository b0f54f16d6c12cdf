"""What kills the gateway: a destination plugin, calls of doForms, and a service manager that starts it again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.doforms.simulator.faults import Fault, Faults
from tests.support.gateway_process import GatewayProcess

SOURCE = '''
import os
import signal
from pathlib import Path

from pydantic import field_validator

from gateway.api import Destination, Options, Receipt, Repeatable, Settings, Template, Traits, hookimpl


def die(text, stage):
    """Die where a text says so: "deadly while sending", "deadly while rendering"."""
    if f"deadly while {stage}" in str(text):
        with open(os.environ["DEADLY_LOG"], "a") as log:
            log.write(f"{stage} {os.getpid()}\\n")
        os.kill(os.getpid(), signal.SIGKILL)


class DeadlySettings(Settings):
    log: str
    repeatable: str = "yes"


class DeadlyOptions(Options):
    text: Template[str] = ""

    @field_validator("text", mode="after")
    @classmethod
    def may_kill(cls, text):
        die(text, "rendering")
        return text


class Deadly(Destination[DeadlySettings, DeadlyOptions]):
    """Notes what it takes, and dies of some."""

    name = "deadly"
    Settings = DeadlySettings
    Options = DeadlyOptions

    def traits(self, options):
        return Traits(expected_latency=0.01, repeatable=Repeatable(self.settings.repeatable))

    async def deliver(self, delivery):
        die(delivery.options.text, "sending")
        with open(self.settings.log, "a") as log:
            log.write(f"{delivery.options.text} {delivery.key}\\n")
        return Receipt(summary="taken")


class DeadlyBatch(Deadly):
    """The same, many at a time."""

    name = "deadly-batch"

    async def deliver_many(self, deliveries):
        return [await self.deliver(one) for one in deliveries]


@hookimpl
def gateway_destinations():
    return [Deadly, DeadlyBatch]
'''


def install(folder: Path) -> dict[str, str]:
    """Write the plugin into a folder; returns the environment of a process that has it installed."""
    site = folder / "site"
    about = site / "doforms_gateway_deadly-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "deadly_of_tests.py").write_text(SOURCE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: doforms-gateway-deadly\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[doforms_gateway]\ndeadly = deadly_of_tests\n")
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    return {"PYTHONPATH": path, "DEADLY_LOG": str(folder / "deaths.log")}


def deaths(folder: Path) -> Sequence[str]:
    """Return a line for each time that the plugin killed its process."""
    log = folder / "deaths.log"
    return log.read_text().splitlines() if log.exists() else []


class DeadlyCalls(Faults):
    """Calls to doForms of which the gateway, or all that share a store, die before they have the answer."""

    def __init__(self, gateways: Callable[[], Sequence[GatewayProcess]], call: str, path_contains: str) -> None:
        super().__init__()
        self._gateways = gateways
        self._deadly = Fault(call=call, path_contains=path_contains, hang=True)
        self.deaths = 0

    def take(self, method: str, path: str, call: str) -> Fault | None:
        """Kill the gateway if it is such a call."""
        if not self._deadly.matches(method, path, call):
            return super().take(method, path, call)
        self.deaths += 1
        for gateway in self._gateways():
            assert gateway.process is not None
            gateway.process.kill()
        return self._deadly


@asynccontextmanager
async def kept_running(*gateways: GatewayProcess) -> AsyncIterator[None]:
    """Start gateways again whenever they have ended, as a service manager does, until the block ends."""
    watching = [asyncio.create_task(_keep_running(gateway)) for gateway in gateways]
    try:
        yield
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)


async def _keep_running(gateway: GatewayProcess) -> None:
    while True:
        await asyncio.sleep(0.05)
        if gateway.process is None or gateway.process.poll() is None:
            continue
        start = asyncio.ensure_future(asyncio.to_thread(gateway.start))
        try:
            await asyncio.shield(start)
        except AssertionError:
            continue  # it died before it listened
        except asyncio.CancelledError:
            await start
            raise
