"""What drivers are told when they connect: what the URL says, read as what they want, and else what suits a gateway."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import URL

_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off"})
_NEVER = frozenset({"", "none", "null", "never"})


def arguments_of(url: URL, wait: int) -> tuple[URL, dict[str, Any]]:
    """Return the URL without what is no plain text for its driver, and the arguments to connect with.

    ``wait`` is the seconds that connecting may take, unless the URL says otherwise.

    Raises:
        ValueError: the URL says something that its driver cannot take.
    """
    driver = url.get_driver_name()
    readers, defaults = _READERS.get(driver, {}), _defaults(driver, wait)
    given = {}
    for name, text in url.query.items():
        if name == "autocommit":
            raise ValueError("`autocommit` cannot be set: without transactions rows would be lost. Take it out")
        if name in readers:
            given[name] = _read(name, text, readers[name])
    left = url.difference_update_query(given)
    return left, {name: value for name, value in defaults.items() if name not in left.query} | given


def _defaults(driver: str, wait: int) -> Mapping[str, Any]:
    if driver == "psycopg":
        return {
            "connect_timeout": wait,
            # A server that vanished without a word is noticed within a minute.
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            # Statements that the server keeps for a session are lost behind a pooler that lends sessions out.
            "prepare_threshold": None,
        }
    if driver == "pysqlite":
        return {"timeout": wait, "check_same_thread": False}
    if driver == "pymysql":
        return {"connect_timeout": wait, "read_timeout": 3 * wait, "write_timeout": 3 * wait}
    return {}


def _read(name: str, text: Any, reader: Callable[[str], Any]) -> Any:
    try:
        return reader(text.strip().lower())
    except (ValueError, AttributeError):
        what = "true or false" if reader is _truth else "a whole number"
        raise ValueError(f"`{name}={text}` in the URL must be {what}") from None


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError
    return int(text)


def _whole_or_never(text: str) -> int | None:
    return None if text in _NEVER else _whole(text)


def _truth(text: str) -> bool:
    if text not in _YES | _NO:
        raise ValueError
    return text in _YES


def _all(names: str, reader: Callable[[str], Any]) -> dict[str, Callable[[str], Any]]:
    return dict.fromkeys(names.split(), reader)


_READERS: dict[str, dict[str, Callable[[str], Any]]] = {
    "psycopg": _all("connect_timeout keepalives keepalives_idle keepalives_interval keepalives_count", _whole)
    | _all("tcp_user_timeout", _whole)
    | _all("prepare_threshold", _whole_or_never),
    "pymysql": _all("connect_timeout read_timeout write_timeout max_allowed_packet", _whole)
    | _all("ssl_disabled ssl_verify_cert ssl_verify_identity local_infile compress use_unicode", _truth),
}
"""Driver -> argument -> how it is read. What is not here is text, or read by SQLAlchemy."""
