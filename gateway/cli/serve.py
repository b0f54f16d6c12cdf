"""``gateway serve``: the service itself."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
from collections.abc import Callable
from typing import Annotated, Any

import structlog
import typer
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway import app, first_signals, log
from gateway.cli.options import ROUTES, RoutesFile, choice_option
from gateway.cli.run_loop import run_to_its_end
from gateway.cli.speaking import MASK, leave_within, plugins_speak
from gateway.config.load import load
from gateway.config.loaded import Routes
from gateway.destinations.context import make_context
from gateway.destinations.registry import load_registry
from gateway.errors import SettingsError
from gateway.settings import LogFormat, ProcessSettings, Role

_LET_GO_WITHIN = 0.5
"""Seconds that calls which nobody waits for any more get to end."""
_LEFT_BEHIND_AFTER = 3.0
"""Seconds that threads of plugins get to end when all else has."""


def serve(
    routes: RoutesFile = ROUTES,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; 0 takes a free one.", show_default="8080")
    ] = None,
    log_format: Annotated[
        LogFormat | None,
        choice_option(LogFormat, "--log-format", help="How log lines look.", show_default="console"),
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="DEBUG, INFO, WARNING or ERROR.", show_default="INFO")] = None,
    role: Annotated[
        Role | None,
        choice_option(
            Role,
            "--role",
            help="What this process does where several share a PostgreSQL store: receive, work or both.",
            show_default="both",
        ),
    ] = None,
    insecure: Annotated[bool | None, typer.Option("--insecure", help="Start without a secret header.")] = None,
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C. SIGHUP loads the routes file again.

    Each option can be an environment variable too (GATEWAY_ROUTES, GATEWAY_HOST, …); the option wins.
    """
    given: dict[str, Any] = {
        "routes": routes,
        "host": host,
        "port": port,
        "log_format": log_format,
        "log_level": log_level,
        "role": role,
        "insecure": insecure,
    }
    settings = _settings({name: value for name, value in given.items() if value not in (None, "")})

    def set_up_logging() -> None:
        log.configure(settings.log_format, settings.log_level, MASK)
        log.log_what_python_prints()

    set_up_logging()
    atexit.register(first_signals.ignore)
    with plugins_speak(set_up_logging):
        registry = load_registry()

    def load_routes() -> Routes:
        return load(settings.routes, registry, make_context=make_context, learn=MASK.learn)

    with plugins_speak(set_up_logging):
        loaded = load_routes()
    with plugins_speak(set_up_logging):
        run_to_its_end(_serve(loaded, settings, MASK, load_routes))


def _settings(given: dict[str, Any]) -> ProcessSettings:
    try:
        return ProcessSettings(**given)
    except ValidationError as error:
        lines = [_say(one, given) for one in error.errors()]
        raise SettingsError("\n".join(lines)) from None


def _say(problem: ErrorDetails, given: dict[str, Any]) -> str:
    name = str(problem["loc"][0])
    where = f"--{name.replace('_', '-')}" if name in given else f"GATEWAY_{name.upper()}"
    return f"{where}: {problem['msg']}, found {problem['input']!r}"


async def _serve(routes: Routes, settings: ProcessSettings, mask: log.Mask, load_routes: Callable[[], Routes]) -> None:
    await app.serve(routes, settings, mask=mask, load=load_routes)
    leave_within(_LEFT_BEHIND_AFTER, 0)  # a thread that waits for the store, or a plugin's, is joined by nobody else
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        _, left = await asyncio.wait(left, timeout=_LET_GO_WITHIN)
    if left:  # a thread of a destination is stuck, and Python would wait for it for ever
        structlog.get_logger(__name__).warning("ended although calls have not returned", count=len(left))
        logging.shutdown()
        os._exit(0)
