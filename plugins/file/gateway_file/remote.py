"""Whole files below an fsspec URL."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fsspec
from fsspec.core import url_to_fs
from fsspec.utils import get_protocol

from gateway.api import DeliveryError, Rejected
from gateway_file.names import numbered
from gateway_file.options import Exists
from gateway_file.remote_failures import may_be_the_connection, not_opened, not_written

_ATOMIC = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "r2", "memory"})
"""Object stores: here a file appears whole or not at all, and a folder is there once something is in it; elsewhere a
file is written aside and moved."""
_HIGHEST = 10_000
_CONNECTIONS = ("ftp", "client", "_session")
"""Where file systems of fsspec keep a connection that can be closed: it has no word for that of its own."""


def refuse_unknown(url: str) -> None:
    """Refuse a URL that fsspec cannot open here.

    Raises:
        ValueError: its protocol is unknown, or the package for it is not installed.
    """
    protocol = get_protocol(url)
    try:
        fsspec.get_filesystem_class(protocol)
    except (ValueError, ImportError) as error:
        raise ValueError(f"fsspec cannot open {protocol}:// here: {error}. Install what it names") from error


class Remote:
    """The folder behind an fsspec URL, over a connection of its own. Everything here blocks."""

    def __init__(self, url: str, credentials: Mapping[str, Any]) -> None:
        """Connect.

        Raises:
            Unavailable, Misconfigured: it cannot be opened.
        """
        self.url = url.rstrip("/")
        self.broken = False
        """Whether something failed that may have been the connection's fault: the next one opens it anew."""
        self._atomic = get_protocol(url) in _ATOMIC
        try:
            # fsspec gives out one instance for equal arguments, also one whose connection has ended.
            self._fs, self._root = url_to_fs(url, **credentials, skip_instance_cache=True)
        except Exception as error:  # each protocol's package has errors of its own
            raise not_opened(url, error) from error

    def close(self) -> None:
        """Close the connection, as far as the file system shows one; a dropped one ends with its last user."""
        for name in _CONNECTIONS:
            close = getattr(getattr(self._fs, name, None), "close", None)
            if callable(close):
                with contextlib.suppress(Exception):
                    close()

    def write_whole(self, relative: str, content: bytes | Path, exists: Exists) -> str | None:
        """Write a file with these bytes, or those of a local file.

        Returns its path below the root; None if there was one already that is to be left.

        Raises:
            Rejected, Unavailable, Misconfigured: nothing was written.
            Uncertain: something failed on the way.
        """
        sending = _Sending()
        try:
            self._fs.invalidate_cache()
            for candidate in _candidates(relative, exists):
                if self._written(candidate, content, replace=exists is Exists.REPLACE, sending=sending):
                    return candidate
                if exists is Exists.SKIP:
                    return None
        except Exception as error:
            self.broken = may_be_the_connection(error)
            raise self._failed(relative, error, began=sending.began) from error
        raise Rejected(f"{self.url}/{relative}: there are {_HIGHEST} files of that name; move some away")

    def _written(self, relative: str, content: bytes | Path, *, replace: bool, sending: _Sending) -> bool:
        path = f"{self._root.rstrip('/')}/{relative}"
        if not replace and self._fs.exists(path):
            return False
        if self._atomic:
            sending.began = True
            try:
                self._send(path, content, mode="overwrite" if replace else "create")
            except FileExistsError:
                sending.began = False
                return False
            return True
        self._write_aside(path, content, sending)
        return True

    def _write_aside(self, path: str, content: bytes | Path, sending: _Sending) -> None:
        folder = path.rpartition("/")[0]
        aside = f"{folder}/.{uuid.uuid4().hex}.part"
        self._fs.makedirs(folder, exist_ok=True)
        try:
            self._send(aside, content, mode="overwrite")
            sending.began = True  # whatever came before shows to nobody
            self._fs.mv(aside, path)
        except BaseException:
            with contextlib.suppress(Exception):
                self._fs.rm_file(aside)
            raise

    def _send(self, path: str, content: bytes | Path, *, mode: str) -> None:
        if isinstance(content, Path):
            self._fs.put_file(str(content), path, mode=mode)
        else:
            self._fs.pipe_file(path, content, mode=mode)

    def _failed(self, relative: str, error: Exception, *, began: bool) -> DeliveryError:
        return not_written(f"{self.url}/{relative}", error, began=began)

    def list_root(self) -> None:
        """Look into the root. In an object store it need not be there yet, but its bucket must.

        Raises:
            Misconfigured, Unavailable: it is not there or does not answer.
        """
        try:
            self._fs.invalidate_cache()
            try:
                self._fs.ls(self._root, detail=False)
            except FileNotFoundError:
                bucket = self._root.strip("/").partition("/")[0]
                if not self._atomic or bucket == self._root.strip("/"):
                    raise
                self._fs.ls(bucket, detail=False)
        except Exception as error:
            self.broken = may_be_the_connection(error)
            raise not_opened(self.url, error) from error


class _Sending:
    """Whether anything was sent that shows at the other side."""

    began = False


def _candidates(relative: str, exists: Exists) -> list[str]:
    if exists is not Exists.NUMBER:
        return [relative]
    return [relative, *(numbered(relative, number) for number in range(2, _HIGHEST + 1))]
