"""What a failure below an fsspec URL means for a delivery."""

from __future__ import annotations

import socket

from gateway.api import DeliveryError, Misconfigured, Unavailable, Uncertain

_LOST = (ConnectionError, TimeoutError, EOFError, socket.gaierror)
_HOPELESS = (PermissionError, FileNotFoundError, TypeError, ValueError, ImportError)


def not_opened(url: str, error: Exception) -> DeliveryError:
    """Tell what it means that a URL could not be opened or looked into."""
    text = f"cannot open {url}: {_described(error)}"
    if isinstance(error, _HOPELESS) or is_login(error):
        return Misconfigured(f"{text}. Look at root and credentials")
    return Unavailable(text, whole=True)


def not_written(path: str, error: Exception, *, began: bool) -> DeliveryError:
    """Tell what it means that a file could not be written; ``began``: something may show at the other side."""
    text = f"{path}: {_described(error)}"
    if isinstance(error, (PermissionError, FileNotFoundError)) or is_login(error):
        return Misconfigured(f"{text}. Look whether the root is there and the credentials may write to it")
    if began:
        return Uncertain(text)
    return Unavailable(text, whole=isinstance(error, _LOST))


def may_be_the_connection(error: Exception) -> bool:
    """Tell whether the connection may be to blame, so that it had better be opened anew."""
    return not isinstance(error, (PermissionError, FileNotFoundError, FileExistsError))


def is_login(error: Exception) -> bool:
    """Tell by its type whether an error is about the login; each protocol's package has types of its own."""
    names = {type(one).__name__.lower() for one in _chain(error)}
    return any("auth" in name or "credential" in name for name in names)


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__
    return found


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")
