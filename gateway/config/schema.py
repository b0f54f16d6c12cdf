"""The tables of the routes file as pydantic models; the configuration reference is generated from them."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateway.config.durations import Duration, PositiveDuration, RateText, say_duration
from gateway.config.loaded import DEFAULT_API
from gateway.config.schema_values import (
    AnswerWithin,
    Api,
    BlobPath,
    Count,
    Deliveries,
    Events,
    HeaderValues,
    Hosts,
    Names,
    Networks,
    NotificationsUrl,
    Patterns,
    ProxyAddress,
    Text,
    WebhookPath,
    Zone,
)
from gateway.config.sizes import Size
from gateway.destinations.options import Secret
from gateway.mistakes import mistake
from gateway.models import Breaker, Event, OnDoubt, Order, Retry, Unmatched

REMEMBERED = 30 * 86400.0
"""Seconds for which a record is known however short the retention is (`gateway.store.operator.retention.TOMBSTONE`)."""


class Table(BaseModel):
    """One table of the routes file: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class RetryTable(Table):
    """When an attempt is followed by another."""

    first: PositiveDuration | None = None
    """The first wait."""
    factor: Annotated[float, Field(ge=1)] | None = None
    """How much longer each wait is than the one before."""
    max: PositiveDuration | None = None
    """The longest wait."""
    give_up_after: PositiveDuration | None = None
    """Counted from the first attempt."""
    attempts: Count | None = None
    """At most so many attempts; left out: as many as fit."""

    def over(self, below: Retry) -> Retry:
        """Return ``below`` with what is set here put over it."""
        values = {name: getattr(below, name) for name in type(self).model_fields}
        return Retry(**{**values, **self.model_dump(exclude_none=True)})


class BreakerTable(Table):
    """When a destination is taken for down."""

    failures: Count = Breaker().failures
    """So many failures in a row."""
    probe_after: PositiveDuration = Breaker().probe_after
    """How long to wait before trying it with one delivery."""


class GatewayTable(Table):
    """``[gateway]``: the gateway itself."""

    store: Text = "sqlite:///gateway.db"
    """URL of the store: an SQLite file (a relative path counts from this file) or a PostgreSQL database."""
    store_password: Secret | None = None
    """Password of a PostgreSQL store. A reference only."""
    answer_within: AnswerWithin = 2.5
    """How long doForms may wait for the answer, counted from the request's headers; below 3 s."""
    unmatched: Unmatched = Unmatched.KEEP
    """What to do with a notification that no route matches."""
    retention: PositiveDuration = 90 * 86400.0
    """How long ended notifications are kept; see [store.md](store.md)."""
    timezone: Zone = ZoneInfo("UTC")
    """Time zone of dates in templates."""
    backlog_limit: Count = 1_000_000
    """So many unfinished deliveries at most; beyond it doForms is answered 503."""
    min_free_disk: Size = 64_000_000
    """With less left on the disk of an SQLite store doForms is answered 503; see [store.md](store.md)."""
    spool: Text | None = None
    """Folder for photos and files; left out: beside the store or this file, see [attachments.md](attachments.md)."""
    shutdown_grace: Duration = 20.0
    """How long a stopping gateway waits for what is being sent."""
    lease: PositiveDuration = 60.0
    """How long a process holds its claim on work without renewing it."""


