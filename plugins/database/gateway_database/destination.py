"""The ``database`` destination."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from gateway.api import (
    Delivery,
    DeliveryError,
    Destination,
    Finding,
    Misconfigured,
    Receipt,
    Repeatable,
    Traits,
    Uncertain,
    Use,
    peek,
    to_json,
)
from gateway_database.check import check
from gateway_database.engine import make_engine
from gateway_database.failures import failure_of
from gateway_database.options import DatabaseOptions, DatabaseSettings, Write
from gateway_database.review import review
from gateway_database.tables import Tables
from gateway_database.write import row_of, write

_EXPECTED_LATENCY = 0.05
Results = list[Receipt | DeliveryError]


class Database(Destination[DatabaseSettings, DatabaseOptions]):
    """Writes each delivery into a database table."""

    name = "database"
    Settings = DatabaseSettings
    Options = DatabaseOptions
    _engine: Engine | None = None
    _tables: Tables

    def traits(self, options: DatabaseOptions) -> Traits:
        """Tell that only an insert without a ``delivery_key`` column shows when it is repeated."""
        shows = options.write is Write.INSERT and not options.delivery_key
        everything = (peek(options.columns) or {}).get("*", False) is not False
        return Traits(
            expected_latency=_EXPECTED_LATENCY,
            repeatable=Repeatable.NO if shows else Repeatable.YES,
            needs=frozenset({"record"}) if everything else frozenset(),
        )

    def review(self, options: DatabaseOptions) -> Sequence[Finding]:
        """Find options that do not fit together."""
        return list(review(options))

    async def open(self) -> None:
        """Make the engine; connections are opened when they are needed."""
        if self._engine is None:
            try:
                self._engine = make_engine(self.settings)
            except (ImportError, SQLAlchemyError) as error:
                raise Misconfigured(
                    f"no driver for {self.settings.url!r}: {error}. Install it, or correct `url`"
                ) from error
            self._tables = Tables(self.settings.schema_)

    async def close(self) -> None:
        """Close the connections."""
        if self._engine is not None:
            await self.context.in_thread(self._engine.dispose)
            self._engine = None

    async def deliver(self, delivery: Delivery[DatabaseOptions]) -> Receipt:
        """Write one delivery in a transaction of its own."""
        [result] = await self.deliver_many([delivery])
        if isinstance(result, DeliveryError):
            raise result
        return result

    async def deliver_many(self, deliveries: Sequence[Delivery[DatabaseOptions]]) -> Results:
        """Write several in one transaction; one that fails leaves the others alone."""
        if self._engine is None:
            await self.open()
        return await self.context.in_thread(self._write, deliveries)

    def _write(self, deliveries: Sequence[Delivery[DatabaseOptions]]) -> Results:
        assert self._engine is not None, "open() made it"
        try:
            connection = self._engine.connect()
        except SQLAlchemyError as error:
            failure = failure_of(error)
            return [failure for _ in deliveries]
        with connection:
            try:
                results: Results = [self._write_one(connection, one) for one in deliveries]
            except SQLAlchemyError as error:  # the transaction is gone, and all that it did
                failure = failure_of(error)
                return [failure for _ in deliveries]
            try:
                connection.commit()
            except SQLAlchemyError as error:
                return [_after_commit(error) if isinstance(one, Receipt) else one for one in results]
        return results

    def _write_one(self, connection: Connection, delivery: Delivery[DatabaseOptions]) -> Receipt | DeliveryError:
        savepoint = connection.begin_nested()
        try:
            receipt = write(connection, self._tables, delivery)
            savepoint.commit()
        except DeliveryError as error:
            savepoint.rollback()
            return error
        except SQLAlchemyError as error:
            if connection.invalidated or connection.closed:
                raise
            savepoint.rollback()
            failure = failure_of(error)
            if isinstance(failure, Misconfigured):
                self._tables.forget()
            return failure
        return receipt

    def preview(self, delivery: Delivery[DatabaseOptions]) -> str:
        """Show the row and the rows that belong to it."""
        options = delivery.options
        lines = [f"{options.write} {options.table}"]
        lines += [f"  {name} = {to_json(value)}" for name, value in row_of(delivery).items()]
        for child in options.children:
            lines += [f"{len(child.columns)} rows of {child.table} where {to_json(child.parent)}"]
            lines += [f"  {to_json(columns)}" for columns in child.columns]
        return "\n".join(lines)

    async def check(self, uses: Sequence[Use[DatabaseOptions]]) -> Sequence[Finding]:
        """Look whether tables, columns and unique indexes are there."""
        if self._engine is None:
            await self.open()
        return await self.context.in_thread(self._check, uses)

    def _check(self, uses: Sequence[Use[DatabaseOptions]]) -> Sequence[Finding]:
        assert self._engine is not None, "open() made it"
        try:
            with self._engine.connect() as connection:
                return check(connection, self._tables, uses)
        except SQLAlchemyError as error:
            remedy = "Look whether `url`, `username` and `password` are right and the database is up"
            return [Finding(where="url", found=str(failure_of(error)), remedy=remedy)]


def _after_commit(error: SQLAlchemyError) -> DeliveryError:
    failure = failure_of(error)
    if isinstance(failure, Misconfigured) or getattr(error, "connection_invalidated", False):
        return Uncertain(f"the database broke off while committing: {failure}")
    return failure
