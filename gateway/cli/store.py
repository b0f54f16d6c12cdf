"""``gateway store``: checks and backs up the store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy.engine import make_url

from gateway.cli.options import ROUTES, AsJson, RoutesFile, store
from gateway.cli.output import fail, print_json, print_table
from gateway.config.load import store_of
from gateway.store.engine.backup import back_up
from gateway.store.engine.connect import open_database
from gateway.store.engine.sqlite import SqliteDatabase
from gateway.store.operator.integrity import Inconsistency, inspect, mend

app = typer.Typer(no_args_is_help=True, help="Check and back up the store.")


@app.command()
def check(
    routes: RoutesFile = ROUTES,
    fix: Annotated[bool, typer.Option("--fix", help="Put right what can be.")] = False,
    json: AsJson = False,
) -> None:
    """Look for what must not be in a store, and tell what it leads to. `serve` may be running.

    The exit status is 1 if something was found that is not mended.
    """
    with store(routes, write=fix) as connection:
        found = mend(connection) if fix else inspect(connection)
    if json:
        print_json(found)
    else:
        _print(found)
    if any(not one.mended for one in found):
        raise typer.Exit(1)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Where the copy goes.", dir_okay=False)],
    routes: RoutesFile = ROUTES,
    replace: Annotated[bool, typer.Option("--replace", help="Write over a file that is there.")] = False,
    json: AsJson = False,
) -> None:
    """Copy an SQLite store into a file; `serve` goes on meanwhile."""
    url = store_of(routes)
    database = open_database(url)
    if not isinstance(database, SqliteDatabase):
        parsed = make_url(url)
        raise fail(
            f"the store {database.name} is backed up by PostgreSQL's own means: pg_dump --format=custom "
            f"--file={file} --dbname={parsed.set(drivername='postgresql', password=None).render_as_string()}"
        )
    if not database.exists():
        raise fail(f"there is no store at {database.name} yet")
    if file.exists() and not replace:
        raise fail(f"{file} is there already. Name another file, or say --replace", status=2)
    size = back_up(database.path, file)
    if json:
        print_json({"file": str(file), "bytes": size})
        return
    typer.echo(f"{database.name} is copied to {file}: {size / 1e6:.1f} MB, looked through.")


def _print(found: Sequence[Inconsistency]) -> None:
    print_table(
        ("found", "what"),
        (
            (
                one.count,
                [
                    one.name,
                    one.means,
                    f"{'Mended' if one.mended else 'Remedy'}: {one.remedy}",
                    *one.examples[:5],
                    _more(one),
                ],
            )
            for one in found
        ),
        empty="The store is whole.",
    )
    if any(one.mendable and not one.mended for one in found):
        typer.echo("\n`gateway store check --fix` puts right what can be.")


def _more(one: Inconsistency) -> str | None:
    return f"… and {one.count - 5} more" if one.count > 5 else None
