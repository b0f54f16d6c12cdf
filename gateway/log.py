"""Logging: structlog on standard error, for a person or as JSON, with secrets masked and the notification key bound.

Bind context with ``structlog.contextvars.bound_contextvars(notification=key)``; every line inside carries it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from gateway.mask import MASK, Mask
from gateway.settings import LogFormat

__all__ = ["MASK", "Mask", "configure"]


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
