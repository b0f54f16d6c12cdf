"""A destination that does nothing, as a package on the path of a gateway process."""

from __future__ import annotations

import os
from pathlib import Path

_CODE = '''
from gateway import api


class Noop(api.Destination[api.Settings, api.Options]):
    """Does nothing."""

    name = "noop"
    Settings = api.Settings
    Options = api.Options

    def traits(self, options):
        return api.Traits(expected_latency=0.01, repeatable=api.Repeatable.YES)

    async def deliver(self, delivery):
        return api.Receipt(summary="nothing")

    def preview(self, delivery):
        return "nothing"


@api.hookimpl
def gateway_destinations():
    return [Noop]
'''


def install(folder: Path) -> dict[str, str]:
    """Write the package; returns the environment of a process that finds it."""
    (folder / "gateway_noop.py").write_text(_CODE)
    info = folder / "gateway_noop-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gateway-noop\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[doforms_gateway]\nnoop = gateway_noop\n")
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))}
