"""Several deliveries in one transaction: together if all is well, else each in a savepoint of its own."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from gateway.api import Delivery, DeliveryError, Misconfigured, Receipt, Rejected, Unavailable, Uncertain
from gateway_database import mariadb
from gateway_database.failures import broken_off, failure_of, surely_undone
from gateway_database.options import DatabaseOptions
from gateway_database.prepare import Job, prepare
from gateway_database.remedy import with_grants
from gateway_database.tables import Tables
from gateway_database.write import write, write_together

Results = list[Receipt | DeliveryError]
Deliveries = Sequence[Delivery[DatabaseOptions]]


def write_all(engine: Engine, tables: Tables, deliveries: Deliveries) -> Results:
    """Write deliveries; one that fails leaves the others alone, and each gets its own receipt or error."""
    try:
        results = _together(engine, tables, deliveries) or _one_by_one(engine, tables, deliveries)
    except SQLAlchemyError as error:  # no connection, or the transaction is gone and all that it did
        tables.forget()
        results = [broken_off(error) for _ in deliveries]
    if engine.dialect.name in mariadb.NAMES and any(isinstance(one, Misconfigured) for one in results):
        engine.dispose()  # a right that is granted holds for new sessions
    return results


def _together(engine: Engine, tables: Tables, deliveries: Deliveries) -> Results:
    """Write deliveries without savepoints; nothing is written and returned if something is wrong with one of them."""
    with engine.connect() as connection:
        connection.begin()  # the lock of SQLite before that of the tables, always, or two threads wait for each other
        try:
            jobs = [prepare(connection, tables, one) for one in deliveries]
            # Where nothing can be undone nothing may be written that would be written again.
            receipts = write_together(connection, jobs) if all(map(can_undo, jobs)) else None
        except (DeliveryError, ValueError, TypeError, ArithmeticError):
            return []
        except SQLAlchemyError as error:
            if isinstance(failure_of(error), Unavailable):
                raise
            return []
        if receipts is None:
            return []
        try:
            connection.commit()
        except SQLAlchemyError as error:
            if surely_undone(error):
                return []
            return [_unknown_end(error) for _ in deliveries]
    return [*receipts]


def can_undo(job: Job) -> bool:
    """Tell whether the tables of a job know transactions."""
    return all(mariadb.knows_transactions(table) for table in (job.table, *(child.table for child in job.children)))


def _one_by_one(engine: Engine, tables: Tables, deliveries: Deliveries) -> Results:
    """Write deliveries in one transaction, each in a savepoint of its own."""
    with engine.connect() as connection:
        results = [_write_one(connection, tables, one) for one in deliveries]
        try:
            connection.commit()
        except SQLAlchemyError as error:
            failed = error
        else:
            return results
    return _after_failed_commit(engine, tables, deliveries, results, failed)


def _write_one(connection: Connection, tables: Tables, delivery: Delivery[DatabaseOptions]) -> Receipt | DeliveryError:
    savepoint = connection.begin_nested()
    try:
        receipt = write(connection, tables, delivery)
        savepoint.commit()
        return receipt
    except DeliveryError as error:
        failure = error
    except (ValueError, TypeError, ArithmeticError) as error:
        failure = Rejected(f"the database driver cannot take a value: {error}")  # raised by it before it sends
    except SQLAlchemyError as error:
        if connection.invalidated or connection.closed:
            raise
        try:
            savepoint.rollback()
        except SQLAlchemyError:
            raise error from None  # some errors end the transaction by themselves
        failure = with_grants(connection, tables, delivery.options, failure_of(error))
        tables.forget()
        return failure
    savepoint.rollback()
    tables.forget()  # whoever mends the table expects it to be noticed
    return failure


def _after_failed_commit(
    engine: Engine, tables: Tables, deliveries: Deliveries, results: Results, error: SQLAlchemyError
) -> Results:
    if not surely_undone(error):
        return [_unknown_end(error) if isinstance(one, Receipt) else one for one in results]
    failure = failure_of(error)
    written = sum(isinstance(one, Receipt) for one in results)
    if isinstance(failure, Rejected) and written > 1:
        # A deferred constraint does not tell whose row it refuses, and nothing was written: each by itself then.
        return [
            write_all(engine, tables, [delivery])[0] if isinstance(one, Receipt) else one
            for delivery, one in zip(deliveries, results, strict=True)
        ]
    return [failure_of(error) if isinstance(one, Receipt) else one for one in results]


def _unknown_end(error: SQLAlchemyError) -> Uncertain:
    return Uncertain(f"the database broke off while committing: {failure_of(error)}")
