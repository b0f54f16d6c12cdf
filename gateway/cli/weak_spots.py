"""Warns of secrets that are too short, sent in the clear, or readable by others."""

from __future__ import annotations

import ipaddress
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, SecretStr
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from gateway.config.loaded import Routes, Webservice, notifications_below, notifications_of
from gateway.config.references import has_stand_in
from gateway.log import SHORTEST_SECRET

_IN_THE_CLEAR = {"http": "https", "ws": "wss", "ftp": "sftp"}
"""Schemes that show to everybody on the way what is sent, and what to write instead."""
_OTHERS, _GROUP = 0o004, 0o040


@dataclass(frozen=True, slots=True, kw_only=True)
class WeakSpot:
    """Something that works and should not stay so."""

    where: str
    found: str
    remedy: str


def weak_spots(loaded: Routes) -> Iterator[WeakSpot]:
    """Yield them all: what was not looked up is not judged."""
    for where, secret in _secrets(loaded):
        yield from _guessable(where, secret)
    yield from _sent_in_the_clear(loaded)
    yield from _readable(loaded)


def _secrets(loaded: Routes) -> Iterator[tuple[str, SecretStr]]:
    for name, values in loaded.headers:
        yield from ((f"webhook.headers.{name}", value) for value in values)
    for account in loaded.accounts.values():
        for name, values in account.headers:
            yield from ((f"accounts.{account.name}.headers.{name}", value) for value in values)
    for one in loaded.webservices.values():
        if one.password is not None:
            yield f"webservices.{one.name}.password", one.password
    for entry in loaded.destinations.values():
        yield from _inside(f"destinations.{entry.name}", entry.settings)


def _inside(where: str, value: Any) -> Iterator[tuple[str, SecretStr]]:
    """Yield the secrets in settings, however deep, with their places."""
    if isinstance(value, SecretStr):
        yield where, value
    elif isinstance(value, BaseModel):
        for name, info in type(value).model_fields.items():
            yield from _inside(f"{where}.{info.alias or name}", getattr(value, name))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _inside(f"{where}.{key}", item)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _inside(f"{where}[{number}]", item)


def _guessable(where: str, secret: SecretStr) -> Iterator[WeakSpot]:
    text = secret.get_secret_value()
    if has_stand_in(text) or not text:
        return
    if len(text) < SHORTEST_SECRET:
        found = (
            f"the secret has {len(text)} character{'' if len(text) == 1 else 's'}: it can be guessed, and one shorter "
            f"than {SHORTEST_SECRET} is not masked in the log"
        )
    elif len(set(text)) == 1:
        found = "the secret is one character over and over: it can be guessed"
    else:
        return
    yield WeakSpot(where=where, found=found, remedy="Choose a long one by chance, such as `openssl rand -hex 24` makes")


def _sent_in_the_clear(loaded: Routes) -> Iterator[WeakSpot]:
    for webservice in loaded.webservices.values():
        account = loaded.accounts.get(webservice.account)
        if webservice.password is None or account is None:
            continue
        where = f"webservices.{webservice.name}.api" if webservice.api else _place_of_api(loaded, webservice)
        yield from _clear(where, webservice.api or account.api, "the passwords of web services")
        where = f"webservices.{webservice.name}, accounts.{webservice.account} or doforms: notifications"
        if (url := notifications_of(webservice, account)) != notifications_below(webservice.api or account.api):
            yield from _clear(where, url, "the passwords of web services")
    for entry in loaded.destinations.values():
        place = f"destinations.{entry.name}"
        has_secrets = any(True for _ in _inside(place, entry.settings))
        for where, text in _texts(place, entry.settings):
            if has_secrets or _credentials_in(text):
                yield from _clear(where, text, "the credentials of this destination")


def _place_of_api(loaded: Routes, webservice: Webservice) -> str:
    return f"accounts.{webservice.account}.api or doforms.api"


def _texts(where: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield the texts in settings, however deep, with their places."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, SecretStr):
        yield where, value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name, info in type(value).model_fields.items():
            yield from _texts(f"{where}.{info.alias or name}", getattr(value, name))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(f"{where}.{key}", item)
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from _texts(f"{where}[{number}]", item)


def _clear(where: str, text: str, what: str) -> Iterator[WeakSpot]:
    parts = _split(text)
    if parts is None or parts.scheme not in _IN_THE_CLEAR or has_stand_in(text):
        return
    if parts.hostname and not _is_loopback(parts.hostname):
        found = f"{what} go in the clear to {parts.hostname}, by {parts.scheme}"
        remedy = f"Use {_IN_THE_CLEAR[parts.scheme]}, or see that nobody can listen on the way"
        yield WeakSpot(where=where, found=found, remedy=remedy)


def _credentials_in(text: str) -> bool:
    parts = _split(text)
    return parts is not None and bool(parts.username or parts.password)


def _split(text: str) -> SplitResult | None:
    try:
        return urlsplit(text) if "://" in text else None
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _readable(loaded: Routes) -> Iterator[WeakSpot]:
    for where, path in loaded.secret_files:
        if who := _may_read(path):
            yield WeakSpot(
                where=where,
                found=f"{who} may read the secret in {path}",
                remedy=f"`chmod 600 {path}`, and give it to the user that runs the gateway",
            )
    for path in _of_the_store(loaded):
        if who := _may_read(path):
            yield WeakSpot(
                where="gateway.spool" if path == loaded.spool else "gateway.store",
                found=f"{who} may read {path}, where all that was received is kept",
                remedy=f"`chmod {'700' if path.is_dir() else '600'} {path}`",
            )
    if _mode(loaded.file) & stat.S_IWOTH:
        found = "everybody may change the routes file, and so where records and passwords go"
        yield WeakSpot(where="the file", found=found, remedy=f"`chmod o-w {loaded.file}`")


def _of_the_store(loaded: Routes) -> Iterator[Path]:
    try:
        url = make_url(loaded.store)
    except ArgumentError:
        return
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        yield from (path for end in ("", "-wal") if (path := Path(f"{url.database}{end}")).exists())
    if loaded.spool.exists():
        yield loaded.spool


def _may_read(path: Path) -> str | None:
    """Tell who else than its owner may read a file, as far as the folders around it let them."""
    mode = _mode(path)
    around = [_mode(folder) for folder in path.resolve().parents]
    if mode & _OTHERS and all(each & stat.S_IXOTH for each in around):
        return "everybody on this machine"
    if mode & _GROUP and all(each & (stat.S_IXOTH | stat.S_IXGRP) for each in around):
        return "its group"
    return None


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0
