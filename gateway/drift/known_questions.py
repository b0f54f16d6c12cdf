"""Which questions a form is known to have, for destinations that clear what a record does not answer any more.

doForms leaves unanswered questions out of a record. What is known comes from three places, as each misses something:
what this process met since it started, what all processes wrote to the store, and this very record as it was before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable

from sqlalchemy import Connection

from gateway.config.loaded import DeliverySpec
from gateway.doforms.record import decode_record
from gateway.drift.counters import counted_by
from gateway.models import Event, Record
from gateway.store.store import Store
from gateway.store.work import questions, records
from gateway.store.work.questions import FormOf
from gateway.store.work.records import KeptNotification

_EVERY = 30.0
"""Seconds after which the store is asked again what others have learnt of a form."""

Met = Callable[[FormOf], Collection[str]]
"""Returns the paths of the questions of a form that this process has met."""


class KnownQuestions:
    """Tells the paths of the questions of forms; rows of tables are not among them, tables are."""

    def __init__(self, *, store: Store, met: Met, every: float = _EVERY) -> None:
        self._store = store
        self._met = met
        self._every = every
        self._kept: dict[FormOf, tuple[float, frozenset[str]]] = {}

    async def of(self, spec: DeliverySpec, kept: KeptNotification, record: Record | None) -> frozenset[str]:
        """Return the questions of the form of a delivery's record if its plugin asks for them; of a delete none."""
        if not spec.traits.questions or record is None or kept.notification.event is Event.DELETE:
            return frozenset()
        form = FormOf(kept.notification.webservice_id, record.kind)
        of_store, earlier = await self._store.read(lambda connection: self._look(connection, kept, form))
        return of_store | _questions(self._met(form)) | _questions(record.kinds) | _questions(earlier)

    def _look(
        self, connection: Connection, kept: KeptNotification, form: FormOf
    ) -> tuple[frozenset[str], Collection[str]]:
        asked_at, of_store = self._kept.get(form, (float("-inf"), frozenset()))
        if time.monotonic() - asked_at > self._every:
            known = questions.known(connection, form).values()
            of_store = _questions(one.path for one in known if one.first_at is not None)
            self._kept[form] = time.monotonic(), of_store
        key = kept.notification.record_key
        found = None if key is None else records.last_pinned(connection, kept.account, key, kept.id)
        if found is None or found[0] is not form.record_kind:
            return of_store, ()
        return of_store, decode_record(found[1], kind=found[0]).kinds


def _questions(paths: Iterable[str]) -> frozenset[str]:
    return frozenset(path for path in paths if path and not path.endswith("[]") and not counted_by(path))
