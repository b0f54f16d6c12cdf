"""A destination for tests of real processes: it writes all that happens to it on a tape, and does what it is told."""

from __future__ import annotations

import os
from pathlib import Path

SOURCE = '''
import asyncio
import time
from pathlib import Path

from gateway.api import Destination, Misconfigured, Options, Receipt, Repeatable, Settings, Template, Traits, hookimpl


class TapeSettings(Settings):
    tape: str
    label: str = "first"
    needs: str = ""
    slow: float = 0.0
    stuck: float = 0.0
    repeatable: str = "no"


class TapeOptions(Options):
    text: Template[str] = ""


class Tape(Destination[TapeSettings, TapeOptions]):
    """Writes on a tape."""

    name = "tape"
    Settings = TapeSettings
    Options = TapeOptions

    def traits(self, options):
        return Traits(expected_latency=0.01, repeatable=Repeatable(self.settings.repeatable))

    def write(self, what):
        with open(self.settings.tape, "a") as tape:
            tape.write(what + "\\n")

    async def open(self):
        self.write(f"open {self.settings.label}")

    async def close(self):
        self.write(f"close {self.settings.label}")

    async def deliver(self, delivery):
        if self.settings.needs and not Path(self.settings.needs).exists():
            raise Misconfigured(f"{self.settings.needs} is not there")
        self.write(f"begin {self.settings.label} {delivery.options.text}")
        await asyncio.sleep(self.settings.slow)
        if self.settings.stuck:
            await self.context.in_thread(time.sleep, self.settings.stuck)
        self.write(f"took {self.settings.label} {delivery.options.text}")
        return Receipt(summary="on the tape")


@hookimpl
def gateway_destinations():
    return [Tape]
'''


def install(folder: Path) -> dict[str, str]:
    """Write the plugin into a folder; returns the environment of a process that has it installed."""
    site = folder / "site"
    about = site / "doforms_gateway_tape-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "tape_of_tests.py").write_text(SOURCE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: doforms-gateway-tape\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[doforms_gateway]\ntape = tape_of_tests\n")
    return {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
