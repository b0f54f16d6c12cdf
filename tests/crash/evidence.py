"""What is known at the end of a seed: what doForms sent and heard, what the store says, what is at the destinations."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, select

from gateway.models import DeliveryState, Outcome
from gateway.store.operator.integrity import inspect
from gateway.store.tables import deliveries, lanes, notifications
from tests.crash import effects
from tests.crash.effects import Row, Warehouse
from tests.crash.faults import Done
from tests.crash.load import Sent
from tests.crash.service import Call

KILLER = ("banes", "killer")
_LAPSED = "lease was lost"
"""In the log of whoever notices it."""


@dataclass(slots=True, kw_only=True)
class KeptDelivery:
    """A delivery as the store has it."""

    route: str
    name: str
    notification: str
    """The key of its notification."""
    record: str
    key: str
    state: DeliveryState
    number: int = 0
    lane: int = 0
    required: bool = True
    sending: bool = False
    """Whether an attempt of it has no known end."""
    doubt: bool = False
    reason: str = ""
    code: str | None = None
    receipt: Any = None

    @property
    def where(self) -> tuple[str, str]:
        """Its route and name."""
        return self.route, self.name


@dataclass(slots=True, kw_only=True)
class KeptNotification:
    """A notification as the store has it."""

    key: str
    id: int = 0
    record: str = ""
    matched: bool = True
    outcome: Outcome | None = None
    report_state: str = ""
    deliveries: list[KeptDelivery] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Evidence:
    """The material of the books."""

    sent: Sequence[Sent] = ()
    kept: Sequence[KeptNotification] = ()
    held_lanes: Sequence[int] = ()
    """Lanes that somebody holds though every gateway has ended."""
    inconsistencies: Sequence[str] = ()
    """What ``gateway store check`` finds in the store."""
    entries: Sequence[Row] = ()
    plain: Sequence[Row] = ()
    state: Sequence[Row] = ()
    lines: Sequence[Row] = ()
    calls: Sequence[Call] = ()
    """What happened at the REST service, in the order in which it happened first."""
    keyless: int = 0
    deadly: Mapping[str, int] = field(default_factory=dict)
    """How often each notification that kills whoever sends it came to the service."""
    done: Sequence[Done] = ()
    lapses: Sequence[float] = ()
    """When a gateway found, by its log, that it had lost a lease: it had stood still, or the machine was too busy."""
    unasked: Sequence[str] = ()
    """Ends of gateways that nobody had ordered."""

    @property
    def by_key(self) -> Mapping[str, KeptNotification]:
        """The kept notifications by their key."""
        return {one.key: one for one in self.kept}

    @property
    def deliveries(self) -> Sequence[KeptDelivery]:
        """All deliveries."""
        return [one for notification in self.kept for one in notification.deliveries]

    @property
    def effects(self) -> Mapping[tuple[str, str], Sequence[Row]]:
        """What happened, by route and delivery name, in the order in which it happened (but for ``state``)."""
        found: dict[tuple[str, str], Sequence[Row]] = {
            ("inspections", "entries"): self.entries,
            ("notes", "plain"): self.plain,
            ("orders", "folder"): self.lines,
        }
        by_path: dict[str, list[Row]] = defaultdict(list)
        for call in self.calls:
            by_path[call.path].append(Row(call.record, call.notification, call.seq, key=call.key))
        for where in (("inspections", "service"), ("orders", "strictly"), ("notes", "loosely"), KILLER):
            found[where] = by_path[where[1]]
        return found


def read_inconsistencies(url: str) -> list[str]:
    """Return what the store check finds."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return [f"{one.name}: {', '.join(one.examples)}" for one in inspect(connection)]
    finally:
        engine.dispose()


def read_store(url: str) -> tuple[list[KeptNotification], list[int]]:
    """Return the notifications with their deliveries, and the lanes that are held."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            held = select(lanes.c.id).where(lanes.c.holder.is_not(None))
            return _kept(connection), list(connection.execute(held).scalars())
    finally:
        engine.dispose()


def _kept(connection: Connection) -> list[KeptNotification]:
    found = {}
    for row in connection.execute(select(notifications).order_by(notifications.c.id)):
        found[row.id] = KeptNotification(
            key=row.notification_key,
            id=row.id,
            record=row.record_key or "",
            matched=row.matched,
            outcome=None if row.outcome is None else Outcome(row.outcome),
            report_state=row.report_state,
        )
    for row in connection.execute(select(deliveries).order_by(deliveries.c.id)):
        of = found[row.notification_id]
        of.deliveries.append(
            KeptDelivery(
                route=row.route,
                name=row.name,
                notification=of.key,
                record=of.record,
                key=row.delivery_key,
                state=DeliveryState(row.state),
                number=row.number,
                lane=row.lane_id,
                required=row.required,
                sending=row.sending_at is not None,
                doubt=row.doubt,
                reason=row.reason or "",
                code=row.reason_code,
                receipt=None if row.receipt is None else json.loads(row.receipt),
            )
        )
    return list(found.values())


def read_lapses(logs: Iterable[Path]) -> list[float]:
    """Return when gateways found that they had lost a lease, by `time.monotonic`."""
    ahead = time.time() - time.monotonic()
    lines = [line for log in logs for line in log.read_text(errors="replace").splitlines()]
    told = [json.loads(line)["timestamp"] for line in lines if _LAPSED in line and line.startswith("{")]
    return [datetime.fromisoformat(one).timestamp() - ahead for one in told]


def read_effects(warehouse: Warehouse, folder: Path) -> dict[str, Sequence[Row]]:
    """Return what was written to the tables and the file."""
    return {
        "entries": warehouse.rows(effects.entries),
        "plain": warehouse.rows(effects.plain),
        "state": warehouse.rows(effects.state),
        "lines": effects.lines(folder / "orders.jsonl"),
    }
