"""What is peculiar to a table and its columns beyond types: what the database fills by itself, and our rights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Table

_COLUMNS = "gateway_columns"
_FACTS = "gateway_facts"
_STANDING = "gateway_standing"
_GENERATED = "gateway_generated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is peculiar to a column."""

    declared: str
    """Its type in the database's words."""
    base: str = ""
    """Of a domain, the type below it."""
    generated: bool = False
    """The database computes it, and takes no value."""
    numbered: bool = False
    """The database numbers the rows in it, as long as it gets no value."""
    rights: frozenset[str] | None = None
    """Which of SELECT, INSERT and UPDATE we have; None: not known."""
    sequence: str | None = None
    """The sequence that numbers it, where we may not use that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is peculiar to a table as a whole."""

    role: str | None = None
    """Who we are; None: rights are not known."""
    schema: str | None = None
    """The schema whose name has to stand in a statement."""
    may_enter: bool = True
    """Whether we may use the schema."""
    may_delete: bool = True
    is_view: bool = False
    has_rules: bool = False
    """Whether rules take the place of INSERT or UPDATE."""


def note(table: Table, facts: Mapping[str, Facts], standing: Standing) -> None:
    """Keep with a reflected table what is peculiar to it."""
    table.info[_COLUMNS] = {column.name: column for column in table.columns}
    table.info[_FACTS] = {
        column.name: facts.get(column.name)
        or Facts(declared=str(column.type), generated=column.computed is not None, numbered=bool(column.identity))
        for column in table.columns
    }
    table.info[_STANDING] = standing
    table.info[_GENERATED] = any(one.generated for one in table.info[_FACTS].values())


def columns_of(table: Table) -> Mapping[str, Column[Any]]:
    """Return the columns by their names in the database; their keys are names that no column has."""
    columns: Mapping[str, Column[Any]] = table.info[_COLUMNS]
    return columns


def facts_of(column: Column[Any]) -> Facts:
    """Return what is peculiar to a column."""
    facts: Facts = column.table.info[_FACTS][column.name]
    return facts


def standing_of(table: Table) -> Standing:
    """Return what is peculiar to a table."""
    standing: Standing = table.info[_STANDING]
    return standing


def has_generated(table: Table) -> bool:
    """Tell whether the database computes a column."""
    return bool(table.info[_GENERATED])


def may(column: Column[Any], right: str) -> bool:
    """Tell whether we have this right on a column, as far as is known."""
    rights = facts_of(column).rights
    return rights is None or right in rights
