"""``gateway plugins``: what kinds of destination are installed."""

from __future__ import annotations

from gateway.cli.options import AsJson
from gateway.cli.output import print_json, print_table
from gateway.destinations.registry import load_registry


def plugins(json: AsJson = False) -> None:
    """List the installed destination plugins, with the settings and options that each takes."""
    found = load_registry().plugins()
    if json:
        print_json(found)
        return
    print_table(
        ("plugin", "what it does and takes"),
        (
            (
                one.name,
                [
                    one.summary,
                    f"package {one.package} {one.version}",
                    f"settings: {', '.join(one.settings)}",
                    f"options: {', '.join(one.options)}",
                ],
            )
            for one in found
        ),
        empty="No destination plugin is installed. Install some: pip install doforms-gateway-database …",
    )
