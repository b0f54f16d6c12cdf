"""Rates that hold over all processes: how far the permissions to send or to call are used up, one row for each."""

from __future__ import annotations

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert  # SQLite writes ON CONFLICT alike

from gateway.store.engine.bulk_sql import Greatest
from gateway.store.engine.transaction_time import SECOND, ask, micros
from gateway.store.tables import rates


def draw(connection: Connection, name: str, wanted: int, *, per_second: float, burst: float) -> tuple[int, float]:
    """Take up to so many permissions; returns how many there were, and the seconds until there is another.

    The bucket holds ``burst`` of them and fills by the store's clock. It is kept as the time up to which it is used up.
    """
    _, moment = ask(connection)
    each = SECOND / per_second
    full = moment - round(burst * each)
    used_until = max(lock(connection, name, used_until=full), full)
    granted = max(0, min(wanted, int((moment - used_until) / each)))
    used_until += round(granted * each)
    connection.execute(update(rates).where(rates.c.name == name).values(used_until=used_until))
    return granted, max(0.0, (used_until + each - moment) / SECOND)


def lock(connection: Connection, name: str, *, used_until: int = 0) -> int:
    """Lock a row until the transaction ends, making it first if it is not there; returns up to when it is used up."""
    connection.execute(insert(rates).values(name=name, used_until=used_until).on_conflict_do_nothing())
    row = select(rates.c.used_until).where(rates.c.name == name).with_for_update()
    return int(connection.execute(row).scalar_one())


def stop(connection: Connection, name: str, seconds: float) -> None:
    """Give no permission for so long."""
    _, moment = ask(connection)
    given = insert(rates).values(name=name, used_until=moment + micros(seconds))
    later = Greatest(rates.c.used_until, given.excluded.used_until)
    connection.execute(given.on_conflict_do_update(index_elements=[rates.c.name], set_={"used_until": later}))
