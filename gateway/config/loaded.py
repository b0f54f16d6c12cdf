"""A routes file that was loaded: what the rest of the gateway works with, frozen, durations in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from gateway.destinations.destination import Destination, Traits
from gateway.destinations.options import Options, Settings, Unrendered
from gateway.models import Breaker, Event, Mode, OnDoubt, Order, Rate, Retry, Unmatched

Headers = tuple[tuple[str, tuple[SecretStr, ...]], ...]
"""Pairs of a lower-case header name and the values it may carry; each named header must carry one of its values."""


Networks = tuple[IPv4Network | IPv6Network, ...]


DEFAULT_API = "https://api.mydoforms.com/api/v2"
_DOCUMENTED = "https://api-dot-mydoforms-hrd.appspot.com/api/v2/notifications/{key}"
"""Where doForms' page on notifications says that outcomes are PUT, whatever else its API is called."""


def notifications_below(api: str) -> str:
    """Return the URL to which outcomes are PUT that goes with an API, with ``{key}``."""
    return _DOCUMENTED if api == DEFAULT_API else f"{api}/notifications/{{key}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A doForms customer account: one API, one limit."""

    name: str
    api: str
    notifications: str | None = None
    """URL to which outcomes are PUT, with ``{key}``; None: the one that goes with ``api``."""
    report: bool
    expected_fetch: float
    requests_per_minute: int
    max_in_flight: int
    fetch_retry: Retry
    report_retry: Retry
    attachment_retry: Retry = Retry()
    blob_path: str = "blobs/{key}"
    largest_attachment: int = 100_000_000
    """Bytes."""
    attachment_types: tuple[str, ...] = ("*/*",)
    attachment_hosts: tuple[str, ...] = ()
    """Hosts, or patterns of them, to which a download may lead."""
    proxy: SecretStr | str | None = None
    """Address of the proxy to doForms, or ``env``."""
    headers: Headers = ()
    """Secret headers of its own; empty: those of ``[webhook]``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webservice:
    """doForms' name for one form in one project."""

    name: str
    id: str
    password: SecretStr | None
    form: str
    project: str
    account: str
    api: str | None = None
    notifications: str | None = None
    vars: Mapping[str, Any] = field(default_factory=dict)


def notifications_of(webservice: Webservice, account: Account) -> str:
    """Return the URL to which the outcomes of a web service are PUT, with ``{key}``."""
    if webservice.notifications is not None:
        return webservice.notifications
    if webservice.api is not None:
        return notifications_below(webservice.api)
    return account.notifications or notifications_below(account.api)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconcile:
    """When what doForms received is compared with what was kept, and how far back."""

    every: float = 3600.0
    lookback: float = 48 * 3600.0
    grace: float = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationEntry:
    """One ``[destinations.NAME]``, with the plugin's instance (built, not opened)."""

    name: str
    plugin: str
    instance: Destination[Any, Any]
    settings: Settings | None = field(default=None, repr=False)
    """What the instance was built from."""
    enabled: bool = True
    dry_run: bool = False
    retry: Retry = Retry()
    timeout: float = 30.0
    rate: Rate | None = None
    concurrency: int = 8
    batch: int = 100
    breaker: Breaker = Breaker()
    expected_latency: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySpec:
    """One ``[[routes.deliver]]``: what a matching notification sends where."""

    route: str
    name: str
    destination: str
    options: Options
    """Unrendered."""
    traits: Traits
    when: Unrendered | None = None
    required: bool = True
    order: Order = Order.RECORD
    on_doubt: OnDoubt = OnDoubt.DEAD
    retry: Retry = Retry()
    """The destination's, with the delivery's own merged over it."""
    timeout: float = 30.0
    dry_run: bool = False
    attachments: bool = False
    """Whether the photos and files of the record are downloaded for it."""
    attachments_required: bool = False
    """Whether it is dead where one of them cannot be had; else it goes without."""
    needs: frozenset[str] = frozenset()
    """What its templates, its ``when``, its route's ``when`` or its traits mention: record, submission, dispatch."""
    expected_latency: float = 0.5
    file: str = field(default="", compare=False)
    where: str = field(default="", compare=False)
    """Its place there, such as ``routes[inspections].deliver[0]``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One ``[[routes]]`` that is enabled."""

    name: str
    accounts: tuple[str, ...] = ()
    """Patterns; empty: any."""
    forms: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    events: frozenset[Event] = frozenset({Event.CREATE, Event.UPDATE})
    when: Unrendered | None = None
    mode: str = "auto"
    """``auto``, ``immediate`` or ``delayed``."""
    expected_latency: float | None = None
    deliveries: tuple[DeliverySpec, ...] = ()
    """The enabled ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the routes make of a web service's event: decided before any record is there."""

    routes: tuple[Route, ...]
    """Those that match; empty: unmatched."""
    deliveries: tuple[DeliverySpec, ...]
    mode: Mode
    reason: str
    """Why this mode, for a person."""
    counting: tuple[DeliverySpec, ...] = ()
    """Those of the deliveries that count."""
    needs: frozenset[str] = frozenset()
    """What any of the deliveries needs fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """A whole routes file."""

    file: Path
    store: str
    """SQLAlchemy URL; a relative SQLite path was made absolute."""
    answer_within: float = 2.5
    unmatched: Unmatched = Unmatched.KEEP
    retention: float = 90 * 86400.0
    timezone: ZoneInfo = ZoneInfo("UTC")
    backlog_limit: int = 1_000_000
    min_free_disk: int = 64_000_000
    """Bytes."""
    spool: Path = Path("gateway.spool")
    """Folder for attachments."""
    shutdown_grace: float = 20.0
    lease: float = 60.0
    path: str = "/webhooks/doforms"
    headers: Headers = ()
    trusted_proxies: Networks = ()
    accounts: Mapping[str, Account] = field(default_factory=dict)
    """Every account that a web service belongs to, declared or not."""
    webservices: Mapping[str, Webservice] = field(default_factory=dict)
    """By id."""
    reconcile: Reconcile | None = None
    """None: it is not in the file, and nothing is reconciled by itself."""
    destinations: Mapping[str, DestinationEntry] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Every text that came out of a reference, for masking."""
    secret_files: tuple[tuple[str, Path], ...] = field(default=(), compare=False)
    """The files that references name, each with the place that names it."""

    def delivery(self, route: str, name: str) -> DeliverySpec | None:
        """Find a loaded delivery by its route's and its own name."""
        for candidate in self.routes:
            if candidate.name == route:
                return next((spec for spec in candidate.deliveries if spec.name == name), None)
        return None
