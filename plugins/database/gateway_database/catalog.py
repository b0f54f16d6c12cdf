"""Asking a database's catalog for what SQLAlchemy's reflection leaves out of a table."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table, text

from gateway_database import mariadb
from gateway_database.columns import Facts, Standing, note

_POSTGRESQL = text("""
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
       a.attidentity = 'a' OR a.attgenerated <> '' AS generated,
       a.attidentity <> '' OR COALESCE(pg_catalog.pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%', false) AS numbered,
       pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT'),
       pg_catalog.has_column_privilege(c.oid, a.attnum, 'INSERT'),
       pg_catalog.has_column_privilege(c.oid, a.attnum, 'UPDATE'),
       pg_catalog.has_table_privilege(c.oid, 'DELETE'), pg_catalog.has_schema_privilege(n.oid, 'USAGE'),
       n.nspname, current_user, c.relkind IN ('v', 'm', 'f'),
       EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type IN ('2', '3')),
       (WITH RECURSIVE base(type, modifier, depth) AS (
            SELECT a.atttypid, a.atttypmod, 0
            UNION ALL SELECT t.typbasetype, t.typtypmod, depth + 1
            FROM base JOIN pg_catalog.pg_type t ON t.oid = base.type AND t.typtype = 'd'
        ) SELECT pg_catalog.format_type(type, modifier) FROM base ORDER BY depth DESC LIMIT 1),
       s.oid::regclass::text, COALESCE(pg_catalog.has_sequence_privilege(s.oid, 'USAGE'), true)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum AND a.attidentity = ''
LEFT JOIN LATERAL (
    SELECT q.oid FROM pg_catalog.pg_depend e JOIN pg_catalog.pg_class q ON q.oid = e.refobjid AND q.relkind = 'S'
    WHERE e.classid = 'pg_catalog.pg_attrdef'::regclass AND e.objid = d.oid
          AND e.refclassid = 'pg_catalog.pg_class'::regclass LIMIT 1
) s ON true
WHERE c.relname = :table AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND CASE WHEN CAST(:schema AS text) IS NULL THEN pg_catalog.pg_table_is_visible(c.oid)
               ELSE n.nspname = :schema END
""")
_MARIADB = text(
    "SELECT column_name, column_type, extra, privileges FROM information_schema.columns "
    "WHERE table_schema = coalesce(:schema, database()) AND table_name = :table"
)
_IS_VIEW = text(
    "SELECT table_type LIKE '%VIEW' FROM information_schema.tables "
    "WHERE table_schema = coalesce(:schema, database()) AND table_name = :table"
)


def learn(connection: Connection, table: Table) -> None:
    """Note at a reflected table what else there is to know of it and of its columns."""
    dialect = connection.dialect.name
    named = {"schema": table.schema, "table": table.name}
    facts: dict[str, Facts] = {}
    standing = Standing()
    if dialect == "postgresql":
        facts, standing = _of_postgresql(connection, named)
    elif dialect == "sqlite":
        facts, standing = _of_sqlite(connection, table)
    elif dialect in mariadb.NAMES:
        facts, standing = _of_mariadb(connection, named)
    note(table, facts, standing)


def _of_postgresql(connection: Connection, named: dict[str, Any]) -> tuple[dict[str, Facts], Standing]:
    facts: dict[str, Facts] = {}
    standing = Standing()
    for row in connection.execute(_POSTGRESQL, named):
        name, declared, generated, numbered, selects, inserts, updates, deletes, enters, schema, role, *rest = row
        is_view, has_rules, base, sequence, may_number = rest
        rights = {"SELECT": selects, "INSERT": inserts, "UPDATE": updates}
        facts[name] = Facts(
            declared=declared,
            base=base,
            generated=generated,
            numbered=numbered,
            rights=frozenset(right for right, held in rights.items() if held),
            sequence=None if may_number else sequence,
        )
        standing = Standing(
            role=role, schema=schema, may_enter=enters, may_delete=deletes, is_view=is_view, has_rules=has_rules
        )
    return facts, standing


def _of_sqlite(connection: Connection, table: Table) -> tuple[dict[str, Facts], Standing]:
    quote = connection.dialect.identifier_preparer.quote_identifier
    prefix = f"{quote(table.schema)}." if table.schema else ""
    rows = connection.exec_driver_sql(f"PRAGMA {prefix}table_xinfo({quote(table.name)})").all()
    keys = [name for _, name, _, _, _, part, _ in rows if part]
    facts = {
        name: Facts(
            declared=declared or "no type",
            generated=hidden in (2, 3),
            numbered=keys == [name] and declared.upper() == "INTEGER",
        )
        for _, name, declared, _, _, _, hidden in rows
    }
    master = f"{prefix}sqlite_master"
    kind = connection.exec_driver_sql(f"SELECT type FROM {master} WHERE lower(name) = lower(?)", (table.name,)).scalar()  # nosec B608
    return facts, Standing(is_view=kind == "view")


def _of_mariadb(connection: Connection, named: dict[str, Any]) -> tuple[dict[str, Facts], Standing]:
    facts = {
        name: Facts(
            declared=declared,
            generated="GENERATED" in extra.upper().replace("DEFAULT_GENERATED", ""),
            numbered="auto_increment" in extra.lower(),
            rights=frozenset(right.strip().upper() for right in privileges.split(",")),
        )
        for name, declared, extra, privileges in connection.execute(_MARIADB, named)
    }
    role = connection.exec_driver_sql("SELECT current_user()").scalar()
    return facts, Standing(
        role=role, schema=named["schema"], is_view=bool(connection.execute(_IS_VIEW, named).scalar())
    )