class AccountTable(Table):
    """``[accounts.NAME]``: a doForms customer account. What is left out comes from ``[doforms]``."""

    api: Api | None = None
    """Base address of the doForms API."""
    notifications: NotificationsUrl | None = None
    """URL to which outcomes are PUT, with ``{key}``; left out: below ``api`` if that is set, else as for all."""
    report: bool | None = None
    """Tell doForms the outcome by PUT; false does not change the answer to the notification."""
    expected_fetch: Duration | None = None
    """How long fetching a record usually takes; decides between immediate and delayed mode."""
    requests_per_minute: Count | None = None
    """At most so many API requests in any minute for each account, over all processes that share the store."""
    max_in_flight: Count | None = None
    """At most so many API requests at once for each account, over all processes that share the store."""
    fetch_retry: RetryTable | None = None
    """When fetching a record is tried again."""
    report_retry: RetryTable | None = None
    """When reporting an outcome is tried again."""
    attachment_retry: RetryTable | None = None
    """When downloading a photo or file is tried again; left out: as ``fetch_retry``."""
    blob_path: BlobPath | None = None
    """Path below ``api`` from which photos and files are downloaded."""
    largest_attachment: Size | None = None
    """What is larger is not downloaded."""
    attachment_types: Patterns | None = None
    """Types of photos and files that are downloaded, such as ``image/*``."""
    attachment_hosts: Hosts | None = None
    """Hosts beside that of ``api`` to which a download may lead, such as ``*.files.example.com``."""
    proxy: ProxyAddress | None = None
    """Address of an HTTP proxy to doForms, a reference where it holds a login; ``env``: what HTTPS_PROXY says."""
    headers: dict[str, HeaderValues] = Field(default_factory=dict)
    """Secret headers of this account alone, instead of those of ``[webhook]``."""


class DoformsTable(Table):
    """``[doforms]``: defaults for every account."""

    api: Api = DEFAULT_API
    """Base address of the doForms API."""
    notifications: NotificationsUrl | None = None
    """URL to which outcomes are PUT, with ``{key}``; left out: see [protocol.md](protocol.md#reporting-the-outcome)."""
    report: bool = True
    """Tell doForms the outcome by PUT; false does not change the answer to the notification."""
    expected_fetch: Duration = 0.5
    """How long fetching a record usually takes; decides between immediate and delayed mode."""
    requests_per_minute: Count = 600
    """At most so many API requests in any minute for each account, over all processes that share the store."""
    max_in_flight: Count = 4
    """At most so many API requests at once for each account, over all processes that share the store."""
    fetch_retry: RetryTable = RetryTable()
    """When fetching a record is tried again."""
    report_retry: RetryTable = RetryTable()
    """When reporting an outcome is tried again."""
    attachment_retry: RetryTable = RetryTable()
    """When downloading a photo or file is tried again; left out: as ``fetch_retry``."""
    blob_path: BlobPath = "blobs/{key}"
    """Path below ``api`` from which photos and files are downloaded."""
    largest_attachment: Size = 100_000_000
    """What is larger is not downloaded."""
    attachment_types: Patterns = ("*/*",)
    """Types of photos and files that are downloaded, such as ``image/*``."""
    attachment_hosts: Hosts = ()
    """Hosts beside that of ``api`` to which a download may lead, such as ``*.files.example.com``."""
    proxy: ProxyAddress | None = None
    """Address of an HTTP proxy to doForms, a reference where it holds a login; ``env``: what HTTPS_PROXY says."""


class WebhookTable(Table):
    """``[webhook]``: where doForms sends its notifications, and what they must carry."""

    path: WebhookPath = "/webhooks/doforms"
    """Path of the URL to enter in doForms; ``/added``, ``/edited``, ``/deleted`` and ``/status`` are below it."""
    headers: dict[str, HeaderValues] = Field(default_factory=dict)
    """Secret headers: each must carry its value, or one of its values. References only."""
    trusted_proxies: Networks = ()
    """Addresses or networks of proxies whose ``X-Forwarded-For`` is believed in logs; left out: nobody's."""


def _remembered(value: float) -> float:
    if value > REMEMBERED:
        raise mistake(
            f"{say_duration(value)} is longer than the gateway is sure to know which records it had",
            f'Write at most "{REMEMBERED / 86400:g}d"; `gateway backfill --since` goes further back',
        )
    return value


class ReconcileTable(Table):
    """``[reconcile]``: asking doForms now and then what it received, for notifications that were lost."""

    every: PositiveDuration = 3600.0
    """How often what doForms received is compared with what was kept."""
    lookback: Annotated[PositiveDuration, AfterValidator(_remembered)] = 48 * 3600.0
    """How far back that goes each time; after an outage as far as it went on."""
    grace: Duration = 3600.0
    """How long a notification may be late: what doForms received later than that is not looked at yet."""


