"""Deliveries whose route or destination is not loaded any more: they wait, under an alarm."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.alarms.book import AlarmBook, AlarmStep
from gateway.jobs import Due, Settlement
from gateway.models import AlarmKind, DeliveryState, ReasonCode
from gateway.routing.active import ActiveRoutes
from gateway.store.operator import alarm_conditions
from gateway.store.store import Store
from gateway.store.work import alarms
from gateway.store.work.alarms import Alarm


@dataclass(frozen=True, slots=True)
class DeliveryRef:
    """A delivery's way through the routes file."""

    route: str
    name: str
    destination: str

    @property
    def subject(self) -> str:
        """The subject of its alarm."""
        return f"{self.route}/{self.name} to {self.destination}"

    @property
    def reason(self) -> str:
        """Why its deliveries wait."""
        return f"the delivery {self.name} of the route {self.route} to {self.destination} is not in the routes file"

    def wait(self, due: Due, until: int) -> Settlement:
        """Return what becomes of one of its deliveries: it waits until then; how often it was tried stays."""
        return Settlement(
            due=due,
            attempt_id=None,
            state=DeliveryState.PENDING,
            due_at=until,
            reason=self.reason,
            code=ReasonCode.NOT_LOADED,
            subject=self.subject,
            cut_short=due.left_by is not None,
        )


def is_loaded(active: ActiveRoutes, ref: DeliveryRef) -> bool:
    """Tell whether the routes in force still lead there."""
    loaded = active.delivery(ref.route, ref.name)
    return (
        loaded is not None
        and loaded[1].destination == ref.destination
        and ref.destination in active.routes.destinations
    )


class Orphans:
    """Raises the alarms of deliveries that are not loaded, and clears them."""

    def __init__(self, *, store: Store, active: ActiveRoutes) -> None:
        self._store = store
        self._alarms = AlarmBook(store)
        self._active = active

    async def met(self, ref: DeliveryRef) -> None:
        """Raise the alarm of a delivery that was claimed and is not loaded."""
        await self._alarms.raise_alarm(AlarmKind.NOT_LOADED, ref.subject, ref.reason)

    async def look(self, *, thoroughly: bool = False) -> None:
        """Compare what waits with the routes in force; goes through all that waits only where there is a reason to."""
        codes = alarm_conditions.DOFORMS_WAITS
        if thoroughly and await self._store.read(lambda c: alarm_conditions.waits_because(c, *codes)):
            await self._store.write(lambda c: alarm_conditions.make_due(c, *codes))
        raised = [alarm for alarm in await self._store.read(alarms.list_alarms) if alarm.kind == AlarmKind.NOT_LOADED]
        if not (raised or thoroughly):
            waiting = await self._store.read(alarm_conditions.waiting_destinations)
            if waiting <= self._active.routes.destinations.keys():
                return
        refs = [
            DeliveryRef(delivery.route, delivery.name, delivery.destination)
            for delivery in await self._store.read(alarm_conditions.waiting_deliveries)
        ]
        loaded = {ref.subject: ref for ref in refs if is_loaded(self._active, ref)}
        missing = {ref.subject: ref for ref in refs if ref.subject not in loaded}
        for subject in missing.keys() - {alarm.subject for alarm in raised}:
            await self.met(missing[subject])
        for alarm in raised:
            if alarm.subject not in missing:
                await self._clear(alarm, loaded.get(alarm.subject))

    async def _clear(self, alarm: Alarm, ref: DeliveryRef | None) -> None:
        """Clear an alarm; ``way`` is loaded again and has deliveries, which are due now."""

        def clear(step: AlarmStep) -> None:
            step.clear(alarm.kind, alarm.subject)
            if ref is not None:
                alarm_conditions.make_due(step.connection, ReasonCode.NOT_LOADED, subject=ref.subject)

        await self._alarms.write(clear)
