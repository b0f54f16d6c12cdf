"""Statements compiled once and then handed to the driver as they are, many rows at a time.

What SQLAlchemy does around each execution takes several times as long as SQLite needs for it. And each step of SQLite
gives Python's global lock away and has to win it back from the event loop, so that a statement for each row waits as
often as there are rows. What runs for every notification is therefore written in SQLAlchemy's terms, compiled once for
each dialect, and takes all rows in one step. Values come and go as the driver has them: a boolean of SQLite is 0 or 1.

PostgreSQL gets all rows as one JSON text. Of a parameter for each value psycopg would look through the text anew every
time, which took longer than all the rest, and the text of one parameter can stay prepared on the server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from sqlalchemy import (
    CTE,
    BigInteger,
    BindParameter,
    ClauseElement,
    Column,
    ColumnElement,
    Connection,
    FromClause,
    bindparam,
    column,
    func,
    select,
    values,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import operators
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.selectable import Select
from sqlalchemy.types import Boolean

Row = Mapping[str, Any]
T = TypeVar("T")

LARGEST_STEP = 256
"""Rows of one step."""
_ROUND = 16
"""More rows than this are split into a multiple of it and the rest: two steps, of no more texts than a driver keeps."""

_GIVEN = re.compile(r"VALUES (\((?:[^()]|\([^()]*\))*\))")
_NAMED = re.compile(r"%\((\w+)\)s")


class Prepared:
    """A statement whose parameters are given by name; constants in it are kept.

    ``columns`` names those of an INSERT, in the order of its table; left out: all.
    """

    def __init__(self, statement: ClauseElement, columns: Sequence[str] | None = None) -> None:
        self._statement = statement
        self._columns = columns
        self._texts: dict[str, _Text] = {}

    def run(self, connection: Connection, **parameters: Any) -> DBAPICursor:
        """Execute it once; returns the driver's cursor."""
        text = self._for(connection.dialect)
        cursor = connection.connection.cursor()
        cursor.execute(text.whole, text.bind(parameters))
        return cursor

    def run_many(self, connection: Connection, rows: Sequence[Row | tuple[Any, ...]], **parameters: Any) -> int:
        """Execute it for all rows: those of its VALUES, by name or as tuples in its order; returns how many it made."""
        made = 0
        if rows:
            text, cursor = self._for(connection.dialect), connection.connection.cursor()
            if text.from_json:
                cursor.execute(text.from_json, text.bind_json(rows, parameters))
                return int(cursor.rowcount)
            for chunk in _chunks(rows):
                cursor.execute(text.repeated(len(chunk)), text.bind_many(chunk, parameters))
                made += cursor.rowcount
        return made

    def _for(self, dialect: Dialect) -> _Text:
        found = self._texts.get(dialect.name)
        if found is None:
            compiled = self._statement.compile(dialect=dialect, column_keys=self._columns)
            assert isinstance(compiled, SQLCompiler)
            found = self._texts[dialect.name] = _Text.of(compiled)
            assert self._columns is None or [*found.each] == [*self._columns], "columns are not in their table's order"
        return found


def _chunks(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    start = 0
    while left := len(rows) - start:
        size = min(LARGEST_STEP, left - left % _ROUND if left > _ROUND else left)
        yield rows[start : start + size]
        start += size


@dataclass(frozen=True, slots=True)
class _Text:
    """A compiled statement with its parameters in the order in which they stand in it."""

    whole: str
    names: Sequence[str]
    constants: Row
    mark: str
    """How the driver marks a parameter."""
    given: tuple[int, int] = (0, 0)
    """Where the row of its VALUES stands in the text."""
    before: Sequence[str] = ()
    each: Sequence[str] = ()
    after: Sequence[str] = ()
    """The parameters before, in and behind that row."""
    from_json: str = ""
    """The text that takes all rows as one JSON parameter in the place of VALUES; empty where that is not the way."""
    longer: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, compiled: SQLCompiler) -> _Text:
        """Return the text of a compiled statement."""
        text, mark = str(compiled), "?"
        names: Sequence[str] = compiled.positiontup or ()
        if compiled.positiontup is None:
            names, mark = _NAMED.findall(text), "%s"
            text = _NAMED.sub(mark, text)
        constants = {name: bound.value for bound, name in compiled.bind_names.items() if not bound.required}
        match = _GIVEN.search(text)
        if match is None:
            return cls(text, names, constants, mark)
        begin = text[: match.start(1)].count(mark)
        end = begin + match[1].count(mark)
        found = cls(text, names, constants, mark, match.span(1), names[:begin], names[begin:end], names[end:])
        if compiled.dialect.name != "postgresql":
            return found
        rows = _rows_of_json(compiled, match[1], found.each)
        return replace(found, from_json=text[: match.start()] + rows + text[match.end() :])

    def bind(self, parameters: Row) -> tuple[Any, ...]:
        """Return the parameters of one execution."""
        found = {**self.constants, **parameters}
        return tuple([found[name] for name in self.names])

    def bind_many(self, rows: Sequence[Row | tuple[Any, ...]], parameters: Row) -> tuple[Any, ...]:
        """Return the parameters of one execution with so many rows."""
        common = {**self.constants, **parameters}
        bound = [common[name] for name in self.before]
        for row in rows:
            bound += row if isinstance(row, tuple) else [row[name] for name in self.each]
        bound += [common[name] for name in self.after]
        return tuple(bound)

    def bind_json(self, rows: Sequence[Row | tuple[Any, ...]], parameters: Row) -> tuple[Any, ...]:
        """Return the parameters of one execution of ``from_json``."""
        common = {**self.constants, **parameters}
        keys = _NUMBERED[: len(self.each)]
        plain = [row if isinstance(row, tuple) else [row[name] for name in self.each] for row in rows]
        whole = json.dumps([dict(zip(keys, row, strict=True)) for row in plain], default=_hexadecimal)
        return (*(common[name] for name in self.before), whole, *(common[name] for name in self.after))

    def repeated(self, count: int) -> str:
        """Return the text with so many rows in its VALUES."""
        if count == 1:
            return self.whole
        found = self.longer.get(count)
        if found is None:
            begin, end = self.given
            row = self.whole[begin:end]
            found = self.longer[count] = self.whole[:begin] + ", ".join([row] * count) + self.whole[end:]
        return found


