"""Letting in records that doForms lists and of which no notification came, each once and for ever.

The rules, before the SQL:

- A record is known if the store has any notification of it, a tombstone too, or has let it in before. So a record that
  was deleted here comes again only after its tombstone is gone, and one that was let in never does.
- What is let in is a notification like any other, with a key made of the record's: the store's uniqueness holds it to
  one, whatever is repeated. There is nothing to report of it: doForms has no notification of that key.
- While records are let in no create notification is kept (see `late_creates`), so a step must be short.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert  # SQLite writes ON CONFLICT alike

from gateway.store.engine.ids import Ids
from gateway.store.engine.transaction_time import ask
from gateway.store.tables import backfilled, notifications
from gateway.store.work import inbox
from gateway.store.work.inbox import Keep
from gateway.store.work.outcome import conclude

AT_ONCE = 50
"""How many records a step lets in: a few milliseconds."""


def known(connection: Connection, account: str, keys: Collection[str]) -> set[str]:
    """Return those of an account's records of which the store knows."""
    column = notifications.c
    seen = select(column.record_key).where(column.account == account, column.record_key.in_(keys)).distinct()
    let_in = select(backfilled.c.record_key).where(backfilled.c.account == account, backfilled.c.record_key.in_(keys))
    return {*connection.execute(seen).scalars(), *connection.execute(let_in).scalars()}


def let_in(connection: Connection, items: Sequence[Keep], *, ids: Ids) -> list[Keep]:
    """Keep these for records that are not known yet; returns those that were kept. All are of one account."""
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql("SET LOCAL lock_timeout = '250ms'")  # receiving waits behind this lock
        connection.exec_driver_sql("LOCK TABLE backfilled IN EXCLUSIVE MODE")
    by_record = {str(item.notification.record_key): item for item in items}
    if not by_record:
        return []
    there = known(connection, items[0].account, by_record)
    fresh = [item for key, item in by_record.items() if key not in there]
    kept = inbox.keep(connection, fresh, ids=ids, token="", lease=0.0)  # nosec B106
    new = [(one.id, item) for one, item in zip(kept, fresh, strict=True) if not one.repeat]
    if not new:
        return []
    moment = ask(connection)[1]
    rows = [
        {"record_key": item.notification.record_key, "account": item.account, "notification_id": id_, "kept_at": moment}
        for id_, item in new
    ]
    connection.execute(insert(backfilled).on_conflict_do_nothing(), rows)
    conclude(connection, [id_ for id_, item in new if not any(one.required for one in item.deliveries)], moment)
    return [item for _, item in new]
