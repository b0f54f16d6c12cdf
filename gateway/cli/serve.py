"""``gateway serve``: the service itself."""

from __future__ import annotations

from typing import Annotated, Any

import typer
import uvloop
from pydantic import ValidationError

from gateway import app, log
from gateway.cli.options import ROUTES, RoutesFile, load_routes
from gateway.errors import SettingsError
from gateway.settings import LogFormat, ProcessSettings


def serve(
    routes: RoutesFile = ROUTES,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0 takes a free one.", show_default="8080")
    ] = None,
    log_format: Annotated[LogFormat | None, typer.Option(help="How log lines look.", show_default="console")] = None,
    log_level: Annotated[str | None, typer.Option(help="DEBUG, INFO, WARNING or ERROR.", show_default="INFO")] = None,
    insecure: Annotated[bool | None, typer.Option("--insecure", help="Start without a secret header.")] = None,
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C.

    Each option can be an environment variable too (GATEWAY_ROUTES, GATEWAY_HOST, …); the option wins.
    """
    given: dict[str, Any] = {
        "routes": routes,
        "host": host,
        "port": port,
        "log_format": log_format,
        "log_level": log_level,
        "insecure": insecure,
    }
    try:
        settings = ProcessSettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        lines = [
            f"GATEWAY_{str(one['loc'][0]).upper()}: {one['msg']}, found {one['input']!r}" for one in error.errors()
        ]
        raise SettingsError("\n".join(lines)) from None
    mask = log.Mask()
    log.configure(settings.log_format, settings.log_level, mask)
    loaded = load_routes(settings.routes)
    mask.learn(loaded.secrets)
    uvloop.run(app.serve(loaded, settings, mask=mask))