_NUMBERED = [f"c{number}" for number in range(64)]
"""Names of the columns of rows that are given as JSON."""


def _rows_of_json(compiled: SQLCompiler, row: str, each: Sequence[str]) -> str:
    """Return what stands for ``VALUES (…)``, a row of it as it was compiled, where all rows come as one JSON text."""
    types = {name: bound.type.compile(dialect=compiled.dialect) for bound, name in compiled.bind_names.items()}
    first, *rest = row.removeprefix("(").removesuffix(")").split("%s")
    found = first + "".join(f"given_row.{name}{after}" for name, after in zip(_NUMBERED, rest, strict=False))
    columns = ", ".join(f"{name} {types[of]}" for name, of in zip(_NUMBERED, each, strict=False))
    return f"SELECT {found} FROM json_to_recordset(CAST(%s AS json)) AS given_row({columns})"  # nosec B608


def _hexadecimal(value: bytes) -> str:
    """Return bytes as PostgreSQL reads them."""
    return "\\x" + value.hex()


def given(**like: Column[Any]) -> CTE:
    """Return the rows that `Prepared.run_many` gets as a table, each column of the type of one of the store."""
    columns = [column(name, of.type) for name, of in like.items()]
    row = tuple(bindparam(name, type_=of.type) for name, of in like.items())
    return values(*columns, name="given").data([row]).cte("given")


def gathered(*columns: ColumnElement[Any], source: FromClause) -> Select[Any]:
    """Select all rows as one JSON text, in one step; see `rows_of`. ``source`` is what they are selected from."""
    return select(_Gathered(columns)).select_from(source)


def as_text(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return bytes of the store that are UTF-8 as the text that they are, as JSON can hold it."""
    return _AsText(column)


class _AsText(ColumnElement[str]):
    inherit_cache = False

    def __init__(self, column: ColumnElement[Any]) -> None:
        self.column = column


@compiles(_AsText, "sqlite")
def _cast_text(element: _AsText, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST({compiler.process(element.column, **options)} AS TEXT)"


@compiles(_AsText, "postgresql")
def _convert_text(element: _AsText, compiler: SQLCompiler, **options: Any) -> str:
    return f"convert_from({compiler.process(element.column, **options)}, 'UTF8')"


def rows_of(cursor: DBAPICursor) -> list[Any]:
    """Return the rows of a statement that selects them `gathered`, each a list."""
    found: list[Any] = json.loads(scalar_of(cursor) or "[]")
    return found


def scalar_of(cursor: DBAPICursor) -> Any:
    """Return the only value of a statement; None if there is no row."""
    row = cursor.fetchone()
    return None if row is None else row[0]


class _Gathered(ColumnElement[str]):
    inherit_cache = False

    def __init__(self, columns: Sequence[ColumnElement[Any]]) -> None:
        self.columns = columns


@compiles(_Gathered, "sqlite")
def _gather_sqlite(element: _Gathered, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(func.json_group_array(func.json_array(*element.columns)), **options)


@compiles(_Gathered, "postgresql")
def _gather_postgresql(element: _Gathered, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST({compiler.process(func.json_agg(func.json_build_array(*element.columns)), **options)} AS TEXT)"


class Greatest(FunctionElement[int]):
    """The greatest of several values."""

    inherit_cache = True
    type = BigInteger()


@compiles(Greatest, "sqlite")
def _max(element: Greatest, compiler: SQLCompiler, **options: Any) -> str:
    return f"max({compiler.process(element.clauses, **options)})"


@compiles(Greatest, "postgresql")
def _greatest(element: Greatest, compiler: SQLCompiler, **options: Any) -> str:
    return f"greatest({compiler.process(element.clauses, **options)})"


class AnyOf(ColumnElement[bool]):
    """``column IN (all the ids of one parameter)``, of the same text however many there are; see `many`."""

    inherit_cache = False
    type = Boolean()

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        self.column = column
        self.ids: BindParameter[Any] = bindparam(name, required=True)

    def self_group(self, against: operators.OperatorType | None = None) -> Any:
        """Need no brackets."""
        return self


@compiles(AnyOf, "sqlite")
def _in_json(element: AnyOf, compiler: SQLCompiler, **options: Any) -> str:
    column, ids = compiler.process(element.column, **options), compiler.process(element.ids, **options)
    return f"{column} IN (SELECT value FROM json_each({ids}))"  # nosec B608


@compiles(AnyOf, "postgresql")
def _equal_any(element: AnyOf, compiler: SQLCompiler, **options: Any) -> str:
    return f"{compiler.process(element.column, **options)} = ANY({compiler.process(element.ids, **options)})"


def many(connection: Connection, ids: Iterable[int | str]) -> Any:
    """Return the value of the parameter of `AnyOf`."""
    return json.dumps(list(ids)) if connection.dialect.name == "sqlite" else list(ids)
