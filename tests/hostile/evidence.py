"""The material of the books, without what the attacks left behind, and whether the work is done."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import create_engine, func, or_, select

from gateway.models import DeliveryState, ReportState
from gateway.store.tables import deliveries, lanes, notifications
from tests.crash.evidence import Evidence, read_effects, read_inconsistencies, read_lapses, read_store
from tests.crash.faults import Done
from tests.crash.plan import Fault, Kind
from tests.crash.stores import Place
from tests.hostile.stage import Stage
from tests.hostile.traffic import GOOD


def is_done(store: str) -> bool:
    """Tell whether nothing is under way that could go on by itself."""
    good = notifications.c.notification_key.like(f"{GOOD}%")
    pending = deliveries.c.state == DeliveryState.PENDING
    of_them = notifications.join(deliveries, deliveries.c.notification_id == notifications.c.id)
    owed = notifications.c.report_state.in_([ReportState.OPEN, ReportState.DUE])
    engine = create_engine(store)
    try:
        with engine.connect() as connection:
            held = connection.scalar(select(func.count()).select_from(lanes).where(lanes.c.holder.is_not(None)))
            open_ = select(func.count()).select_from(of_them).where(good, pending)
            told = (
                select(func.count())
                .select_from(notifications)
                .where(good, or_(notifications.c.outcome.is_not(None)), owed)
            )
            return not (held or connection.scalar(open_) or connection.scalar(told))
    finally:
        engine.dispose()


def gather(stage: Stage, place: Place, folder: Path) -> Evidence:
    """Return what is known at the end of the good traffic."""
    kept, held = read_store(place.store)
    return Evidence(
        sent=stage.traffic.sent,
        kept=[one for one in kept if one.key.startswith(GOOD)],
        held_lanes=held,
        inconsistencies=read_inconsistencies(place.store),
        **read_effects(stage.warehouse, folder / "files"),
        calls=list(stage.service.calls.values()),
        keyless=stage.service.keyless,
        done=[Done(Fault(Kind.KILL, 0.0, 0.0), began, ended) for began, ended in stage.downs],
        # A leap ends leases and waits early, and the log tells that by the clock that leapt.
        lapses=[*read_lapses(one.process.log_file for one in stage.gateways), *stage.leaps],
        unasked=[text for one in stage.gateways for text in one.unasked],
    )
