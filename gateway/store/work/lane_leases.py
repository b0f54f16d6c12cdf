"""The leases on lanes: renewed and let go by their holder, void when it is gone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, bindparam, update

from gateway.store.engine.bulk_sql import AnyOf, Prepared, Row, gathered, given, many, rows_of
from gateway.store.engine.locks import lock_lanes
from gateway.store.engine.transaction_time import ask, micros
from gateway.store.tables import lanes

_select_holders = Prepared(gathered(lanes.c.id, lanes.c.holder, source=lanes).where(AnyOf(lanes.c.id, "ids")))
_renewed = given(of_id=lanes.c.id, token=lanes.c.holder)
_renew = Prepared(
    update(lanes)
    .where(lanes.c.id == _renewed.c.of_id, lanes.c.holder == _renewed.c.token)
    .values(claimable_at=bindparam("until"))
)
_release = Prepared(
    update(lanes)
    .where(lanes.c.id == _renewed.c.of_id, lanes.c.holder == _renewed.c.token)
    .values(holder=None, claimable_at=bindparam("at"))
)


def extend(connection: Connection, rows: Sequence[Row], until: int) -> None:
    """Let leases (``of_id``, ``token``) run until then, in the store's time; one that is not held any more stays so."""
    _renew.run_many(connection, rows, until=until)


def renew(connection: Connection, held: Mapping[int, str], lease: float) -> dict[int, float]:
    """Renew leases; returns lane id -> new end by `time.monotonic` for those that were still held."""
    asked_at, moment = ask(connection)
    lock_lanes(connection, held)
    standing = rows_of(_select_holders.run(connection, ids=many(connection, held)))
    mine = [id_ for id_, holder in standing if holder == held[id_]]
    extend(connection, [{"of_id": id_, "token": held[id_]} for id_ in mine], moment + micros(lease))
    return dict.fromkeys(mine, asked_at + lease)


def release(connection: Connection, held: Iterable[tuple[int, str]]) -> None:
    """Hand claimed lanes (id, token) back without having sent anything; they are due at once."""
    rows = [{"of_id": id_, "token": token} for id_, token in held]
    _release.run_many(connection, rows, at=ask(connection)[1])


def void_leases(connection: Connection) -> int:
    """Make everything claimable that a process which is gone held; returns how many lanes. Only for a lone process.

    The holder stays, as with a lease that lapsed: it tells that the lane was never given back.
    """
    return connection.execute(
        update(lanes).where(lanes.c.holder.is_not(None)).values(claimable_at=ask(connection)[1])
    ).rowcount
