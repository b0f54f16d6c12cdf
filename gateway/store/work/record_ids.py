"""Learnt ids: what a record can be read by where its key does not work, and all that a delete can be told beside it.

They are kept for ever: retention does not touch them, because a delete that comes years later carries the key alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects.postgresql import insert  # SQLite writes ON CONFLICT alike

from gateway.store.engine.bulk_sql import AnyOf, Prepared, many
from gateway.store.engine.sanitize import clean
from gateway.store.tables import record_ids

_known = Prepared(
    select(record_ids.c.record_key, record_ids.c.id).where(
        record_ids.c.account == bindparam("account", required=True), AnyOf(record_ids.c.record_key, "keys")
    )
)
_insert = insert(record_ids)
_learn = Prepared(
    _insert.on_conflict_do_update(
        index_elements=[record_ids.c.account, record_ids.c.record_key],
        set_={"id": _insert.excluded.id},
        where=record_ids.c.id != _insert.excluded.id,
    ),
    ["account", "record_key", "id"],
)


def known(connection: Connection, account: str, keys: Collection[str]) -> dict[str, str]:
    """Return key -> id for those of the keys whose id is known."""
    if not keys:
        return {}
    return dict(_known.run(connection, account=account, keys=many(connection, keys)).fetchall())


def learn(connection: Connection, account: str, pairs: Mapping[str, str]) -> None:
    """Keep key -> id; an id that changed replaces the one that was known."""
    rows = [(account, key, id_) for key, id_ in sorted(pairs.items()) if key and id_ and _fits(key) and _fits(id_)]
    _learn.run_many(connection, rows)


def _fits(text: str) -> bool:
    """Tell whether a database takes a text as it is: a changed one would be another record's."""
    return clean(text) == text
