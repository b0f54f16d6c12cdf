"""Finds a pooler that lends the sessions of PostgreSQL out, behind which no store can work.

What the store needs of a session outlasts its transactions: LISTEN, settings, prepared statements. A pooler in session
mode keeps it for its client; in transaction or statement mode the next client gets it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg

_LOOKS = 4
"""How often each of two connections is asked which session it has: a pooler that takes turns lends more than one."""
SAID = (
    "is behind a pooler that lends sessions out (PgBouncer with pool_mode = transaction or statement): LISTEN, "
    "settings and prepared statements of a session are lost there"
)
REMEDY = "Point `store` at PostgreSQL itself, or set pool_mode = session for this database"


def lends_sessions(arguments: Mapping[str, Any]) -> bool:
    """Tell whether connections made with these arguments do not have a session of their own.

    Two that are open at once then share one, or one of them moves from session to session between two transactions.

    Raises:
        psycopg.Error: the database cannot be reached.
    """
    with (
        psycopg.connect(**arguments, autocommit=True, prepare_threshold=None) as first,
        psycopg.connect(**arguments, autocommit=True, prepare_threshold=None) as second,
    ):
        of_first, of_second = set(), set()
        for _ in range(_LOOKS):
            of_first.add(_session(first))
            of_second.add(_session(second))
    return len(of_first) > 1 or len(of_second) > 1 or of_first == of_second


def _session(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return int(row[0]) if row else 0
