"""Settings and Options: what a plugin declares of a destination and of a delivery, and how templates stand in them.

An Options class is validated twice. When the routes file is loaded, template fields hold `Unrendered` values
(everything else is already final); for each delivery the core renders them and validates the same class again, so
that `deliver` sees plain values of the declared types.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, SecretStr, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from gateway.models import Event

T = TypeVar("T")

COMPILER = "compile template"
"""Key of the pydantic validation context under which the loader passes its `Compiler`; absent when rendered."""


class Resolved(str):
    """A text that came out of a reference (``env:NAME``, ``file:/path``) rather than out of the file itself."""

    __slots__ = ()


class Unrendered(ABC):
    """A template field before rendering; plugins look at it with `peek` and `is_template` only."""

    @abstractmethod
    def peek(self) -> Any:
        """Return the value as far as it is literal, with ``...`` for each template in it."""

    def subset(self, keys: Iterable[str]) -> Unrendered:
        """Return a table with these keys only; what is no table holds none and stays as it is."""
        return self


@dataclass(frozen=True, slots=True)
class TemplateMark:
    """What sets a field apart as a template."""

    html: bool = False
    """Values put into the text are escaped for HTML."""
    per_row: bool = False
    """Rendered once for each item of the sibling field ``rows``, with ``row`` in scope; once if there is none."""
    expression: bool = False
    """A bare Jinja2 expression, without braces, that keeps its type."""
    url: bool = False
    """Each value put into the text is percent-encoded as one segment of a path."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Wrap the schema of the rendered type: compile when a compiler is in the context, else validate."""

        def validate(value: Any, validate_rendered: Callable[[Any], Any], info: ValidationInfo) -> Any:
            compiler: Compiler | None = (info.context or {}).get(COMPILER)
            if compiler is None:
                return validate_rendered(value)
            return compiler(value, self, source, validate_rendered)

        return core_schema.with_info_wrap_validator_function(validate, handler(source))


Compiler: TypeAlias = Callable[[Any, TemplateMark, Any, Callable[[Any], Any]], Any]
"""Called as ``compiler(value, mark, rendered_type, validate_rendered)``; returns an `Unrendered`, or raises ValueError.

``rendered_type`` is the declared type (``str``, ``dict[str, Any]``; ``list[T]`` for `PerRow`). ``validate_rendered``
lets it find mistakes in literal values at once.
"""

Template: TypeAlias = Annotated[T, TemplateMark()]
"""A field whose texts are Jinja2 templates. ``Template[str]`` is text; ``Template[Any]`` keeps types, and nests."""

HtmlTemplate: TypeAlias = Annotated[str, TemplateMark(html=True)]
"""A `Template` for HTML: what is put in is escaped."""

UrlTemplate: TypeAlias = Annotated[str, TemplateMark(url=True)]
"""A `Template` for the path of a URL: each ``{{ }}`` is percent-encoded as one segment."""

Expression: TypeAlias = Annotated[T, TemplateMark(expression=True)]
"""A field that is one bare expression, such as ``record.tables.findings``."""

PerRow: TypeAlias = Annotated[list[T], TemplateMark(per_row=True)]
"""A template rendered for each item of the sibling ``rows`` field (an `Expression`); arrives as a list."""


class _SecretMark:
    """Refuses a secret that stands in the file in the clear."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def validate(value: Any, validate_secret: Callable[[Any], Any]) -> Any:
            if isinstance(value, str) and not isinstance(value, Resolved):
                raise PydanticCustomError("secret_in_clear", "a secret must not stand in the file in the clear")
            return validate_secret(value)

        return core_schema.no_info_wrap_validator_function(validate, handler(source))


Secret: TypeAlias = Annotated[SecretStr, _SecretMark()]
"""A Settings field that takes a reference only; read it with ``.get_secret_value()``."""


class Settings(BaseModel):
    """What connects to a destination: subclass it as ``Destination.Settings``. References work in every field."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Options(BaseModel):
    """What a delivery sends: subclass it as ``Destination.Options``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def for_event(self, event: Event) -> Self:
        """Return the (unrendered) options with only what this event needs; the default needs everything.

        A plugin that sends less for a delete returns ``self.model_copy(update={...})``, so that templates which make no
        sense without a record are not rendered.
        """
        return self


def peek(value: Any) -> Any:
    """Return a value of unrendered options as far as it is literal, with ``...`` in place of each template."""
    if isinstance(value, Unrendered):
        return value.peek()
    if isinstance(value, Mapping):
        return {key: peek(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [peek(item) for item in value]
    return value


def subset(table: Any, keys: Iterable[str]) -> Any:
    """Return a table of unrendered options with these keys only, so that the others are not rendered."""
    wanted = set(keys)
    if isinstance(table, Unrendered):
        return table.subset(wanted)
    return {key: item for key, item in table.items() if key in wanted}


def is_template(value: Any) -> bool:
    """Tell whether anything in a value of unrendered options still has to be rendered."""
    return _has_ellipsis(peek(value))


def _has_ellipsis(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_has_ellipsis(item) for item in value.values())
    if isinstance(value, list):
        return any(_has_ellipsis(item) for item in value)
    return value is ...
