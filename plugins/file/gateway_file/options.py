"""What leads to a folder, and what a delivery writes there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from fsspec.utils import get_protocol
from pydantic import Field, SecretStr, TypeAdapter, ValidationError, field_validator

from gateway.api import Expression, Options, PerRow, Secret, Settings, Template, UrlTemplate

_SECRET_NAME = re.compile(r"pass(word|wd|phrase)|secret|token|account_key|connection_string|sas|^key$", re.IGNORECASE)
_NO_SECRETS = frozenset({"anon", "cloud", "google_default"})
"""Words that fsspec's file systems take in place of a token."""
_REFERENCE: TypeAdapter[SecretStr] = TypeAdapter(Secret)


class FileFormat(StrEnum):
    """What a file looks like."""

    JSON = "json"
    """One JSON document a file."""
    JSONL = "jsonl"
    """One JSON object a line, added to the file."""
    CSV = "csv"
    """Comma-separated rows below a header, added to the file."""
    TEXT = "text"
    """The text as it is."""

    @property
    def appends(self) -> bool:
        """Whether deliveries add to one file instead of writing files of their own."""
        return self in (FileFormat.JSONL, FileFormat.CSV)


class Exists(StrEnum):
    """What to do where the file is there already."""

    REPLACE = "replace"
    """Put the new one in its place."""
    SKIP = "skip"
    """Leave it as it is."""
    NUMBER = "number"
    """Write beside it under the next free name: -2, -3, …"""


class Formulas(StrEnum):
    """What becomes of a text in a csv file that a spreadsheet could take for a formula."""

    ESCAPE = "escape"
    """It gets an apostrophe in front."""
    KEEP = "keep"
    """It stays as it is: for files that no spreadsheet opens."""


class Encoding(StrEnum):
    """How text becomes bytes; each value is Python's name for it."""

    UTF8 = "utf-8"
    """As most programs expect it."""
    UTF8_SIG = "utf-8-sig"
    """With a mark at the beginning of the file, by which Excel tells UTF-8."""


class FileSettings(Settings):
    """``[destinations.NAME]`` with ``plugin = "file"``."""

    root: str = Field(
        min_length=1,
        description="The folder to write below, which must exist; or an fsspec URL such as `s3://bucket/in`.",
    )
    credentials: dict[str, Any] = Field(
        default_factory=dict,
        description="What fsspec needs to open the URL, such as `key` and `secret` of s3; secrets by reference.",
    )

    @property
    def local(self) -> bool:
        """Whether the root is a folder of this machine."""
        return get_protocol(self.root) in ("file", "local")

    @field_validator("root")
    @classmethod
    def _one_place(cls, value: str) -> str:
        if "::" in value:
            raise ValueError("chained URLs (with ::) cannot be written to. Give the URL of the folder itself")
        return value

    @field_validator("credentials", mode="before")
    @classmethod
    def _references(cls, value: Any) -> Any:
        return _guarded(value, "credentials") if isinstance(value, Mapping) else value


def _guarded(values: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Turn every reference into a secret, and refuse literals where a secret belongs."""
    guarded: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            guarded[name] = _guarded(value, f"{place}.{name}")
        elif isinstance(value, str):
            guarded[name] = _reference_or_harmless(name, value, place)
        else:
            guarded[name] = value
    return guarded


def _reference_or_harmless(name: str, value: str, place: str) -> Any:
    try:
        return _REFERENCE.validate_python(value)
    except ValidationError:  # it stands in the file in the clear
        if _SECRET_NAME.search(name) and value not in _NO_SECRETS:
            raise ValueError(
                f"`{place}.{name}` is a secret and stands in the file in the clear. Put it into an environment "
                f'variable and write {name} = "env:NAME", or into a file and write "file:/run/secrets/NAME"'
            ) from None
        return value


def revealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return credentials as fsspec wants them."""

    def reveal(value: Any) -> Any:
        if isinstance(value, Mapping):
            return revealed(value)
        return value.get_secret_value() if isinstance(value, SecretStr) else value

    return {name: reveal(value) for name, value in values.items()}


class FileOptions(Options):
    """A delivery to a ``file`` destination."""

    # Percent-encoding what is put in tells a slash of a value from one of the template; names.py takes it back.
    filename: UrlTemplate = Field(
        description="Path below the root. Slashes in the template make folders; those in values become underscores."
    )
    format: FileFormat = Field(FileFormat.JSON, description="`json`, `jsonl`, `csv` or `text`.")
    text: Template[str] | None = Field(None, description='What to write; for format = "text" only.')
    columns: PerRow[dict[str, Any]] | None = Field(
        None,
        description="Name and value of each column; json and jsonl write the notification and the record if left out.",
    )
    rows: Expression[list[Any]] | None = Field(
        None, description="An expression for a list; `columns` are then rendered for each item as `row`."
    )
    formulas: Formulas = Field(
        Formulas.ESCAPE,
        description="`escape`: an apostrophe before texts of csv that a spreadsheet may take for a formula; or `keep`.",
    )
    encoding: Encoding = Field(
        Encoding.UTF8, description="`utf-8` or `utf-8-sig`, for csv and text: with it Excel shows umlauts right."
    )
    exists: Exists = Field(
        Exists.REPLACE, description="`replace`, `skip` or `number`, for a file that is there; json and text only."
    )