class WebserviceTable(Table):
    """``[webservices.NAME]``: doForms' name for one form in one project."""

    id: Text
    """The web service's id in doForms."""
    password: Secret | None = None
    """The web service's password in doForms; needed to fetch records and to report outcomes. A reference only."""
    form: Text
    """Name of the form, for the routes."""
    project: str = ""
    """Name of the project, for the routes."""
    account: Text | None = None
    """Its account; left out: the text before the first ``$$`` of the id."""
    api: Api | None = None
    """Base address of the doForms API for this web service alone."""
    notifications: NotificationsUrl | None = None
    """URL to which its outcomes are PUT, with ``{key}``; left out: below ``api`` if that is set, else its account's."""
    vars: dict[str, Any] = Field(default_factory=dict)
    """Values of your own, in templates as ``webservice.vars``."""


class DestinationTable(Table):
    """``[destinations.NAME]``: a place that deliveries go to. The plugin's settings stand beside these keys."""

    plugin: Text
    """The plugin that serves it."""
    retry: RetryTable = RetryTable()
    """When an attempt is followed by another."""
    timeout: PositiveDuration = 30.0
    """How long one attempt may take."""
    rate: RateText | None = None
    """At most so many sends in so long, over all processes, such as ``10/s``."""
    concurrency: Count = 8
    """At most so many sends at once in each process."""
    batch: Count = 100
    """At most so many deliveries in one go, where the plugin can do that."""
    breaker: BreakerTable = BreakerTable()
    """When the destination is taken for down."""
    expected_latency: Duration | None = None
    """How long a delivery usually takes; left out: what the plugin declares."""
    enabled: bool = True
    """False: its deliveries are made, and wait."""
    dry_run: bool = False
    """True: everything is rendered and kept, nothing is sent."""


class RouteTable(Table):
    """``[[routes]]``: what it matches, and the deliveries it makes."""

    name: Text
    """Its name; unique."""
    account: Patterns | None = None
    """A name, a pattern with ``*`` and ``?``, or a list; left out: any."""
    form: Patterns | None = None
    """A name, a pattern with ``*`` and ``?``, or a list; left out: any declared form."""
    project: Patterns | None = None
    """A name, a pattern with ``*`` and ``?``, or a list; left out: any."""
    events: Events = frozenset({Event.CREATE, Event.UPDATE})
    """Any of ``create``, ``update``, ``delete``, ``status``; left out: create and update."""
    when: Text | None = None
    """An expression; where it is false, the route's deliveries are skipped."""
    mode: Literal["auto", "immediate", "delayed"] = "auto"
    """``auto`` compares the expected latency with ``answer_within``; ``immediate`` skips that; ``delayed`` waits."""
    expected_latency: Duration | None = None
    """How long the route usually takes; left out: from the fetch and the slowest delivery that counts."""
    use: Names = ()
    """Name of a ``[shared.NAME]``, or a list of them, the later ones over the earlier."""
    enabled: bool = True
    """False: the route is not there."""
    deliver: Deliveries
    """Its deliveries, each written as ``[[routes.deliver]]``."""


class DeliveryTable(Table):
    """``[[routes.deliver]]``: what is sent where. The plugin's options stand beside these keys."""

    to: Text
    """Name of the destination."""
    name: Text | None = None
    """Its name, unique in the route; left out: that of the destination."""
    when: Text | None = None
    """An expression; where it is false, the delivery is skipped."""
    use: Names = ()
    """Name of a ``[shared.NAME]``, or a list of them, the later ones over the earlier."""
    required: bool = True
    """False: it does not count for the outcome and does not delay it."""
    order: Order = Order.RECORD
    """How it keeps its place among the deliveries of the same record."""
    on_doubt: OnDoubt = OnDoubt.DEAD
    """What to do with an attempt of unknown end where a repeat is not known to be safe."""
    retry: RetryTable = RetryTable()
    """When an attempt is followed by another; over that of the destination."""
    timeout: PositiveDuration | None = None
    """How long one attempt may take; left out: that of the destination."""
    attachments: Literal[True, False, "required"] = False
    """Download the photos and files: ``true`` goes without what cannot be had, ``"required"`` does not."""
    enabled: bool = True
    """False: the delivery is not made."""
    dry_run: bool = False
    """True: everything is rendered and kept, nothing is sent."""
