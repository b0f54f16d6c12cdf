"""Looking whether the database fits what deliveries write (``gateway check --connect``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, Table

from gateway.api import Finding, Misconfigured, Use, is_template, peek
from gateway_database.options import DatabaseOptions, SetOnDelete, Write
from gateway_database.tables import Tables, ddl, is_unique


def check(connection: Connection, tables: Tables, uses: Sequence[Use[DatabaseOptions]]) -> list[Finding]:
    """Look at the tables, columns and unique indexes of all uses."""
    return [finding for use in uses for finding in _use(connection, tables, use)]


def _use(connection: Connection, tables: Tables, use: Use[DatabaseOptions]) -> Iterator[Finding]:
    options = use.options
    where = f"{use.route}.{use.delivery}"
    extra = [name for name in (options.delivery_key, options.guard) if name]
    marked = list(peek(options.on_delete.set)) if isinstance(options.on_delete, SetOnDelete) else []
    try:
        table = tables.get(connection, options.table, [*options.named_columns, *extra, *marked])
        for child in options.children:
            columns = peek(child.columns)
            named = list(columns) if isinstance(columns, dict) else []
            tables.get(connection, child.table, [*peek(child.parent), *named])
    except Misconfigured as error:
        yield Finding(
            where=where, found=str(error), remedy="Make it in the database, or correct the name in the delivery"
        )
        return
    for columns in _must_be_unique(options):
        if not is_unique(table, columns):
            found = f"the table {table.name} does not keep {', '.join(columns)} unique"
            yield Finding(where=where, found=found, remedy=f"Run: {ddl(table, columns)}")
    yield from _unfilled(table, options, where, extra)


def _must_be_unique(options: DatabaseOptions) -> Iterator[Sequence[str]]:
    if options.write in (Write.UPSERT, Write.MIRROR) and options.key:
        yield options.key
    if options.write is Write.INSERT and options.delivery_key:
        yield [options.delivery_key]


def _unfilled(table: Table, options: DatabaseOptions, where: str, extra: Sequence[str]) -> Iterator[Finding]:
    columns = peek(options.columns)
    everything = isinstance(columns, dict) and (columns.get("*") is True or is_template(columns.get("*")))
    if options.write in (Write.UPDATE, Write.DELETE) or everything:
        return
    for column in table.c:
        filled = column.name in options.named_columns or column.name in extra
        own = column.server_default is not None or column.autoincrement is True or column.identity is not None
        whole_key = column.primary_key and column.type.python_type is int
        if not (filled or own or whole_key or column.nullable):
            found = f"the column {table.name}.{column.name} must not be null, has no default, and is not filled"
            yield Finding(where=where, found=found, remedy=f"Add `{column.name}` to `columns`", error=False)
