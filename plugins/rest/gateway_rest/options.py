"""What connects to a REST service, and what a delivery sends."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from gateway.api import Options, Secret, Settings, Template, UrlTemplate

_FORBIDDEN = frozenset({"host", "content-length", "transfer-encoding", "connection", "idempotency-key"})


class _Auth(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BasicAuth(_Auth):
    """Name and password (RFC 7617)."""

    type: Literal["basic"]
    username: str = Field(min_length=1)
    password: Secret


class BearerAuth(_Auth):
    """A token (RFC 6750)."""

    type: Literal["bearer"]
    token: Secret


class HeaderAuth(_Auth):
    """A secret in a header of the service's own."""

    type: Literal["header"]
    name: str = Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
    value: Secret


Auth = Annotated[BasicAuth | BearerAuth | HeaderAuth, Field(discriminator="type")]


def _header_names(headers: dict[str, Any]) -> dict[str, Any]:
    for name in headers:
        if name.lower() in _FORBIDDEN:
            raise ValueError(f"the header {name} is set by the gateway. Remove it")
    return headers


class RestSettings(Settings):
    """``[destinations.NAME]`` with ``plugin = "rest"``."""

    url: str = Field(description="Where the service is: scheme, host and the beginning of the path. Never a template.")
    auth: Auth | None = Field(None, description='`{ type = "basic" / "bearer" / "header", … }`, secrets by reference.')
    headers: Annotated[dict[str, str], AfterValidator(_header_names)] = Field(
        default_factory=dict, description="Sent with every request."
    )
    ca: str | None = Field(
        None, description="Path of a PEM file with the authorities to trust instead of the system's."
    )

    @field_validator("url")
    @classmethod
    def _whole_address(cls, value: str) -> str:
        scheme, found, rest = value.partition("://")
        if not found or scheme.lower() not in ("http", "https") or not rest or rest[0] in "/?#":
            raise ValueError(f'"{value}" is no address of a service. Write it as https://host/path')
        if "{{" in value or "{%" in value:
            raise ValueError("the address of a service is never a template. Put templates into `path` of the delivery")
        if "@" in rest.split("/", 1)[0]:
            raise ValueError("a login must not stand in the address. Use `auth`")
        if "?" in rest or "#" in rest:
            raise ValueError("the address has a query or a fragment. Put it into `query` of the delivery")
        return value


_Status = Annotated[int, Field(ge=100, le=599)]


class RestOptions(Options):
    """A delivery to a ``rest`` destination."""

    method: str = Field(
        "POST", pattern=r"^(GET|POST|PUT|PATCH|DELETE)$", description="GET, POST, PUT, PATCH or DELETE."
    )
    path: UrlTemplate = Field("", description="Added to `url`; each `{{ }}` is percent-encoded as one segment.")
    query: Template[dict[str, Any]] = Field(
        default_factory=dict, description="Query parameters; null leaves one out, a list repeats it."
    )
    headers: Template[dict[str, str]] = Field(default_factory=dict, description="Headers of this request.")
    json_: Template[Any] = Field(None, alias="json", description="The body as JSON; templates nest and keep types.")
    form: Template[dict[str, Any]] | None = Field(None, description="The body as an HTML form's.")
    body: Template[str] | None = Field(None, description="The body as a text.")
    success: list[_Status] = Field(
        default_factory=list, description="Statuses that count as done; left out: 200 to 299."
    )
    permanent: list[_Status] = Field(default_factory=list, description="Statuses after which it is never tried again.")
    retryable: list[_Status] = Field(default_factory=list, description="Statuses after which it is tried again later.")

    @field_validator("headers")
    @classmethod
    def _free_headers(cls, value: Any) -> Any:
        return _header_names(value) if isinstance(value, dict) else value

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
