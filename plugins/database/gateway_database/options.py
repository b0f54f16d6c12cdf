"""What connects to a database, and what a delivery writes."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from gateway.api import Event, Expression, Options, PerRow, Secret, Settings, Template, peek, subset
from gateway_database.drivers import arguments_of


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


EVERYTHING = "*"
"""The column name that stands for every question under its own name."""


class DatabaseSettings(Settings):
    """``[destinations.NAME]`` with ``plugin = "database"``."""

    url: str = Field(description="SQLAlchemy URL without a password, such as `postgresql+psycopg://user@host/name`.")
    username: str | None = Field(None, min_length=1, description="Left out: that of the URL.")
    password: Secret | None = Field(None, description="A reference, such as `env:WAREHOUSE_PASSWORD`.")
    schema_: str | None = Field(None, alias="schema", min_length=1, description="Left out: the database's default.")
    pool_size: int = Field(5, ge=1, le=100, description="Connections kept open.")

    @field_validator("url")
    @classmethod
    def _usable(cls, value: str) -> str:
        try:
            url = _read_url(value)
            dialect = url.get_dialect()
            if dialect.is_async:
                raise ValueError(f"the driver {url.drivername} is asynchronous. Write one such as postgresql+psycopg")
            dialect.import_dbapi()
            arguments_of(url, 0)
        except NoSuchModuleError:
            raise ValueError(f"no driver for {url.drivername} is known. Install its SQLAlchemy dialect") from None
        except ArgumentError:
            raise ValueError(
                "it is no SQLAlchemy URL. Write it as postgresql+psycopg://user@host/name or sqlite:////path/file.db"
            ) from None
        except ImportError as error:
            raise ValueError(f"the driver of {url.drivername} is not installed ({error}). Install it") from None
        return value

    @property
    def location(self) -> URL:
        """The URL with username and password."""
        url = _read_url(self.url)
        if self.username is not None:
            url = url.set(username=self.username)
        return url if self.password is None else url.set(password=self.password.get_secret_value())


_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mariadb": "mariadb+pymysql",
    "mysql": "mysql+pymysql",
}
"""What a URL without a driver means."""


def _read_url(text: str) -> URL:
    url = make_url(text)
    return url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))


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
        """Leave out what the event does not write: of a delete only key, ``on_delete`` and children's parents stay."""
        if self.write is not Write.DELETE and not (self.write is Write.MIRROR and event is Event.DELETE):
            return self.model_copy(update={"on_delete": None}) if self.on_delete is not None else self
        children = [child.model_copy(update={"columns": [], "rows": []}) for child in self.children]
        return self.model_copy(update={"columns": subset(self.columns, self.key), "children": children})

    @property
    def takes_everything(self) -> bool:
        """Whether every question is taken under its own name."""
        columns = self.columns  # looked at twice for each delivery, rendered: without going through all of it
        value = columns.get(EVERYTHING) if isinstance(columns, dict) else _table(columns).get(EVERYTHING)
        return bool(peek(value) is True)

    def rest_of(self, row: Iterable[str]) -> list[str]:
        """Return the columns that do not belong to the key."""
        return [name for name in row if name not in self.key]

    @property
    def marks(self) -> dict[str, Any] | None:
        """What a delete sets instead of deleting, as far as it is literal before rendering; None: it deletes."""
        return _table(self.on_delete.set) if isinstance(self.on_delete, SetOnDelete) else None

    @property
    def named_columns(self) -> list[str]:
        """The columns that are named, without ``*``."""
        return [name for name in _table(self.columns) if name != EVERYTHING]


def _table(value: Any) -> dict[str, Any]:
    table = peek(value)
    return table if isinstance(table, dict) else {}
