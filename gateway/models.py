"""The words of the gateway as data: enums and frozen values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any


class Event(StrEnum):
    """What happened to the record."""

    CREATE = "create"
    """A record was added."""
    UPDATE = "update"
    """A record was edited, or something unknown changed."""
    DELETE = "delete"
    """A record was deleted; nothing can be fetched any more."""
    STATUS = "status"
    """A dispatch changed its status."""


class RecordKind(StrEnum):
    """What kind of record a notification speaks of."""

    SUBMISSION = "submission"
    """A filled-in form."""
    DISPATCH = "dispatch"
    """A form sent out to be filled in."""


class Mode(StrEnum):
    """When doForms is told the outcome."""

    IMMEDIATE = "immediate"
    """In the answer to the notification, when it ends in time."""
    DELAYED = "delayed"
    """Later, by PUT; the answer is an empty 200."""


class Outcome(StrEnum):
    """The verdict over the deliveries of a notification that count."""

    COMPLETED = "completed"
    """Each of them was delivered or skipped."""
    FAILED = "failed"
    """At least one of them is dead or was dropped."""


class ReasonCode(StrEnum):
    """What a reason stands for, for whoever decides by it; the sentence beside it is for people alone.

    Some have a subject: which web service, account or delivery of a route it is about.
    """

    WEBSERVICE_WAITS = "web service waits"
    """doForms cannot be called in the name of a web service; the subject is its id."""
    ACCOUNT_WAITS = "account waits"
    """doForms has no answer left for an account; the subject is its name."""
    NOT_LOADED = "not loaded"
    """The delivery is not in the routes file; the subject is its way: route/name to destination."""
    GIVEN_UP = "given up"
    """``retry`` allows no further attempt."""
    RECORD_NOT_FETCHED = "record not fetched"
    """The record could not be fetched, and is not tried again."""
    ATTACHMENT_MISSING = "attachment missing"
    """An attachment was given up: dead where it is required, delivered without it where it is not."""
    DROPPED = "dropped"
    """A person gave it up."""


class AlarmKind(StrEnum):
    """Causes that a person must see to; `gateway.alarms.kinds` says what ends each and what to do."""

    RELOAD_FAILED = "reload failed"
    """The routes file could not be loaded again; the last good one stays in force."""
    NOT_LOADED = "not loaded"
    """Deliveries wait whose route or destination is not in the routes file any more."""
    UNMATCHED = "unmatched"
    """No route matched a notification."""
    RECORD_NOT_FETCHED = "record not fetched"
    """A record could not be had from doForms for as long as `fetch_retry` says."""
    ACCOUNT_WAITS = "account waits"
    """doForms asked to wait for more than a minute: more calls came than the account may make."""
    DOFORMS_SILENT = "doforms silent"
    """doForms' API does not answer calls of an account."""
    RECORDS_NOT_READABLE = "records not readable"
    """doForms lists the records of a web service and hands none of them out."""
    NEW_QUESTIONS = "new questions"
    """A form brings questions that no template asks for."""
    QUESTION_MISSING = "question missing"
    """A question that templates ask for does not come any more."""
    QUESTION_AMBIGUOUS = "question ambiguous"
    """A name that templates ask for stands in several places of a form."""
    QUESTION_LEFT_OUT = "question left out"
    """A destination had no place for a question, and left it out."""
    ATTACHMENT_MISSING = "attachment missing"
    """A photo or file could not be downloaded for as long as `attachment_retry` says."""
    SPOOL_NOT_WRITABLE = "spool not writable"
    """Photos and files cannot be written into the spool."""
    OUTCOME_NOT_REPORTED = "outcome not reported"
    """doForms was not told an outcome, and will not be."""
    PROCESS_DIED = "process died"
    """The gateway's process died each time a delivery was tried, the last time with no other suspect beside it."""
    DESTINATION_NOT_OPEN = "destination not open"
    """A destination could not be opened for 10 minutes; its deliveries wait."""
    DESTINATION_PAUSED = "destination paused"
    """A destination's login, table or address is wrong; its deliveries wait."""
    WEBSERVICE_PAUSED = "webservice paused"
    """doForms refuses the password, the quota of the day is used up, or `api` is not its address."""
    LISTING_TOO_SHORT = "listing too short"
    """doForms listed fewer records than it told of; nothing is concluded from it."""
    NOT_RECONCILED = "not reconciled"
    """What doForms received could not be compared with what was kept."""
    STORE_STALLS = "store stalls"
    """Steps of the store waited for long, for an answer or for a lock."""
    CLOCK = "clock"
    """The store's clock leapt by more than 10 s."""
    BACKLOG_FULL = "backlog full"
    """As much waits as `backlog_limit` allows; new notifications are answered 503."""
    DISK_NEARLY_FULL = "disk nearly full"
    """The store's disk has less room than `min_free_disk`; new notifications are answered 503."""
    CONNECTIONS_FULL = "connections full"
    """More connections are open than there may be."""
    BODIES_STALLED = "bodies stalled"
    """Bodies of requests that have begun and not ended fill the memory for them."""
    UNAUTHORISED = "unauthorised"
    """Requests came without the right secret header: 20 within a minute, or 5 in a row."""
    QUARANTINED = "quarantined"
    """Something with the right secret was no notification, and is kept aside."""
    WRONG_PATH = "wrong path"
    """Requests with the right secret came to a path where nothing is received."""


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    """Not ended: waiting for its turn, its time or its answer. Receiving makes it so, a retry, or a person's replay."""
    DELIVERED = "delivered"
    """The destination took it; there is a receipt, with which an attempt is settled."""
    SKIPPED = "skipped"
    """Its ``when`` was false for this record, as a settlement says."""
    DEAD = "dead"
    """Not tried again by itself: a settlement says that it is rejected, given up, or in doubt. Can be replayed."""
    DROPPED = "dropped"
    """Given up by a person."""


