"""Process settings: what differs between machines, from ``GATEWAY_*`` variables or options of the same names."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class LogFormat(StrEnum):
    """How log lines look."""

    CONSOLE = "console"
    """For a person at a terminal."""
    JSON = "json"
    """One JSON object a line, for a log collector."""


class Role(StrEnum):
    """What a process does of the work that several share."""

    BOTH = "both"
    """Receives notifications and delivers them."""
    RECEIVE = "receive"
    """Keeps notifications and answers; other processes deliver."""
    WORK = "work"
    """Delivers, fetches and reports; of the web it serves only its health."""


class LogLevel(StrEnum):
    """What is logged."""

    DEBUG = "DEBUG"
    """Everything, each attempt too."""
    INFO = "INFO"
    """What happens now and then."""
    WARNING = "WARNING"
    """What somebody should know of."""
    ERROR = "ERROR"
    """What somebody must see to."""


class ProcessSettings(BaseSettings):
    """The settings of one process. An option on the command line wins over its variable; an empty one is not set."""

    model_config = SettingsConfigDict(
        env_prefix="GATEWAY_", env_ignore_empty=True, extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    routes: Path = Path("routes.toml")
    """The routes file."""
    host: str = "127.0.0.1"
    """Address to listen on for doForms."""
    port: int = Field(default=8080, ge=0, le=65535)
    """Port to listen on for doForms."""
    log_format: LogFormat = LogFormat.CONSOLE
    """How log lines look: ``console`` for a person at a terminal, ``json`` for a log collector."""
    log_level: LogLevel = LogLevel.INFO
    """``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``."""
    role: Role = Role.BOTH
    """``receive``, ``work`` or ``both``: what this process does, where several share a store."""
    insecure: bool = False
    """Start although no secret header is configured."""

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_capitals(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) and value.upper() in LogLevel.__members__ else value
