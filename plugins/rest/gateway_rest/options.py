"""What connects to a REST service, and what a delivery sends."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import httpx
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from gateway.api import (
    Mask,
    Options,
    Secret,
    Settings,
    Template,
    UrlTemplate,
    fault_of_attachment_path,
    fault_of_proxy,
)
from gateway_rest.auth import Auth, Read, Text, clear
from gateway_rest.headers import faults_of, merged

_Text = Annotated[Secret | str, Field(union_mode="left_to_right")]


def _is_address(text: str) -> bool:
    try:
        parts, url = urlsplit(text), httpx.URL(text)
        return parts.port != 0 and url.scheme in ("http", "https") and bool(url.host) and not re.search(r"\s", text)
    except (ValueError, httpx.InvalidURL):
        return False


class RestSettings(Settings):
    """``[destinations.NAME]`` with ``plugin = "rest"``."""

    url: _Text = Field(
        description="Where the service is: scheme, host and the beginning of the path. Never a template."
    )
    auth: Auth | None = Field(None, description='`{ type = "basic" / "bearer" / "header", … }`, secrets by reference.')
    headers: dict[str, _Text] = Field(default_factory=dict, description="Sent with every request.")
    ca: str | None = Field(
        None,
        description="Authority to trust instead of the system's: the path of a PEM file, or a reference to its text.",
    )
    proxy: _Text | None = Field(
        None,
        description='Address of an HTTP proxy to go through, a reference where it holds user and password; `"env"`: '
        "what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say.",
    )
    cert: Any = Field(None, description="Not available in this version.")
    signing_secret: Any = Field(None, description="Not available in this version.")

    @field_validator("url")
    @classmethod
    def _whole_address(cls, value: Text) -> Text:
        text = clear(value)
        if "{{" in text or "{%" in text:
            raise ValueError("the address of a service is never a template. Put templates into `path` of the delivery")
        if not _is_address(text):
            raise ValueError("this is no address of a service. Write it as https://host/path")
        if "@" in urlsplit(text).netloc:
            raise ValueError("a login must not stand in the address. Use `auth`")
        if "?" in text or "#" in text:
            raise ValueError("the address has a query or a fragment. Put it into `query` of the delivery")
        return value

    @field_validator("proxy")
    @classmethod
    def _usable_proxy(cls, value: Text | None) -> Text | None:
        if value is not None and (fault := fault_of_proxy(clear(value))):
            raise ValueError(f"{fault}. Write one such as http://proxy.example:3128, or env")
        return value

    @field_validator("headers")
    @classmethod
    def _sendable(cls, value: dict[str, Text]) -> dict[str, Text]:
        for fault in faults_of({name: clear(item) for name, item in value.items()}):
            raise ValueError(fault)
        return value

    @field_validator("auth", mode="before")
    @classmethod
    def _no_oauth2(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and value.get("type") == "oauth2":
            # Not a ValueError: those are not told as long as a secret beside them has not been looked up.
            text = '`oauth2` is not available in this version. Use "basic", "bearer" or "header"'
            raise PydanticCustomError("not_available", text)
        return value

    @field_validator("cert", "signing_secret")
    @classmethod
    def _not_yet(cls, value: Any) -> Any:
        if value is not None:
            raise ValueError("this is not available in this version. Take it out")
        return value

    def sent(self, headers: Mapping[str, str], *, read: Read) -> dict[str, str]:
        """Return the headers of a request: these over the destination's own, and the login over all."""
        own = {name: read(value) for name, value in self.headers.items()}
        return merged(own, headers, self.auth.header(read) if self.auth else {})

    def hide(self, text: str) -> str:
        """Put asterisks in the place of secrets that the service repeats, in whatever form."""
        return self._mask.text(text)

    @cached_property
    def _mask(self) -> Mask:
        given = [self.url, self.proxy, *self.headers.values(), *(self.auth.secrets if self.auth else ())]
        return Mask(value.get_secret_value() for value in given if isinstance(value, SecretStr))


_Status = Annotated[int, Field(ge=100, le=599)]


class RestOptions(Options):
    """A delivery to a ``rest`` destination."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = Field(
        "POST", description="GET, POST, PUT, PATCH or DELETE."
    )
    path: UrlTemplate = Field("", description="Added to `url`; each `{{ }}` is percent-encoded as one segment.")
    query: Template[dict[str, Any]] = Field(
        default_factory=dict, description="Query parameters; null leaves one out, a list repeats it."
    )
    headers: Template[dict[str, str]] = Field(default_factory=dict, description="Headers of this request.")
    json_: Template[Any] = Field(None, alias="json", description="The body as JSON; templates nest and keep types.")
    form: Template[dict[str, Any]] | None = Field(None, description="The body as an HTML form's.")
    body: Template[str] | None = Field(None, description="The body as a text.")
    attach: list[str] = Field(
        default_factory=list,
        description="Photos and files to send along, as multipart/form-data: `photo`, `findings[].photo` for those of "
        'a table, `*` for all. Needs `attachments = true` or `"required"`.',
    )
    attach_as: str | None = Field(
        None, min_length=1, description="Name of the parts with attachments; left out: where each stands in the record."
    )
    body_as: str = Field(
        "record", min_length=1, description="Name of the part with the body, where there are attachments."
    )
    success: list[_Status] = Field(
        default_factory=list, description="Statuses that count as done; left out: 200 to 299."
    )
    permanent: list[_Status] = Field(default_factory=list, description="Statuses after which it is never tried again.")
    retryable: list[_Status] = Field(default_factory=list, description="Statuses after which it is tried again later.")

    @property
    def whole(self) -> bool:
        """Whether the body is the whole object, for want of one of its own."""
        return self.method not in ("GET", "DELETE") and not {"json_", "form", "body"} & self.model_fields_set

    @field_validator("attach")
    @classmethod
    def _paths(cls, value: list[str]) -> list[str]:
        for fault in filter(None, map(fault_of_attachment_path, value)):
            raise ValueError(fault)
        return value

    @model_validator(mode="after")
    def _has_body_to_attach_to(self) -> RestOptions:
        if self.attach and self.method == "GET":
            raise ValueError("`attach` is given, but a GET has no body. Use POST, PUT or PATCH")
        return self

    @model_validator(mode="after")
    def _one_body(self) -> RestOptions:
        given = [name for name in ("json_", "form", "body") if name in self.model_fields_set]
        if len(given) > 1:
            names = " and ".join(f"`{name.rstrip('_')}`" for name in given)
            raise ValueError(f"{names} are given, but a request has one body. Keep one of them")
        doubled = {*self.success} & {*self.permanent} | {*self.success, *self.permanent} & {*self.retryable}
        if doubled:
            raise ValueError(f"status {min(doubled)} stands in two of `success`, `permanent`, `retryable`. Keep one")
        return self
