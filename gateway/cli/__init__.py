"""The command line: ``gateway``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from gateway import __version__
from gateway.cli.lazy import ALONE, LazyCommand, group_with
from gateway.cli.output import fail, show_problems
from gateway.errors import GatewayError, RoutesFileError, StoreError

COMMANDS = (
    LazyCommand(
        "serve",
        "gateway.cli.serve:serve",
        "Run the gateway until SIGTERM or Ctrl-C. SIGHUP loads the routes file again.",
    ),
    LazyCommand(
        "reload",
        "gateway.cli.reload:reload",
        "Check the routes file, then have the `gateway serve` of this machine load it again (SIGHUP).",
    ),
    LazyCommand(
        "check",
        "gateway.cli.check:check",
        "Check the routes file as a whole: every mistake at once, with table, key and remedy. Changes nothing.",
    ),
    LazyCommand(
        "explain",
        "gateway.cli.explain:explain",
        "Explain a notification: which routes match and why, the mode and why, and what would be sent. Nothing is "
        "sent.",
    ),
    LazyCommand(
        "demo",
        "gateway.cli.demo:demo",
        "Run the main job on this machine: a simulated doForms, a mail server, a REST service and the gateway.",
    ),
    LazyCommand(
        "simulate",
        "gateway.cli.simulate:simulate",
        "Simulate doForms until Ctrl-C: its REST API, its notifications, a page to watch, and `/control` for scripts.",
    ),
    LazyCommand(
        "backfill",
        "gateway.cli.backfill:backfill",
        "Ask doForms what it received, and let in the records that no notification told of. `serve` may be running.",
    ),
    LazyCommand(
        "reconcile",
        "gateway.cli.reconcile:reconcile",
        "Ask doForms what it received as far back as `lookback`, and let in the records that no notification told of.",
    ),
    LazyCommand(
        "migrate",
        "gateway.cli.migrate:migrate",
        "Bring the store to this gateway's schema, making it if it is not there. `gateway serve` does so by itself.",
    ),
    LazyCommand(
        "prune",
        "gateway.cli.prune:prune",
        "Delete notifications that ended long ago, with old quarantine and cleared alarms. `serve` may be running.",
    ),
    LazyCommand(
        "plugins",
        "gateway.cli.plugins:plugins",
        "List the installed destination plugins, with the settings and options that each takes.",
    ),
    LazyCommand(
        "notifications", "gateway.cli.notifications:app", "Notifications from doForms: list, show, replay, drop."
    ),
    LazyCommand("deliveries", "gateway.cli.deliveries:app", "Deliveries to destinations: list, show, replay, drop."),
    LazyCommand(
        "destinations", "gateway.cli.destinations:app", "Destinations: state, waiting deliveries; pause and resume."
    ),
    LazyCommand(
        "webservices", "gateway.cli.webservices:app", "Web services: state of their password and quota, calls today."
    ),
    LazyCommand(
        "quarantine",
        "gateway.cli.quarantine:app",
        "Authenticated requests that are no notification: list, take in again.",
    ),
    LazyCommand(
        "alarms",
        "gateway.cli.alarms:app",
        "List the alarms that are raised, newest first: causes that a person must mend. Each is cleared when that "
        "ends.",
    ),
    LazyCommand("store", "gateway.cli.store:app", "Check and back up the store."),
)
"""Each with the place it is in and the first sentences of its help."""


app = typer.Typer(
    name="gateway",
    cls=group_with(*COMMANDS),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


_LEFT_BEHIND_AFTER = 3.0
"""Seconds that threads of plugins get to end when a command has."""


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"doforms-gateway {__version__}")
        raise typer.Exit


@app.callback()
def _gateway(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Tell the version and exit.")
    ] = False,
) -> None:
    """The doForms gateway: takes notifications from doForms and hands records to your systems, as one file says."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Exit status: 0 done, 1 failed or not found, 2 bad file or usage.

    Without ``arguments`` those of the process, which then ends soon after, whatever threads plugins have left.
    """
    status = 1
    try:
        app(arguments, prog_name="gateway", obj=ALONE if arguments is None else None)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        raise
    except RoutesFileError as error:
        show_problems(error.problems)
        status = 2
        sys.exit(status)
    except GatewayError as error:
        status = fail(str(error), status=1 if isinstance(error, StoreError) else 2).exit_code
        sys.exit(status)
    except Exception as error:
        from gateway.store.engine.database import describe, is_of_database

        if not is_of_database(error):
            raise
        status = fail(
            f"the store did not do what was asked: {describe(error)}. Try again, and see its own log"
        ).exit_code
        sys.exit(status)
    finally:
        if arguments is None and "gateway.cli.speaking" in sys.modules:
            sys.modules["gateway.cli.speaking"].leave_within(_LEFT_BEHIND_AFTER, status)
