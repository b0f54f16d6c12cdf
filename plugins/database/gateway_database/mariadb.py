"""What is peculiar to MariaDB and MySQL: the session's settings, what reflection leaves out, the numbers of errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

from sqlalchemy import JSON, Connection, Engine, Enum, LargeBinary, String, Table, event, text
from sqlalchemy.dialects.mysql import BINARY, BIT, LONGBLOB, MEDIUMBLOB, TINYBLOB, TINYINT, VARBINARY

from gateway.api import Finding, Rejected
from gateway_database.columns import columns_of

NAMES = frozenset({"mysql", "mariadb"})
"""Names of the dialects."""

LOGIN = frozenset({1044, 1045, 1049, 1130, 1142, 1143, 1227, 1251, 1370, 1524, 1698, 1820, 1862, 3118, 4151})
"""Login or right refused, no such database."""
SCHEMA = frozenset({1046, 1054, 1103, 1146, 1288, 1347, 1356, 1449, 1471, 1906, 1932, 3105})
"""No such table or column, or one that cannot be written to."""
ROW = frozenset(
    {1048, 1062, 1118, 1153, 1169, 1264, 1265, 1267, 1270, 1271, 1292, 1364, 1365, 1366, 1367, 1369, 1406, 1411}
    | {1441, 1451, 1452, 1525, 1526, 1644, 1690, 3140, 3819, 4025}
)
"""A constraint, trigger or type refuses the row, or it is longer than the server takes."""
BUSY = frozenset({1020, 1205, 1213, 1317, 1412, 1969, 3024})
"""Locked, changed by another, or out of time."""
DOWN = frozenset({1021, 1040, 1041, 1047, 1053, 1114, 1129, 1203, 1226, 1290, 1836, 1927})
"""Nothing can be written for a while: too many connections, read-only, full, shutting down."""
READ_ONLY = frozenset({1290, 1836})
"""The server takes no rows, as a replica after a fail-over."""
UNDONE = frozenset({1213})
"""Raised by COMMIT, it proves that nothing was committed."""

_MODE = (
    "STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,"
    "NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO"
)
_SETTINGS = (
    f"SET SESSION sql_mode = '{_MODE}', SESSION time_zone = '+00:00', "
    "SESSION innodb_lock_wait_timeout = {wait:d}, SESSION lock_wait_timeout = {wait:d}"
)
_VARIABLES = "SHOW VARIABLES WHERE Variable_name IN ('binlog_format', 'max_allowed_packet')"
_LONGEST = "gateway_longest"
_OF_TABLE = "table_schema = coalesce(:schema, database()) AND table_name = :table"
_PREFIXED = text(f"SELECT DISTINCT index_name FROM information_schema.statistics WHERE {_OF_TABLE} AND sub_part > 0")  # nosec B608
_CHECKS = text(
    "SELECT check_clause FROM information_schema.check_constraints "
    "WHERE constraint_schema = coalesce(:schema, database()) AND table_name = :table"
)
_WITHOUT_TRANSACTIONS = frozenset({"myisam", "aria", "memory", "csv", "archive", "mrg_myisam"})


class Truth(TINYINT):
    """A column that holds truth as 1 and 0, and may hold other numbers too: BOOLEAN is TINYINT(1), or BIT(1)."""

    cache_ok = True


def set_up(engine: Engine, wait: int) -> None:
    """Make sessions strict, in UTC, and wait for locks no longer than ``wait`` seconds.

    Without a strict mode the server cuts off what does not fit and says nothing; a TIMESTAMP is read in the zone of
    the session.
    """

    # Before SQLAlchemy looks at the session: it learns from the mode how names are quoted.
    @event.listens_for(engine, "connect", insert=True)
    def settle(connection: Any, record: Any) -> None:
        with closing(connection.cursor()) as cursor:
            cursor.execute(_SETTINGS.format(wait=wait))
            cursor.execute(_VARIABLES)
            variables = dict(cursor.fetchall())
            record.info[_LONGEST] = int(variables["max_allowed_packet"])
            # Of two that look for rows that are not there yet, each would lock the gap and neither could insert;
            # a server that logs statements knows no other way.
            if variables.get("binlog_format") != "STATEMENT":
                cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")

    if engine.driver == "pymysql":
        event.listen(engine, "before_cursor_execute", _refuse_too_long)


def _refuse_too_long(
    connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
) -> None:
    """Raise Rejected for what the server would hang up on, as if it were down."""
    longest = connection.info[_LONGEST]
    for row in parameters if many else [parameters]:
        characters = sum(len(value) for value in row.values() if isinstance(value, (str, bytes))) if row else 0
        if 4 * characters < longest - len(statement):
            continue  # however they are written, they take less
        length = len(cursor.mogrify(statement, row).encode(errors="surrogateescape"))  # as the driver writes bytes
        if length >= longest:
            raise Rejected(f"the row takes {length} bytes, the server no more than {longest} (max_allowed_packet)")


def own_type(kind: Any) -> Any:
    """Return the type of a column as it is meant."""
    if isinstance(kind, (BINARY, VARBINARY, TINYBLOB, MEDIUMBLOB, LONGBLOB)):
        return LargeBinary()
    is_boolean = isinstance(kind, TINYINT) and kind.display_width == 1 and not kind.unsigned
    is_bit = isinstance(kind, BIT) and kind.length == 1
    return Truth() if is_boolean or is_bit else kind


def find_json(connection: Connection, table: Table) -> None:
    """Give the JSON columns of MariaDB their type: they are LONGTEXT with a check."""
    if getattr(connection.dialect, "is_mariadb", False):
        checks = set(connection.execute(_CHECKS, _named(table)).scalars())
        quote = connection.dialect.identifier_preparer.quote_identifier
        for column in table.columns:
            if f"json_valid({quote(column.name)})" in checks:
                column.type = JSON(none_as_null=True)


def prefixed_indexes(connection: Connection, table: Table) -> set[str]:
    """Return the names of indexes that look at the beginning of a value only; that of the primary key is PRIMARY."""
    return set(connection.execute(_PREFIXED, _named(table)).scalars())


def knows_transactions(table: Table) -> bool:
    """Tell whether what is written to a table can be undone."""
    return _options(table).get("engine", "").lower() not in _WITHOUT_TRANSACTIONS


def cautions(table: Table, key: Iterable[str], where: str) -> Iterator[Finding]:
    """Yield what a table of MariaDB or MySQL does behind one's back; nothing for one of another database."""
    options = _options(table)
    if "engine" not in options:
        return
    if not knows_transactions(table):
        found = f"the table {table.name} is kept by {options['engine']}: what was written before an error stays"
        yield Finding(where=where, found=found, remedy=f"Run: ALTER TABLE {table.name} ENGINE = InnoDB", error=False)
    columns = columns_of(table)
    for name in key:
        kind = columns[name].type if name in columns else None
        if isinstance(kind, String) and not isinstance(kind, Enum):
            of_table = "" if getattr(kind, "charset", None) else options.get("collate", "")
            collation = getattr(kind, "collation", None) or of_table
            if not collation.endswith(("_bin", "_cs")):
                found = f"the column {table.name}.{name} takes keys for one that differ only in case or accents"
                yield Finding(where=where, found=found, remedy="Give it COLLATE utf8mb4_bin", error=False)


def _options(table: Table) -> dict[str, str]:
    return {name.partition("_")[2]: str(value) for name, value in table.kwargs.items()}


def _named(table: Table) -> dict[str, Any]:
    return {"schema": table.schema, "table": table.name}
