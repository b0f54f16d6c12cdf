"""What connects to a database, and what a delivery writes."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from gateway.api import Event, Expression, Options, PerRow, Secret, Settings, Template, peek, subset


class Write(StrEnum):
    """How a delivery is written."""

    INSERT = "insert"
    """A new row."""
    UPSERT = "upsert"
    """The row with this key, made if it is not there."""
    UPDATE = "update"
    """The row with this key, which must be there."""
    DELETE = "delete"
    """The row with this key goes."""
    MIRROR = "mirror"
    """Upsert, and ``on_delete`` for a delete."""


class DatabaseSettings(Settings):
    """``[destinations.NAME]`` with ``plugin = "database"``."""

    url: str = Field(description="SQLAlchemy URL without a password, such as `postgresql+psycopg://user@host/name`.")
    username: str | None = Field(None, min_length=1, description="Left out: that of the URL.")
    password: Secret | None = Field(None, description="A reference, such as `env:WAREHOUSE_PASSWORD`.")
    schema_: str | None = Field(None, alias="schema", min_length=1, description="Left out: the database's default.")
    pool_size: int = Field(5, ge=1, le=100, description="Connections kept open.")

    @field_validator("url")
    @classmethod
    def _readable(cls, value: str) -> str:
        try:
            make_url(value)
        except ArgumentError:
            raise ValueError(
                "it is no SQLAlchemy URL. Write it as postgresql+psycopg://user@host/name or sqlite:////path/file.db"
            ) from None
        return value


class Child(BaseModel):
    """Rows that belong to the row of a delivery."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str = Field(min_length=1)
    rows: Expression[list[Any] | None]
    parent: Template[dict[str, Any]] = Field(description="Columns that lead to the row of the delivery.")
    columns: PerRow[dict[str, Any]] = Field(description="Name and value of each column; `row` is in scope.")


class SetOnDelete(BaseModel):
    """Columns that a delete sets instead of deleting the row."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    set: Template[dict[str, Any]]


class DatabaseOptions(Options):
    """A delivery to a ``database`` destination."""

    table: str = Field(min_length=1, description="The table to write to; it must exist.")
    write: Write = Field(Write.INSERT, description="`insert`, `upsert`, `update`, `delete` or `mirror`.")
    key: list[str] = Field(default_factory=list, description="Columns that tell a row from the others.")
    columns: Template[dict[str, Any]] = Field(
        default_factory=dict,
        description='Name and value of each column; `"*" = true` takes every question under its own name.',
    )
    delivery_key: str | None = Field(None, min_length=1, description="Column for the delivery key: no row comes twice.")
    guard: str | None = Field(None, min_length=1, description="Column for the lane number: nothing older overwrites.")
    on_delete: Literal["delete"] | SetOnDelete | None = Field(
        None, description='For mirror: `"delete"` (default) or `{ set = { column = value } }`.'
    )
    children: list[Child] = Field(default_factory=list, description="Tables with the rows of the form's tables.")

    def for_event(self, event: Event) -> DatabaseOptions:
        """Leave out what a delete does not write: only the key, ``on_delete`` and the children's parents are left."""
        if self.write is not Write.DELETE and not (self.write is Write.MIRROR and event is Event.DELETE):
            return self
        children = [
            child.model_copy(update={"columns": [], "rows": None}).model_copy(update={"rows": []})
            for child in self.children
        ]
        return self.model_copy(update={"columns": subset(self.columns, self.key), "children": children})

    @property
    def named_columns(self) -> list[str]:
        """The columns that are named, without ``*``."""
        table = peek(self.columns)
        return [name for name in table if name != "*"] if isinstance(table, dict) else []
