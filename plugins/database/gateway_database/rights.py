"""Finds which rights a delivery lacks, and the statements that grant them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import Table

from gateway.api import peek
from gateway_database.columns import columns_of, facts_of, may, standing_of
from gateway_database.indexes import quoted, written
from gateway_database.options import Child, DatabaseOptions, Write

Needs = Mapping[str, Sequence[str]]
"""Right -> columns; DELETE is one of the whole table."""


def needed(options: DatabaseOptions, columns: Sequence[str]) -> Needs:
    """Return what a delivery needs at its own table; ``columns`` are those that it fills."""
    rest = options.rest_of(columns)
    write, marks, guard = options.write, options.marks or {}, [options.guard] if options.guard else []
    if write is Write.INSERT:
        return {"INSERT": columns, "SELECT": [options.delivery_key] if options.delivery_key else []}
    known = [*options.key, *guard]
    if write is Write.DELETE:
        return {"SELECT": known, "UPDATE": guard, "DELETE": ["*"]}
    if write is Write.UPDATE:
        return {"SELECT": known, "UPDATE": rest}
    deletes = ["*"] if write is Write.MIRROR and options.marks is None else []
    # PostgreSQL wants to be allowed to read what it takes over from the row that could not be inserted.
    return {"SELECT": [*known, *rest], "INSERT": columns, "UPDATE": [*rest, *marks], "DELETE": deletes}


def needed_for_child(options: DatabaseOptions, child: Child) -> Needs:
    """Return what a delivery needs at a table of the rows that belong to its row."""
    parent, columns = list(peek(child.parent) or {}), peek(child.columns)
    filled = [*parent, *(columns if isinstance(columns, dict) else ())]
    if options.write is Write.INSERT:
        return {"INSERT": filled}
    inserts = [] if options.write is Write.DELETE else filled
    return {"SELECT": parent, "INSERT": inserts, "DELETE": ["*"]}


def grants(table: Table, needs: Needs) -> Iterator[tuple[str, str]]:
    """Yield what is lacking at a table, and the statement that grants it."""
    standing, columns = standing_of(table), columns_of(table)
    if standing.role is None:
        return
    role = _role(standing.role)
    if not standing.may_enter:
        yield f"USAGE of the schema {standing.schema}", f"GRANT USAGE ON SCHEMA {standing.schema} TO {role}"
    for right, names in needs.items():
        there = [name for name in dict.fromkeys(names) if name in columns]
        lacking = [name for name in there if not may(columns[name], right)]
        if lacking:
            told = quoted(table, lacking)
            yield f"{right} of {told} in {table.name}", f"GRANT {right} ({told}) ON {written(table)} TO {role}"
        elif right == "DELETE" and names and not standing.may_delete:
            yield f"DELETE in {table.name}", f"GRANT DELETE ON {written(table)} TO {role}"
    inserted = set(needs.get("INSERT", ()))
    for name in columns if inserted else ():
        sequence = facts_of(columns[name]).sequence
        if sequence is not None and name not in inserted:
            yield f"USAGE of the sequence {sequence}", f"GRANT USAGE ON SEQUENCE {sequence} TO {role}"


def _role(name: str) -> str:
    if "@" in name:  # of MariaDB
        user, _, host = name.rpartition("@")
        return f"'{user}'@'{host}'"
    plain = name.isidentifier() and name.isascii() and name == name.lower()
    return name if plain else '"' + name.replace('"', '""') + '"'
