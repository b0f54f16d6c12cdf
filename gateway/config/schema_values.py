"""What single keys of the routes file may hold: types that say what is wrong and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, TypeAlias
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, SecretStr

from gateway.config.diagnostics import show
from gateway.config.durations import PositiveDuration, say_duration
from gateway.config.store_url import has_password
from gateway.destinations.options import Resolved, Secret
from gateway.mistakes import mistake
from gateway.models import Event
from gateway.text.proxy_address import fault_of_proxy
from gateway.text.visible import visible

ANSWER_LIMIT = 3.0
"""Seconds after which doForms takes a notification for unanswered (doforms.md)."""
BLOB_NAMES = frozenset({"key", "id", "record_key", "record_id"})
"""What `blob_path` may have in braces."""


def _one_or_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _some(value: Any) -> Any:
    if not value:
        raise mistake("the list is empty, so nothing would ever fit", "Leave the key out, or name at least one")
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise mistake("the text is empty", "Write a text")
    return value


def _api(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise mistake(f"{show(value)} is no web address", 'Write one such as "https://api.mydoforms.com/api/v2"')
    return value.rstrip("/")


_KEY = "{key}"


def _notifications(value: str) -> str:
    parts = urlsplit(value)
    remedy = 'Write one such as "https://api.mydoforms.com/api/v2/notifications/{key}"'
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise mistake(f"{show(value)} is no web address", remedy)
    if value.count(_KEY) != 1 or _KEY not in parts.path.split("/"):
        raise mistake(f"{show(value)} does not say where the notification's key goes", f"{remedy}, with {_KEY} once")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise mistake(f"{show(value)} holds more than a host and a path", remedy)
    return value


_PATH_ENDS = {"?": "a question mark, which ends a URL's path", "#": "a hash, which ends a URL"}
_IN_NO_PATH = frozenset('\\"<>^`{|}')
"""What no path of a URL holds as it is (RFC 3986, 3.3), beside blanks and what cannot be seen."""
HEALTH_PATHS = ("/healthz", "/readyz")


def _proxy(value: Any) -> SecretStr | str:
    if not isinstance(value, str):
        raise mistake(f"{show(value)} is no text", _PROXY_REMEDY)
    if not isinstance(value, Resolved) and has_password(value):
        raise mistake(
            "there is a password inside the URL",
            'Put the whole address behind a reference, such as proxy = "env:DOFORMS_PROXY"',
        )
    if not getattr(value, "stand_in", False) and (fault := fault_of_proxy(value)):
        raise mistake(f"this proxy cannot be used: {fault}", _PROXY_REMEDY)
    return SecretStr(value) if isinstance(value, Resolved) else value


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise mistake(
            f"{show(value)} is no name of a host",
            'Write one such as "files.example.com", or "*.example.com" for all below',
        )
    if "*" in value and "." not in value.lstrip("*."):
        raise mistake(f"{show(value)} would let answers lead anywhere", 'Name the hosts, such as "*.files.example.com"')
    return value.lower()


def _path(value: str) -> str:
    for character, what in _PATH_ENDS.items():
        if character in value:
            remedy = f'Write what stands before it, such as "{value.partition(character)[0]}"'
            raise mistake(f"{show(value)} can never match: it holds {what}", remedy)
    if "%" in value:
        raise mistake(f"{show(value)} can never match: a request's path is decoded first", "Write it without %")
    if not value.startswith("/"):
        raise mistake(f"{show(visible(value))} is no path", 'Write one such as "/webhooks/doforms"')
    odd = next((one for one in value if one in _IN_NO_PATH or one.isspace() or visible(one) != one), None)
    if odd is not None:
        found = "a blank" if odd.isspace() else visible(odd)
        raise mistake(f"{show(visible(value))} is no path of a URL: it holds {found}", "Take it out")
    segments = [segment for segment in value.split("/") if segment]
    if {".", ".."} & set(segments):
        raise mistake(f"{show(value)} can never match: dot segments are taken out first", "Write it without them")
    plain = "/" + "/".join(segments)
    if plain == "/":
        raise mistake(f"{show(value)} is no path", 'Write one such as "/webhooks/doforms"')
    if plain.lower() in HEALTH_PATHS:
        remedy = 'Write another one, such as "/webhooks/doforms"'
        raise mistake(f"{show(value)} would hide the health of the gateway, which is asked there", remedy)
    return plain


def _network(value: Any) -> Any:
    try:
        return ip_network(value if isinstance(value, str) else "", strict=False)
    except ValueError:
        remedy = 'Write an IP address or network, such as "127.0.0.1" or "10.0.0.0/8"'
        raise mistake(f"{show(value)} is no address", remedy) from None


def _timezone(value: Any) -> ZoneInfo:
    try:
        return ZoneInfo(value)
    except Exception:  # ZoneInfo raises what the file system raises for odd names
        raise mistake(f"{show(value)} is no time zone", 'Write one such as "UTC" or "Europe/Berlin"') from None


def _deliveries(value: Any) -> Any:
    if isinstance(value, dict):
        raise mistake("`deliver` is one table", "Write it with two brackets: [[routes.deliver]]")
    if value == []:
        raise mistake("the route has no deliveries", "Add a [[routes.deliver]] below it, or remove the route")
    return value


def _answer_within(value: float) -> float:
    if value >= ANSWER_LIMIT:
        raise mistake(
            f"{say_duration(value)} is too long: doForms waits {say_duration(ANSWER_LIMIT)}",
            'Write less than "3s", such as "2.5s"',
        )
    return value


def _blob_path(value: str) -> str:
    names = set(re.findall(r"\{(\w*)\}", value))
    if unknown := sorted(names - BLOB_NAMES):
        raise mistake(f"{show(value)} has {{{unknown[0]}}} in it", f"There are {_braced(BLOB_NAMES)}")
    if not names & {"key", "id"}:
        raise mistake(f"{show(value)} leads to the same place for every attachment", "Put {key} or {id} into it")
    return value.strip("/")


def _braced(names: Iterable[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(names))


_PROXY_REMEDY = 'Write one such as "http://proxy.example:3128", or "env" for what HTTPS_PROXY and NO_PROXY say'
_HOST = re.compile(r"(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|[0-9a-fA-F:]*:[0-9a-fA-F:.]*")
Text: TypeAlias = Annotated[str, AfterValidator(_not_blank)]
Patterns: TypeAlias = Annotated[tuple[Text, ...], BeforeValidator(_one_or_list), AfterValidator(_some)]
Names: TypeAlias = Annotated[tuple[Text, ...], BeforeValidator(_one_or_list)]
Api: TypeAlias = Annotated[str, AfterValidator(_api)]
NotificationsUrl: TypeAlias = Annotated[Text, AfterValidator(_notifications)]
BlobPath: TypeAlias = Annotated[Text, AfterValidator(_blob_path)]
ProxyAddress: TypeAlias = Annotated[SecretStr | str, PlainValidator(_proxy)]
Hosts: TypeAlias = Annotated[tuple[Annotated[str, AfterValidator(_host)], ...], BeforeValidator(_one_or_list)]
Count: TypeAlias = Annotated[int, Field(ge=1)]
Network: TypeAlias = Annotated[IPv4Network | IPv6Network, PlainValidator(_network)]
Networks: TypeAlias = Annotated[tuple[Network, ...], BeforeValidator(_one_or_list)]
HeaderValues: TypeAlias = Annotated[list[Secret], BeforeValidator(_one_or_list)]
AnswerWithin: TypeAlias = Annotated[PositiveDuration, AfterValidator(_answer_within)]
Zone: TypeAlias = Annotated[ZoneInfo, PlainValidator(_timezone)]
WebhookPath: TypeAlias = Annotated[str, AfterValidator(_path)]
Events: TypeAlias = Annotated[frozenset[Event], BeforeValidator(_one_or_list), AfterValidator(_some)]
Deliveries: TypeAlias = Annotated[list[dict[str, Any]], BeforeValidator(_deliveries)]
