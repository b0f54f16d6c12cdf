"""The statements that grant what a delivery lacks, beside the reason that the database gives."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, Table
from sqlalchemy.exc import SQLAlchemyError

from gateway.api import DeliveryError, Misconfigured
from gateway_database.options import DatabaseOptions
from gateway_database.rights import Needs, grants, needed, needed_for_child
from gateway_database.tables import Tables


def with_grants(
    connection: Connection, tables: Tables, options: DatabaseOptions, failure: DeliveryError
) -> DeliveryError:
    """Return the failure with what to grant, if something is lacking that its delivery needs."""
    if not isinstance(failure, Misconfigured):
        return failure
    try:
        statements = [
            statement for table, needs in _needs(connection, tables, options) for _, statement in grants(table, needs)
        ]
    except (SQLAlchemyError, DeliveryError):
        return failure  # the reason of before says more
    return Misconfigured(f"{failure}. Run: {'; '.join(statements)}") if statements else failure


def _needs(connection: Connection, tables: Tables, options: DatabaseOptions) -> Iterator[tuple[Table, Needs]]:
    own = [name for name in (options.delivery_key, options.guard) if name is not None]
    yield tables.get(connection, options.table), needed(options, [*options.named_columns, *own])
    for child in options.children:
        yield tables.get(connection, child.table), needed_for_child(options, child)
