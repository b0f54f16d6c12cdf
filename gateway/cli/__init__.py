"""The command line: ``gateway``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from gateway import __version__
from gateway.cli import (
    alarms,
    backfill,
    check,
    deliveries,
    demo,
    destinations,
    explain,
    migrate,
    notifications,
    plugins,
    prune,
    quarantine,
    reconcile,
    reload,
    serve,
    store,
    webservices,
)
from gateway.cli.output import fail, show_problems
from gateway.cli.simulate import EPILOG, simulate
from gateway.errors import GatewayError, RoutesFileError, StoreError

app = typer.Typer(
    name="gateway",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


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


app.command()(serve.serve)
app.command()(reload.reload)
app.command()(check.check)
app.command()(explain.explain)
app.command()(demo.demo)
app.command(epilog=EPILOG)(simulate)
app.command()(backfill.backfill)
app.command()(reconcile.reconcile)
app.command()(migrate.migrate)
app.command()(prune.prune)
app.command()(plugins.plugins)
app.add_typer(notifications.app, name="notifications")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(destinations.app, name="destinations")
app.add_typer(webservices.app, name="webservices")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(alarms.app, name="alarms")
app.add_typer(store.app, name="store")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Exit status: 0 done, 1 failed or not found, 2 bad file or usage."""
    try:
        app(arguments, prog_name="gateway")
    except RoutesFileError as error:
        show_problems(error.problems)
        sys.exit(2)
    except GatewayError as error:
        sys.exit(fail(str(error), status=1 if isinstance(error, StoreError) else 2).exit_code)
