"""A plugin package that does what a plugin must not, put where a gateway process finds it."""

from __future__ import annotations

from pathlib import Path

FAULTS = ("panic", "exit", "interrupt", "hang", "thread", "block", "receipt", "cancel", "shout", "change", "nothing")
"""What its deliveries can be told to do."""

_CODE = '''
"""A destination that misbehaves as it is told."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from gateway.api import Delivery, Destination, Options, Receipt, Template, hookimpl


class PanicException(BaseException):
    """As bindings to other languages raise it."""


def _raise(error: BaseException) -> Receipt:
    raise error


class Faulty(Destination["Faulty.Settings", "Faulty.Options"]):
    """Misbehaves."""

    name = "faulty"

    class Options(Options):
        """What to do wrong."""

        fault: Template[Any] = None

    async def deliver(self, delivery: Delivery[Any]) -> Receipt:
        """Do it."""
        match delivery.options.fault:
            case "panic":
                raise PanicException("the other language has panicked")
            case "exit":
                sys.exit(3)
            case "interrupt":
                raise KeyboardInterrupt
            case "hang":
                await asyncio.sleep(3600)
            case "thread":
                await self.context.in_thread(time.sleep, 10)
            case "block":
                time.sleep(0.5)
            case "receipt":
                return Receipt(summary="\\ud800\\x00" * 1000, details={"a": float("nan"), "b": b"\\xff", "c": object()})
            case "cancel":
                raise asyncio.CancelledError
            case "shout":
                print("x" * 1_000_000)
                return _raise(RuntimeError("y" * 10_000_000))
            case "change":
                delivery.record.fields.clear()
            case _:
                return None
        return Receipt(summary="nothing was done")


@hookimpl
def gateway_destinations() -> list[type]:
    """Name the destination."""
    return [Faulty]
'''


def write_package(folder: Path) -> None:
    """Write the package into a folder that is to be on ``PYTHONPATH``."""
    about = folder / "doforms_gateway_faulty-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "gateway_faulty.py").write_text(_CODE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: doforms-gateway-faulty\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[doforms_gateway]\nfaulty = gateway_faulty\n")
    (about / "RECORD").write_text("")
