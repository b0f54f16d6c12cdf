"""Logging: structlog on standard error, for a person or as JSON, with secrets masked and the notification key bound.

Lines are written by a thread of their own (`gateway.log.writer`): a log that nobody reads holds nothing up.

Bind context with ``structlog.contextvars.bound_contextvars(notification=key)``; every line inside carries it.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import MutableMapping
from types import TracebackType
from typing import Any

import structlog

from gateway.log.writer import QueuedHandler
from gateway.settings import LogFormat
from gateway.text.mask import MASK, SHORTEST_SECRET, Mask
from gateway.text.visible import visible_data, visible_json

__all__ = ["MASK", "SHORTEST_SECRET", "Mask", "configure"]


def configure(format: LogFormat, level: str, mask: Mask) -> None:
    """Set up logging for the process; the standard library's loggers go the same way."""

    def masked(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {key: mask.data(value) for key, value in event.items()}

    def shown(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {key: visible_data(value, lines=key == "exception") for key, value in event.items()}

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[structlog.typing.Processor]
    if format is LogFormat.JSON:
        renderer = [structlog.processors.format_exc_info, masked, _json]
    else:
        renderer = [
            structlog.processors.format_exc_info,
            masked,
            shown,
            structlog.dev.ConsoleRenderer(colors=sys.stderr is not None and sys.stderr.isatty()),
        ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        cache_logger_on_first_use=False,
    )
    handler = QueuedHandler(sys.stderr)
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


def _json(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    return visible_json(json.dumps(event, default=str))


def log_what_python_prints() -> None:
    """Have what Python itself prints on standard error go the same way: warnings, and errors that nobody caught."""
    logging.captureWarnings(True)
    log = logging.getLogger("python")

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        log.critical("ended by an error that nobody caught", exc_info=(kind, error, trace))

    def unraisable(what: Any) -> None:
        if what.exc_value is not None:
            about = what.err_msg or "an error that could not be raised"
            log.error("%s: %r", about, what.object, exc_info=what.exc_value)

    def in_thread(what: threading.ExceptHookArgs) -> None:
        if what.exc_value is not None and what.exc_type is not SystemExit:
            name = "?" if what.thread is None else what.thread.name
            log.error("a thread (%s) ended by an error", name, exc_info=what.exc_value)

    sys.excepthook, sys.unraisablehook, threading.excepthook = uncaught, unraisable, in_thread
