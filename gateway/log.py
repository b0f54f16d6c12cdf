"""Logging: structlog on standard error, for a person or as JSON, with secrets masked and the notification key bound.

Bind context with ``structlog.contextvars.bound_contextvars(notification=key)``; every line inside carries it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any

import structlog

from gateway.settings import LogFormat

MASK = "********"
SHORTEST_SECRET = 8
"""A shorter text is not masked: it would blot out half of each line and tell the secret by it."""
_TOO_SHORT = 10 ** (SHORTEST_SECRET - 1)
"""A number below this cannot hold one."""


class Mask:
    """Replaces known secrets in texts by asterisks."""

    def __init__(self) -> None:
        self._secrets: tuple[str, ...] = ()

    def learn(self, secrets: Iterable[str]) -> None:
        """Add secrets; longer ones are replaced first, so that none shows through as a rest of another."""
        known = {*self._secrets, *(secret for secret in secrets if len(secret) >= SHORTEST_SECRET)}
        self._secrets = tuple(sorted(known, key=len, reverse=True))

    def text(self, text: str) -> str:
        """Return the text with every known secret masked."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, MASK)
        return text

    def data(self, value: Any) -> Any:
        """Return data (dicts, lists, texts) with every known secret masked, also where only its text shows one."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self._key(key): self.data(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.data(item) for item in value]
        if value is None or (isinstance(value, int) and -_TOO_SHORT < value < _TOO_SHORT):
            return value
        text = str(value)
        masked = self.text(text)
        return value if masked == text else masked

    def _key(self, key: Any) -> Any:
        return self.data(key if isinstance(key, str | int | float | None) else str(key))


def configure(format: LogFormat, level: str, mask: Mask) -> None:
    """Set up logging for the process; the standard library's loggers go the same way."""

    def masked(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {key: mask.data(value) for key, value in event.items()}

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[structlog.typing.Processor]
    if format is LogFormat.JSON:
        renderer = [structlog.processors.format_exc_info, masked, structlog.processors.JSONRenderer(default=str)]
    else:
        renderer = [
            structlog.processors.format_exc_info,
            masked,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for quiet in ("httpx", "httpcore", "aiohttp", "uvicorn.access", "alembic"):
        logging.getLogger(quiet).setLevel(logging.WARNING)  # URLs can be secret
