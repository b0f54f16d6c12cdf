"""``gateway plugins``: what kinds of destination are installed."""

from __future__ import annotations

from dataclasses import replace

from gateway.cli.options import AsJson
from gateway.cli.output import print_json, print_table
from gateway.cli.speaking import plugins_speak
from gateway.config.load_destinations import refuse_reserved_names
from gateway.destinations.registry import Plugin, Registry, load_registry
from gateway.errors import PluginError


def _with_clashes(one: Plugin, registry: Registry) -> Plugin:
    """Mark a plugin whose fields are named like keys of the gateway."""
    plugin = None if one.problem else registry.get(one.name)
    try:
        if plugin is not None:
            refuse_reserved_names(plugin)
    except PluginError as error:
        return replace(one, problem=str(error))
    return one


def plugins(json: AsJson = False) -> None:
    """List the installed destination plugins, with the settings and options that each takes."""
    with plugins_speak():
        registry = load_registry()
    found = [_with_clashes(one, registry) for one in registry.plugins()]
    if json:
        print_json(found)
        return
    print_table(
        ("plugin", "what it does and takes"),
        (
            (
                one.name,
                [f"cannot be used: {one.problem}", f"package {one.package} {one.version}"]
                if one.problem
                else [
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