class ReportState(StrEnum):
    """How doForms hears the outcome of a notification."""

    NONE = "none"
    """Nothing to tell: no outcome is due, or reporting is switched off. Receiving decides that."""
    OPEN = "open"
    """The outcome is not known yet, or the request that will carry it is still open. Receiving makes it so."""
    DUE = "due"
    """The outcome is known and must be told by PUT: the reporter has claimed it, or put it off."""
    ANSWERED = "answered"
    """Told in the answer to the notification, which receiving has written."""
    REPORTED = "reported"
    """Told by PUT; doForms confirmed that to the reporter."""
    GONE = "gone"
    """doForms does not know the notification any more, as it told the reporter (404, 410)."""
    REFUSED = "refused"
    """doForms refused what the reporter told (400, 422)."""
    GIVEN_UP = "given up"
    """The reporter could not tell it within ``report_retry``."""


class FetchState(StrEnum):
    """Where the fetch of a notification's record stands."""

    NONE = "none"
    """No delivery needs the record, as receiving found."""
    DUE = "due"
    """Not fetched yet: receiving, a retry or a person's replay makes it so."""
    PINNED = "pinned"
    """The fetcher has fetched and kept it."""
    GIVEN_UP = "given up"
    """The fetcher could not fetch it within ``fetch_retry``."""


class AttachmentState(StrEnum):
    """Where the download of an attachment stands."""

    DUE = "due"
    """Not downloaded yet: a record names it, or a retry, a replay or a lost file makes it so."""
    SPOOLED = "spooled"
    """A download has put it into the spool, whole."""
    GIVEN_UP = "given up"
    """No download could get it within ``attachment_retry``, or is too large or of a type that is not wanted."""


class Unmatched(StrEnum):
    """What to do with a notification that no route matches."""

    KEEP = "keep"
    """Answer 200 empty, keep it, raise an alarm."""
    FAIL = "fail"
    """Answer ``failed``, keep it, raise an alarm."""
    COMPLETE = "complete"
    """Answer ``completed`` and keep it."""


