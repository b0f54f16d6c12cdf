"""What connects to a mail server, and what a delivery sends."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, ByteSize, Field, field_validator, model_validator

from gateway.api import HtmlTemplate, Options, Secret, Settings, Template
from gateway_email.addresses import Mailbox, compile_pattern, read_mailboxes


class Security(StrEnum):
    """How the connection to the mail server is protected."""

    STARTTLS = "starttls"
    """Starts in the clear and must change to TLS before anything else is said."""
    TLS = "tls"
    """TLS from the first byte."""
    NONE = "none"
    """In the clear: for a server on this machine or a trusted network only."""


_PORTS = {Security.STARTTLS: 587, Security.TLS: 465, Security.NONE: 25}


class EmailSettings(Settings):
    """``[destinations.NAME]`` with ``plugin = "email"``."""

    host: str = Field(pattern=r"^[^\s/@]+$", description="The mail server.")
    port: int | None = Field(None, ge=1, le=65535, description="Left out: 587 for starttls, 465 for tls, 25 for none.")
    security: Security = Field(Security.STARTTLS, description="`starttls`, `tls` or `none`.")
    username: str | None = Field(None, min_length=1, description="Log in under this name; left out: no login.")
    password: Secret | None = Field(None, description="A reference, such as `env:SMTP_PASSWORD`.")
    sender: str = Field(alias="from", description="The sender: an address, or `Forms <forms@example.com>`.")
    ca: str | None = Field(
        None,
        description="Authority to trust instead of the system's: the path of a PEM file, or a reference to its text.",
    )
    allowed_recipients: list[str] = Field(
        default_factory=list,
        description="Patterns such as `*@example.com`; each recipient must fit one. Needed where one is a template.",
    )
    max_recipients: int = Field(
        50, ge=1, le=1000, description="So many get one mail at most, with cc and bcc; a mail to more is rejected."
    )
    attach_limit: ByteSize = Field(
        ByteSize(18_000_000),
        description="What a mail may carry at most, such as `18MB`; it becomes a third larger on its way.",
    )

    @property
    def effective_port(self) -> int:
        """The port, or the usual one for the security."""
        return self.port or _PORTS[self.security]

    @property
    def sender_mailbox(self) -> Mailbox:
        """The sender, read."""
        return read_mailboxes(self.sender)[0]

    @field_validator("sender")
    @classmethod
    def _one_sender(cls, value: str) -> str:
        if len(read_mailboxes(value)) != 1:
            raise ValueError("must be exactly one address")
        return value

    @field_validator("allowed_recipients")
    @classmethod
    def _patterns(cls, value: list[str]) -> list[str]:
        for pattern in value:
            compile_pattern(pattern)
        return value

    @model_validator(mode="after")
    def _login_is_whole(self) -> EmailSettings:
        if (self.username is None) != (self.password is None):
            missing = "password" if self.password is None else "username"
            raise ValueError(f"`{missing}` is missing: a login needs `username` and `password`")
        return self


def _listed(value: Any) -> Any:
    """Take one text for a list of one, and nothing for an empty list: what a template gives for the whole list."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else value


Addresses = Template[Annotated[list[str], BeforeValidator(_listed)]]
"""Texts with one or more addresses each."""


class EmailOptions(Options):
    """A delivery to an ``email`` destination."""

    recipients: Addresses = Field(
        default_factory=list, description="Addresses; an item may hold several with commas between them."
    )
    cc: Addresses = Field(default_factory=list, description="Get a copy; everybody sees them.")
    bcc: Addresses = Field(default_factory=list, description="Get a copy; nobody sees them.")
    reply_to: Addresses = Field(default_factory=list, description="Where answers go.")
    subject: Template[str] = Field("", description="Line breaks become spaces; cut at 500 characters.")
    text: Template[str] | None = Field(None, description="The mail as plain text.")
    html: HtmlTemplate | None = Field(
        None, description="The mail as HTML; values put in are escaped. With `text` too, the reader's program chooses."
    )
    attach: list[str] = Field(
        default_factory=list,
        description="Photos and files to attach: `photo`, `findings[].photo` for those of a table, `*` for all. "
        'Needs `attachments = true` or `"required"`.',
    )
