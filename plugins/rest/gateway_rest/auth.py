"""How a request says who sends it, and how that stays out of what people read."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from gateway.api import Secret
from gateway_rest.headers import fault_of, faults_of

Text: TypeAlias = SecretStr | str
"""A setting: secret if it came by a reference."""
Read: TypeAlias = Callable[[Text], str]
"""How settings are read: `clear` for the service, `str` for people, which gives asterisks for what is secret."""


def clear(value: Text) -> str:
    """Return the text itself."""
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _sendable(value: SecretStr) -> SecretStr:
    if fault := fault_of(value.get_secret_value()):
        raise ValueError(f"it is sent in a header and holds {fault.partition('. ')[0]}. Write the secret anew")
    return value


def _header_name(value: str) -> str:
    for fault in faults_of({value: ""}):
        raise ValueError(fault)
    return value


def _username(value: str) -> str:
    if not value or ":" in value or not value.isprintable():
        raise ValueError("a username is not empty and holds neither a colon nor control characters. Mend it")
    return value


_HeaderSecret = Annotated[Secret, AfterValidator(_sendable)]


class _Auth(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def secrets(self) -> list[SecretStr]:
        """What must not be shown."""
        return [value for value in self.__dict__.values() if isinstance(value, SecretStr)]


class BasicAuth(_Auth):
    """Name and password (RFC 7617)."""

    type: Literal["basic"]
    username: Annotated[str, AfterValidator(_username)]
    password: Secret

    @property
    def _encoded(self) -> SecretStr:
        pair = f"{self.username}:{self.password.get_secret_value()}"
        return SecretStr(base64.b64encode(pair.encode()).decode())

    @property
    def secrets(self) -> list[SecretStr]:
        """What must not be shown: the password, also as it is sent."""
        return [self._encoded, self.password]

    def header(self, read: Read) -> dict[str, str]:
        """Return the header that this is."""
        return {"Authorization": f"Basic {read(self._encoded)}"}


class BearerAuth(_Auth):
    """A token (RFC 6750)."""

    type: Literal["bearer"]
    token: _HeaderSecret

    def header(self, read: Read) -> dict[str, str]:
        """Return the header that this is."""
        return {"Authorization": f"Bearer {read(self.token)}"}


class HeaderAuth(_Auth):
    """A secret in a header of the service's own."""

    type: Literal["header"]
    name: Annotated[str, AfterValidator(_header_name)]
    value: _HeaderSecret

    def header(self, read: Read) -> dict[str, str]:
        """Return the header that this is."""
        return {self.name: read(self.value)}


Auth: TypeAlias = Annotated[BasicAuth | BearerAuth | HeaderAuth, Field(discriminator="type")]
