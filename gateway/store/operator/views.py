"""What a person gets to see of the store: notifications and deliveries as lists and in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.store.work.attachments import AttachmentSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptSummary:
    """An attempt that did not deliver, or an order of a person (``replayed``, ``dropped``)."""

    number: int
    """How many attempts had begun by then; 0: none, nothing was ever sent."""
    ended: datetime | None
    result: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySummary:
    """A delivery as a list shows it."""

    id: int
    notification: str
    """The notification key."""
    route: str
    name: str
    destination: str
    state: str
    required: bool
    attempts: int
    due: datetime | None
    """When it is tried next; None once it has ended."""
    begun: datetime | None
    """When an attempt began whose end is not known yet: it is being sent, or the gateway ended meanwhile."""
    behind: int | None
    """The delivery at the head of its lane, which it waits for; None: it is there itself, or has ended."""
    behind_state: str | None
    """That one's: pending, or dead where the order is strict."""
    pause: str | None
    """Why its destination is paused, if it waits for that."""
    settled: datetime | None
    reason: str | None
    reason_code: str | None
    """What the reason stands for, where something is decided by it: see `gateway.models.ReasonCode`."""
    in_doubt: bool
    receipt: dict[str, Any] | None
    delivery_key: str
    lane: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryDetails(DeliverySummary):
    """Everything about one delivery."""

    history: Sequence[AttemptSummary] = ()
    sent: Any = None
    """What was rendered for it at its first attempt, as kept."""
    attachments: Sequence[AttachmentSummary] = ()
    """Those of its notification's record, if any delivery of that asks for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationSummary:
    """A notification as a list shows it."""

    id: int
    key: str
    kind: str
    """``notification``; ``backfill``: none came, doForms lists the record."""
    webservice: str | None
    webservice_id: str
    account: str
    form: str | None
    project: str | None
    event: str
    status: str | None
    record_key: str | None
    received: datetime | None
    mode: str
    mode_reason: str
    matched: bool
    repeats: int
    outcome: str | None
    answer: str | None
    """What the request was told; empty: an empty 200; None: not noted (a delayed one, always an empty 200)."""
    report: str
    deliveries: dict[str, int]
    """State -> how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationDetails(NotificationSummary):
    """Everything about one notification."""

    customer_key: str | None
    submission_key: str | None
    dispatch_key: str | None
    created: datetime | None
    settled: datetime | None
    deleted: datetime | None
    """When retention deleted all of it but the key and the outcome."""
    body: str
    fetch: str
    fetch_attempts: int
    fetch_reason: str | None
    report_due: datetime | None
    report_attempts: int
    report_reason: str | None
    reported: datetime | None
    pinned: dict[str, str] = field(default_factory=dict)
    """Kind of record -> its JSON as it was fetched."""
    all_deliveries: Sequence[DeliverySummary] = ()
    attachments: Sequence[AttachmentSummary] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the deliveries to a destination stand."""

    waiting: int = 0
    dead: int = 0
    reason: str | None = None
    """Why one of those that wait was put off; None: none was yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationFilter:
    """Which notifications to list; what is left out does not filter.

    ``route``, ``destination`` and ``state`` ask for a delivery that has all of them.
    """

    key: str | None = None
    webservice: str | None = None
    record_key: str | None = None
    event: str | None = None
    kind: str | None = None
    """``notification`` or ``backfill``."""
    outcome: str | None = None
    """``completed``, ``failed`` or ``open``."""
    unmatched: bool = False
    route: str | None = None
    destination: str | None = None
    state: str | None = None
    error: str | None = None
    """In the reason of a delivery, of a failed fetch or report, or why no route matched; small or capital."""
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = 50
    deleted: bool = False
    """Also those of which retention has left only the key and the outcome."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """Which deliveries to list; what is left out does not filter."""

    notification: str | None = None
    record_key: str | None = None
    route: str | None = None
    destination: str | None = None
    state: str | None = None
    error: str | None = None
    """In its reason, small or capital."""
    lacking: bool = False
    """Only those that went without an attachment that could not be downloaded."""
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A delivery that an order of a person may concern."""

    id: int
    lane_id: int
    number: int
    route: str
    destination: str
    state: str
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationCandidate:
    """A notification that an order of a person may concern."""

    id: int
    matched: bool
    reason: str
    """Why it has the mode that it has; of an unmatched one, why no route took it."""
    code: str | None
    """What that stands for: see `gateway.models.ReasonCode`."""
