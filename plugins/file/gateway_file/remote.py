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

from gateway.api import DeliveryError, Misconfigured, Rejected, Unavailable, Uncertain
from gateway_file.names import numbered
from gateway_file.options import Exists

_ATOMIC = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "r2", "memory"})
"""Here a file appears whole or not at all; elsewhere it is written aside and moved."""
_HIGHEST = 10_000


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
    """The folder behind an fsspec URL. Everything here blocks."""

    def __init__(self, url: str, credentials: Mapping[str, Any]) -> None:
        """Connect.

        Raises:
            Unavailable, Misconfigured: it cannot be opened.
        """
        self.url = url.rstrip("/")
        self._atomic = get_protocol(url) in _ATOMIC
        try:
            self._fs, self._root = url_to_fs(url, **credentials)
        except Exception as error:  # each protocol's package has errors of its own
            raise _not_opened(url, error) from error

    def write_whole(self, relative: str, content: bytes | Path, exists: Exists) -> str | None:
        """Write a file with these bytes, or those of a local file.

        Returns its path below the root; None if there was one already that is to be left.

        Raises:
            Rejected, Misconfigured: nothing was written.
            Uncertain: something failed on the way.
        """
        try:
            self._fs.invalidate_cache()
            for candidate in _candidates(relative, exists):
                if self._written(candidate, content, replace=exists is Exists.REPLACE):
                    return candidate
                if exists is Exists.SKIP:
                    return None
        except Exception as error:
            raise self._failed(relative, error) from error
        raise Rejected(f"{self.url}/{relative}: there are {_HIGHEST} files of that name; move some away")

    def _written(self, relative: str, content: bytes | Path, *, replace: bool) -> bool:
        path = f"{self._root.rstrip('/')}/{relative}"
        if not replace and self._fs.exists(path):
            return False
        if self._atomic:
            try:
                self._send(path, content, mode="overwrite" if replace else "create")
            except FileExistsError:
                return False
            return True
        folder = path.rpartition("/")[0]
        aside = f"{folder}/.{uuid.uuid4().hex}.part"
        self._fs.makedirs(folder, exist_ok=True)
        try:
            self._send(aside, content, mode="overwrite")
            self._fs.mv(aside, path)
        except BaseException:
            with contextlib.suppress(Exception):
                self._fs.rm_file(aside)
            raise
        return True

    def _send(self, path: str, content: bytes | Path, *, mode: str) -> None:
        if isinstance(content, Path):
            self._fs.put_file(str(content), path, mode=mode)
        else:
            self._fs.pipe_file(path, content, mode=mode)

    def _failed(self, relative: str, error: Exception) -> DeliveryError:
        text = f"{self.url}/{relative}: {str(error) or type(error).__name__}"
        if isinstance(error, (PermissionError, FileNotFoundError)):
            return Misconfigured(f"{text}. Look whether the root is there and the credentials may write to it")
        return Uncertain(text)

    def list_root(self) -> None:
        """Look into the root.

        Raises:
            Misconfigured, Unavailable: it is not there or does not answer.
        """
        try:
            self._fs.invalidate_cache()
            self._fs.ls(self._root, detail=False)
        except Exception as error:
            raise _not_opened(self.url, error) from error


def _candidates(relative: str, exists: Exists) -> list[str]:
    if exists is not Exists.NUMBER:
        return [relative]
    return [relative, *(numbered(relative, number) for number in range(2, _HIGHEST + 1))]


def _not_opened(url: str, error: Exception) -> DeliveryError:
    text = f"cannot open {url}: {type(error).__name__}: {error}"
    name = type(error).__name__.lower()
    hopeless = isinstance(error, (PermissionError, FileNotFoundError, TypeError, ValueError, ImportError))
    if hopeless or "auth" in name or "credential" in name:
        return Misconfigured(f"{text}. Look at root and credentials")
    return Unavailable(text, whole=True)