class Order(StrEnum):
    """How a delivery keeps its place among those of the same record and destination."""

    RECORD = "record"
    """One after the other; a dead one lets the next one go."""
    STRICT = "strict"
    """One after the other; a dead one blocks its lane until it is replayed or dropped."""
    NONE = "none"
    """Each delivery on its own."""


class OnDoubt(StrEnum):
    """What to do with an attempt of unknown end where a repeat is not known to be safe."""

    DEAD = "dead"
    """Set it aside as in doubt, for a person to decide."""
    RETRY = "retry"
    """Send it again; a repeat can show at the destination."""


class Repeatable(StrEnum):
    """Whether sending the same delivery twice does harm at the destination."""

    YES = "yes"
    """A repeat changes nothing."""
    WITH_KEY = "with key"
    """A repeat changes nothing where the other side honours the delivery key."""
    NO = "no"
    """A repeat shows: a second row, a second mail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What doForms POSTed, read tolerantly; all times are aware and UTC."""

    key: str
    webservice_id: str
    event: Event
    status: str | None = None
    customer_key: str | None = None
    submission_key: str | None = None
    dispatch_key: str | None = None
    created: datetime | None = None
    received: datetime
    body: bytes = b""

    @property
    def record_kind(self) -> RecordKind | None:
        """Which record this speaks of: the dispatch for a status event, else the submission, else the dispatch."""
        if self.dispatch_key and (self.event is Event.STATUS or not self.submission_key):
            return RecordKind.DISPATCH
        return RecordKind.SUBMISSION if self.submission_key else None

    @property
    def record_key(self) -> str | None:
        """The key of the record this speaks of, if any."""
        return self.key_of(self.record_kind)

    def key_of(self, kind: RecordKind | None) -> str | None:
        """The key of the submission or the dispatch, if the notification names one."""
        if kind is RecordKind.SUBMISSION:
            return self.submission_key
        return self.dispatch_key if kind is RecordKind.DISPATCH else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A submission or dispatch as fetched and decoded.

    ``fields`` maps a question's data name to its value (a question anywhere in the form; one whose name is not unique
    is there under its path);
    ``tables`` maps a repeating part's name to its rows; ``paths`` maps ``section.question`` paths to values; ``kinds``
    maps the same paths, and ``table[].question`` of what stands in rows, to what doForms calls the kind of value;
    ``raw`` is the JSON as it came, numbers as int or Decimal. ``id`` and the rest are empty when only the key is known.
    """

    kind: RecordKind
    key: str
    id: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    paths: Mapping[str, Any] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    raw: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A photo, signature or file of a record, downloaded into the spool."""

    place: str
    """Where it stands in the record: ``photo``, ``safety.photo``, ``findings[0].photo``."""
    key: str
    """doForms' key of it."""
    filename: str
    """As doForms names it, without folders; made up from the question where doForms names none."""
    content_type: str
    size: int
    """Bytes."""
    sha256: str
    path: Path
    """The file in the spool: to be read, never to be changed or moved."""

    @property
    def question(self) -> str:
        """The question that it answers: the last name of its place."""
        return self.place.rpartition(".")[2].partition("[")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """When an attempt is followed by another; durations in seconds.

    The n-th wait is ``first * factor ** (n - 1)``, at most ``max``, with jitter; it ends ``give_up_after`` seconds
    after the first attempt, or after ``attempts`` attempts if that is set.
    """

    first: float = 5.0
    factor: float = 3.0
    max: float = 6 * 3600.0
    give_up_after: float = 3 * 86400.0
    attempts: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """When a destination is taken for down: after ``failures`` in a row, probed every ``probe_after`` seconds."""

    failures: int = 5
    probe_after: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most ``count`` sends per ``per`` seconds."""

    count: int
    per: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The short proof that an attempt worked; no secrets, at most 4 kB.

    ``summary`` is a line for a person (``row 42 in inspections``), ``details`` the same as data. ``left_out`` names the
    questions that the destination had no place for, each with the reason: an alarm tells of them, and nothing fails.
    """

    summary: str
    details: Mapping[str, Any] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
