"""The ``database`` destination."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from gateway.api import Delivery, DeliveryError, Destination, Finding, Receipt, Repeatable, Traits, Use
from gateway_database.batch import Results, write_all
from gateway_database.check import check
from gateway_database.engine import LOOKING, make_engine
from gateway_database.failures import failure_of
from gateway_database.options import DatabaseOptions, DatabaseSettings, Write
from gateway_database.preview import preview
from gateway_database.review import review
from gateway_database.tables import Tables

_EXPECTED_LATENCY = 0.05


class Database(Destination[DatabaseSettings, DatabaseOptions]):
    """Writes each delivery into a database table."""

    name = "database"
    Settings = DatabaseSettings
    Options = DatabaseOptions
    _engine: Engine | None = None
    _tables: Tables

    def traits(self, options: DatabaseOptions) -> Traits:
        """Tell that only an insert without a ``delivery_key`` column shows when it is repeated."""
        shows = options.write is Write.INSERT and options.delivery_key is None
        return Traits(
            expected_latency=_EXPECTED_LATENCY,
            repeatable=Repeatable.NO if shows else Repeatable.YES,
            questions=options.takes_everything and options.write not in (Write.INSERT, Write.DELETE),
            needs=frozenset({"record"} if options.takes_everything and options.write is not Write.DELETE else ()),
        )

    def review(self, options: DatabaseOptions) -> Sequence[Finding]:
        """Find options that do not fit together."""
        return list(review(options))

    async def open(self) -> None:
        """Make the engine; connections are opened when they are needed."""
        self._opened()

    def _opened(self) -> Engine:
        if self._engine is None:
            self._tables = Tables(self.settings.schema_)
            self._engine = make_engine(self.settings)
        return self._engine

    async def close(self) -> None:
        """Close the connections."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await self.context.in_thread(engine.dispose)

    async def deliver(self, delivery: Delivery[DatabaseOptions]) -> Receipt:
        """Write one delivery in a transaction of its own."""
        [result] = await self.deliver_many([delivery])
        if isinstance(result, DeliveryError):
            raise result
        return result

    async def deliver_many(self, deliveries: Sequence[Delivery[DatabaseOptions]]) -> Results:
        """Write several in one transaction; one that fails leaves the others alone."""
        engine = self._opened()
        return await self.context.in_thread(write_all, engine, self._tables, deliveries)

    def preview(self, delivery: Delivery[DatabaseOptions]) -> str:
        """Show the row and the rows that belong to it."""
        return preview(delivery)

    async def check(self, uses: Sequence[Use[DatabaseOptions]]) -> Sequence[Finding]:
        """Look whether tables, columns and unique indexes are there."""
        engine = self._opened()
        return await self.context.in_thread(_check, engine, self._tables, uses)


def _check(engine: Engine, tables: Tables, uses: Sequence[Use[DatabaseOptions]]) -> Sequence[Finding]:
    try:
        with engine.connect().execution_options(**LOOKING) as connection:
            return check(connection, tables, uses)
    except SQLAlchemyError as error:
        remedy = "Look whether `url`, `username` and `password` are right and the database is up"
        return [Finding(where="url", found=str(failure_of(error)), remedy=remedy)]
