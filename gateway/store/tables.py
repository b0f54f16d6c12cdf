"""The tables of the store. All times are integers: microseconds since 1970, UTC.

Changing a table means writing a migration in `gateway.store.engine.migrations`; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)

from gateway.store.call_tables import call_counts as call_counts
from gateway.store.call_tables import call_slots as call_slots
from gateway.store.call_tables import rates as rates
from gateway.store.metadata import Id
from gateway.store.metadata import metadata as metadata

notifications = Table(
    "notifications",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("webservice_id", Text, nullable=False),
    Column("notification_key", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("webservice", Text),  # its name in the routes file when it was kept; null: not in the file
    Column("form", Text),
    Column("project", Text),
    Column("event", Text, nullable=False),
    Column("status", Text),
    Column("customer_key", Text),
    Column("submission_key", Text),
    Column("dispatch_key", Text),
    Column("record_key", Text),
    Column("created_at", BigInteger),
    Column("received_at", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("mode", Text, nullable=False),
    Column("mode_reason", Text, nullable=False),
    Column("mode_code", Text),  # what that reason stands for, where something is decided by it: see `ReasonCode`
    Column("matched", Boolean, nullable=False),
    Column("repeats", Integer, nullable=False, server_default=text("0")),
    Column("outcome", Text),
    Column("outcome_at", BigInteger),
    # The answer: open while a request waits for the outcome; then what it was told ("" is an empty 200).
    Column("answer_open", Boolean, nullable=False, server_default=false()),
    Column("answer", Text),
    # The report: due when `report_due_at` has come; `put_owed` means that some request was answered empty.
    Column("report_state", Text, nullable=False),
    Column("put_owed", Boolean, nullable=False, server_default=false()),
    Column("report_due_at", BigInteger),
    Column("report_holder", Text),  # set while a process tells it, under a lease that ends at `report_due_at`
    Column("report_attempts", Integer, nullable=False, server_default=text("0")),
    Column("report_spent", BigInteger, nullable=False, server_default=text("0")),
    Column("report_reason", Text),
    # Deaths in a row of processes that held it; see `deliveries.deaths`. Alone: it is told apart from other suspects.
    Column("report_deaths", Integer, nullable=False, server_default=text("0")),
    Column("report_alone", Boolean, nullable=False, server_default=false()),
    Column("reported_at", BigInteger),
    # The fetch of the record, common to all deliveries of the notification; due until it is pinned or given up.
    Column("fetch_state", Text, nullable=False),
    Column("fetch_attempts", Integer, nullable=False, server_default=text("0")),
    Column("fetch_spent", BigInteger, nullable=False, server_default=text("0")),
    Column("fetch_reason", Text),
    # When it may be tried; null: at once. Held: a process tries it, under a lease that ends then.
    Column("fetch_due_at", BigInteger),
    Column("fetch_holder", Text),
    # When retention deleted all of it but the key and the outcome: a tombstone, which a repeat still meets.
    Column("pruned_at", BigInteger),
    UniqueConstraint("webservice_id", "notification_key"),
)
Index("ix_notifications_record", notifications.c.account, notifications.c.record_key)
Index(
    "ix_notifications_fetch",
    notifications.c.account,
    notifications.c.record_key,
    sqlite_where=notifications.c.fetch_state == text("'due'"),
    postgresql_where=notifications.c.fetch_state == text("'due'"),
)
NOT_FETCHED = text("fetch_state = 'given up'")
NOT_REPORTED = text("report_state IN ('refused', 'given up')")
# Few rows each: what an alarm stands for until a person has seen to it.
Index(
    "ix_notifications_unmatched",
    notifications.c.webservice_id,
    sqlite_where=text("matched = 0"),  # as SQLAlchemy writes the condition in queries: SQLite compares the words
    postgresql_where=~notifications.c.matched,
)
Index(
    "ix_notifications_not_fetched",
    notifications.c.webservice_id,
    sqlite_where=NOT_FETCHED,
    postgresql_where=NOT_FETCHED,
)
Index(
    "ix_notifications_not_reported",
    notifications.c.webservice_id,
    sqlite_where=NOT_REPORTED,
    postgresql_where=NOT_REPORTED,
)
Index(
    "ix_notifications_report_due_at",
    notifications.c.report_due_at,
    sqlite_where=notifications.c.report_due_at.is_not(None),
    postgresql_where=notifications.c.report_due_at.is_not(None),
)

records = Table(  # pinned: fetched once for a notification and kept as it came
    "records",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("notification_id", Id, ForeignKey("notifications.id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("record_key", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("fetched_at", BigInteger, nullable=False),
    UniqueConstraint("notification_id", "kind"),
    Index("ix_records_latest", "account", "record_key", "notification_id"),
)

record_ids = Table(  # learnt: the id that a record can be read by where its key does not work; kept for ever
    "record_ids",
    metadata,
    Column("account", Text, primary_key=True),
    Column("record_key", Text, primary_key=True),
    Column("id", Text, nullable=False),
)

lanes = Table(
    "lanes",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False, unique=True),
    Column("destination", Text, nullable=False),
    Column("last_number", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=False),  # when a delivery was last placed in it
    # When the lane may be claimed: null: it is empty; in the future: its head waits, or a lease runs until then.
    Column("claimable_at", BigInteger),
    Column("holder", Text),
)
Index(
    "ix_lanes_claimable",
    lanes.c.destination,
    lanes.c.claimable_at,
    sqlite_where=lanes.c.claimable_at.is_not(None),
    postgresql_where=lanes.c.claimable_at.is_not(None),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("notification_id", Id, ForeignKey("notifications.id", ondelete="CASCADE"), nullable=False),
    Column("lane_id", Id, nullable=False),  # no foreign key: SQLite would look through all deliveries for each lane
    Column("number", BigInteger, nullable=False),
    Column("route", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("delivery_key", Text, nullable=False),
    Column("required", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    # Holds its place at the head of the lane: pending, or dead in a strict lane.
    Column("in_lane", Boolean, nullable=False, server_default=true()),
    Column("due_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("spent", BigInteger, nullable=False, server_default=text("0")),  # time that counts towards giving up
    Column("attempt_id", BigInteger),  # of the last attempt begun
    Column("sending_at", BigInteger),  # set while that attempt has no known end
    # Processes that died in a row while they held it, since a try of it last ended; from two on it is a suspect.
    Column("deaths", Integer, nullable=False, server_default=text("0")),
    Column("alone_at", BigInteger),  # set while it is tried apart from other suspects
    Column("reason", Text),
    Column("reason_code", Text),  # what that reason stands for, where something is decided by it: see `ReasonCode`
    Column("reason_subject", Text),  # which web service, account or way it is about
    Column("doubt", Boolean, nullable=False, server_default=false()),
    Column("receipt", Text),
    Column("settled_at", BigInteger),
    Index("ix_deliveries_notification", "notification_id"),
)
Index(
    "ix_deliveries_lane",
    deliveries.c.lane_id,
    deliveries.c.number,
    sqlite_where=text("in_lane = 1"),  # as SQLAlchemy writes the condition in queries: SQLite compares the words
    postgresql_where=deliveries.c.in_lane,
)
DEADLY = text("deaths > 2")
"""Its process died while no other suspect was being tried."""
Index(
    "ix_deliveries_deadly",
    deliveries.c.destination,
    sqlite_where=DEADLY,
    postgresql_where=DEADLY,
)
Index(
    "ix_deliveries_dead",
    deliveries.c.destination,
    deliveries.c.settled_at,
    sqlite_where=deliveries.c.state == text("'dead'"),
    postgresql_where=deliveries.c.state == text("'dead'"),
)

renderings = Table(  # what is sent, rendered once at the first attempt
    "renderings",
    metadata,
    Column("delivery_id", Id, ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("options", LargeBinary, nullable=False),
)

attachments = Table(  # of a notification's record; what was downloaded is a file in the spool
    "attachments",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("notification_id", Id, ForeignKey("notifications.id", ondelete="CASCADE"), nullable=False),
    Column("webservice_id", Text, nullable=False),
    Column("blob_key", Text, nullable=False),
    Column("place", Text, nullable=False),  # the first one where it stands in the record
    Column("filename", Text, nullable=False),
    Column("file", Text, nullable=False, unique=True),  # its name in the spool, whether it is there yet or not
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("spent", BigInteger, nullable=False, server_default=text("0")),
    Column("reason", Text),
    Column("due_at", BigInteger),  # when it may be tried again; null: at once
    Column("etag", Text),  # of what has come, until it is whole
    Column("size", BigInteger),
    Column("sha256", Text),
    Column("content_type", Text),
    Column("ended_at", BigInteger),
    UniqueConstraint("notification_id", "blob_key"),
)
Index("ix_attachments_blob", attachments.c.webservice_id, attachments.c.blob_key)
NOT_DOWNLOADED = text("state <> 'spooled'")
Index(
    "ix_attachments_missing",
    attachments.c.webservice_id,
    sqlite_where=NOT_DOWNLOADED,
    postgresql_where=NOT_DOWNLOADED,
)

attempts = Table(  # those that did not deliver; a delivered one has its receipt
    "attempts",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("delivery_id", Id, ForeignKey("deliveries.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("ended_at", BigInteger, nullable=False),
    Column("result", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_attempts_delivery", "delivery_id"),
)

compatibility = Table(  # one row: the oldest revision whose program may work on this store; see `schema_version`
    "compatibility",
    metadata,
    Column("oldest", Text, primary_key=True),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("received_at", BigInteger, nullable=False),
    Column("path", Text, nullable=False),
    Column("client", Text),
    Column("reason", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("code", Text, nullable=False, server_default=text("'unknown'")),
    Column("size", BigInteger, nullable=False, server_default=text("0")),  # bytes of `body`
    Column("full_size", BigInteger, nullable=False, server_default=text("0")),  # as it came
    Column("coding", Text),  # what `Content-Encoding` said
    Column("senders", Text),  # JSON: whose headers it carried; null: not known
    Index("ix_quarantine_kept", "id", "size", "code"),  # a body is long, and what stands behind it is far away
)

backfilled = Table(  # records that came by reconciliation; of two that would let one in, the primary key lets one
    "backfilled",
    metadata,
    Column("record_key", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("notification_id", Id, nullable=False),  # no foreign key: the record stays known when that is deleted
    Column("kept_at", BigInteger, nullable=False),
    Index("ix_backfilled_notification", "notification_id"),
)

late_creates = Table(  # create notifications of records that were backfilled before; their outcome is that of those
    "late_creates",
    metadata,
    Column(
        "notification_id", Id, ForeignKey("notifications.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    Column("backfill_id", Id, nullable=False),
)

reconciled = Table(  # how far what doForms received was compared with what was kept, by web service
    "reconciled",
    metadata,
    Column("webservice_id", Text, primary_key=True),
    Column("until", BigInteger),  # each new record that doForms received before is kept; null: not known
    Column("round_at", BigInteger),  # when the last round ended
    Column("holder", Text),  # set while a process reconciles it, under a lease that ends at `lease_until`
    Column("lease_until", BigInteger),
    Column("deaths", Integer, nullable=False, server_default=text("0")),  # of processes amid a round, in a row
    Column("not_before", BigInteger),  # when the next round may begin after one of those
)

alarms = Table(
    "alarms",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("raised_at", BigInteger, nullable=False),
    Column("times", Integer, nullable=False, server_default=text("1")),  # how often its cause was met while raised
    Column("last_at", BigInteger, nullable=False),
    Column("cleared_at", BigInteger),
)
Index(
    "uq_alarms_open",
    alarms.c.kind,
    alarms.c.subject,
    unique=True,
    sqlite_where=alarms.c.cleared_at.is_(None),
    postgresql_where=alarms.c.cleared_at.is_(None),
)

questions = Table(  # what is known of each form's questions from its records; the row without a path counts those
    "questions",
    metadata,
    Column("webservice_id", Text, primary_key=True),
    Column("record_kind", Text, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("first_at", BigInteger),  # null: templates ask for it, and no record has had it yet
    Column("last_at", BigInteger),
    Column("seen", BigInteger, nullable=False),  # in so many records
    # Numbers of records of the form, or of those in which its table had rows: those before, and the last that had it.
    Column("since", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("alarm", Text),  # the alarm that was raised about it: "new", "missing" or "ambiguous"
)

pauses = Table(  # destinations and web services that wait for a person, or for a time
    "pauses",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("cause", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger),
)

clock = Table(  # one row: what the store's clock showed last, to notice when it leaps; see `gateway.store.work.leaps`
    "clock",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("leaps", Integer, nullable=False, server_default=text("0")),  # so many were put right
    Column("leapt_at", BigInteger),  # when the last one was noticed, by the clock as it was then
)
