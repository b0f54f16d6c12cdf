"""Logging: secrets masked wherever they stand, JSON one object a line, the notification key in every line."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from gateway.log import MASK, Mask, configure
from gateway.settings import LogFormat

SECRET = "s3cret-token"


@pytest.fixture
def restored() -> Iterator[None]:
    """Give the process its logging back: configuring is for the whole process."""
    root, quiet = logging.getLogger(), ("httpx", "httpcore", "aiohttp", "uvicorn.access", "alembic")
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in quiet}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


class Lines:
    """Takes down what is logged."""

    def __init__(self, format: LogFormat, level: str, *secrets: str) -> None:
        self._mask = Mask()
        self._mask.learn(secrets)
        configure(format, level, self._mask)
        self._stream = io.StringIO()
        [handler] = logging.getLogger().handlers
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(self._stream)
        self._handler = handler
        self.log = structlog.get_logger("gateway.test")

    @property
    def text(self) -> str:
        self._handler.flush()
        return self._stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def json_lines(restored: None) -> Lines:
    return Lines(LogFormat.JSON, "INFO", SECRET)


def test_a_line_is_one_json_object_with_time_and_level(json_lines: Lines) -> None:
    json_lines.log.warning("it\nfailed", notification="n1", count=2)
    [line] = json_lines.lines
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "it\nfailed", "level": "warning", "notification": "n1", "count": 2}


def test_what_is_bound_stands_in_every_line_also_of_other_libraries(json_lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(notification="n1"):
        json_lines.log.info("ours")
        logging.getLogger("sqlalchemy.pool").warning("theirs: %s", 7)
    json_lines.log.info("afterwards")
    assert [(line["event"], line.get("notification")) for line in json_lines.lines] == [
        ("ours", "n1"),
        ("theirs: 7", "n1"),
        ("afterwards", None),
    ]


@pytest.mark.parametrize("format", LogFormat)
def test_secrets_are_masked_wherever_they_stand(restored: None, format: LogFormat) -> None:
    lines = Lines(format, "INFO", SECRET)
    lines.log.warning(f"said {SECRET}", url=f"http://x/{SECRET}", inner={SECRET: [f"a{SECRET}b", (SECRET,)]})
    logging.getLogger("other").warning("said %s", SECRET)
    try:
        raise ValueError(f"bad {SECRET}")
    except ValueError as error:
        lines.log.error("failed", exc_info=error)
    assert SECRET not in lines.text
    assert lines.text.count(MASK) >= 6
    assert "ValueError" in lines.text


def test_secrets_are_masked_in_a_value_that_only_its_text_shows(json_lines: Lines) -> None:
    json_lines.log.warning("failed", error=ValueError(f"bad {SECRET}"))
    assert SECRET not in json_lines.text
    assert "bad ********" in json_lines.lines[0]["error"]


def test_the_level_decides(restored: None) -> None:
    lines = Lines(LogFormat.JSON, "warning")
    lines.log.info("not shown")
    logging.getLogger("other").info("not shown")
    lines.log.warning("shown")
    assert [line["event"] for line in lines.lines] == ["shown"]


@pytest.mark.parametrize("name", ["httpx", "httpcore.http11", "aiohttp.access", "alembic.runtime"])
def test_what_logs_urls_or_each_request_is_quiet_below_a_warning(json_lines: Lines, name: str) -> None:
    logging.getLogger(name).info("GET http://x/secret")
    logging.getLogger(name).warning("shown")
    assert [line["event"] for line in json_lines.lines] == ["shown"]


def test_configuring_again_does_not_double_the_lines(json_lines: Lines) -> None:
    again = Lines(LogFormat.JSON, "INFO")
    again.log.info("once")
    assert len(again.lines) == 1
    assert json_lines.text == ""


def test_a_longer_secret_is_masked_whole_before_a_shorter_one_in_it() -> None:
    mask = Mask()
    mask.learn(["open-sesame"])
    mask.learn(["open-sesame-2026"])
    assert mask.text("open-sesame-2026 open-sesame") == f"{MASK} {MASK}"


def test_a_very_short_secret_is_not_masked_since_that_would_tell_it() -> None:
    mask = Mask()
    mask.learn(["a", "", "abc"])
    assert mask.text("abc a") == "abc a"


def test_what_is_no_text_passes_the_mask() -> None:
    mask = Mask()
    mask.learn([SECRET])
    assert mask.data({"a": 1, "b": None, 3: [True, SECRET]}) == {"a": 1, "b": None, 3: [True, MASK]}


@pytest.mark.parametrize("format", list(LogFormat))
def test_hostile_texts_are_written_out_in_each_format(restored: None, format: LogFormat) -> None:
    hostile = "\x1b[2J\x9b1m\x7f\u202e\u2028\r\n2026-12-01 [info] all is well"
    lines = Lines(format, "INFO", SECRET)
    lines.log.warning("told " + hostile, key=hostile, several={hostile: [hostile]})
    logging.getLogger("library").warning("said %s", hostile)
    try:
        raise ValueError(hostile)
    except ValueError:
        lines.log.exception("failed")
    assert not set(lines.text) & set("\x9b\x7f\u202e\u2028\r")
    assert "\x1b" not in lines.text
    logged = lines.text.split("Traceback")[0]
    assert logged.count("\n") <= 3
    assert not any(line.startswith("2026-12-01 [info]") for line in logged.splitlines())


def test_a_json_line_says_what_was_logged(json_lines: Lines) -> None:
    json_lines.log.warning("told", key="\x1b\x7f\u202e")
    assert json_lines.lines[0]["key"] == "\x1b\x7f\u202e"
