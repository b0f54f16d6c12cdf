"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from gateway.cli.output import fail
from gateway.config.diagnostics import suggest
from gateway.config.load import store_of
from gateway.store.engine.connect import open_database
from gateway.store.engine.database import describe, is_of_database
from gateway.store.engine.schema_version import newest, revision_of, works_on

RoutesFile = Annotated[Path, typer.Option("--routes", envvar="GATEWAY_ROUTES", help="The routes file.", metavar="FILE")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="At most so many, the newest first.")]


def time_option(name: str, help: str) -> Any:
    """Return an option that takes a time, or how long ago."""
    return typer.Option(name, parser=lambda text: moment(text), metavar="TIME", help=help)


def choice_option(choices: type[StrEnum], name: str, **more: Any) -> Any:
    """Return an option that takes one of these words; another one is a mistake of usage that names them."""

    def read(text: str) -> StrEnum:
        try:
            return choices(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is not known. {suggest(text, choices, kind='choice')}") from None

    return typer.Option(name, parser=read, metavar=f"[{'|'.join(choices)}]", **more)


Since = Annotated[
    datetime | None,
    time_option(
        "--since",
        "Only what was received since: a time such as 2026-01-31T08:00Z, or how long ago such as 2h or 3d.",
    ),
]
Until = Annotated[datetime | None, time_option("--until", "Only what was received before: a time, or how long ago.")]
Error = Annotated[
    str | None, typer.Option("--error", metavar="TEXT", help="Only where the reason of a failure contains this text.")
]

ROUTES = Path("routes.toml")
"""The routes file if nothing else is said."""

_AGO = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment(text: str | datetime) -> datetime:
    """Read a time, or how long ago; a time without zone is this machine's."""
    if isinstance(text, datetime):
        return text
    try:
        if match := _AGO.fullmatch(text):
            return datetime.now(UTC) - timedelta(**{_UNITS[match[2]]: int(match[1])})
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is neither a time such as 2026-01-31T08:00Z nor a span such as 2h"
        ) from None


@contextmanager
def store(routes: Path, *, write: bool = False) -> Iterator[Connection]:
    """Open the store that a routes file names, for one short transaction; no destination's secret is looked up."""
    database = open_database(store_of(routes), patient=True)
    if not database.exists():  # or StoreError, which says why it cannot be opened
        raise fail(f"there is no store at {database.name} yet: `gateway serve` or `gateway migrate` makes it")
    try:
        with database.write() if write else database.read() as connection:
            if not works_on(connection):
                revision = revision_of(connection) or "none"
                raise fail(
                    f"the store {database.name} has schema {revision}, this gateway works with {newest()}. "
                    "Run `gateway migrate`, or use the gateway that belongs to it"
                )
            yield connection
    except Exception as error:
        if not is_of_database(error):
            raise
        remedy = (
            "Look whether it is up, and whether its address and login are right"
            if database.shared
            else ("Look whether its disk is full, and whether another program has it locked")
        )
        what = "written" if write else "read"
        raise fail(f"the store {database.name} cannot be {what}: {describe(error)}. {remedy}") from None
    finally:
        database.close()
