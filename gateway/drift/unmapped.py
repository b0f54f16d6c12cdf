"""Raises an alarm for a question that a destination has no place for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway.alarms.book import AlarmBook, AlarmStep
from gateway.config.loaded import DeliverySpec, Route
from gateway.drift.messages import say_left_out
from gateway.drift.usage import asked_in
from gateway.models import AlarmKind, Event, Receipt
from gateway.record_answers import every_answer
from gateway.records.fetcher import Records
from gateway.routing.active import ActiveRoutes
from gateway.store.store import Store
from gateway.store.work import alarms
from gateway.store.work.records import KeptNotification

_MOST = 50
"""Questions of one delivery that have an alarm each: a record can bring any number, so that the others share one."""
_OTHERS = "further questions"


class Sent(Protocol):
    """A delivery that was sent, of what and by which way."""

    route: Route
    spec: DeliverySpec
    kept: KeptNotification
    records: Records


Way = tuple[str, str]
"""Route and delivery."""


class LeftOut:
    """Follows what destinations say of questions in their receipts; ``wake`` has `write` called soon."""

    def __init__(self, *, store: Store, active: ActiveRoutes, wake: Callable[[], None]) -> None:
        self._store = store
        self._alarms = AlarmBook(store)
        self._active = active
        self._wake = wake
        self._standing: dict[Way, set[str]] = {}
        self._news: dict[str, str | None] = {}
        """Subject -> the text of an alarm to raise, or None for one to clear."""

    def delivered(self, job: Sent, receipt: Receipt) -> None:
        """Take note of a receipt."""
        way = job.route.name, job.spec.name
        standing = self._standing.get(way)
        if not (receipt.left_out or standing) or job.kept.notification.event is Event.DELETE:
            return
        standing = self._standing.setdefault(way, set())
        fresh = receipt.left_out.keys() - standing
        if fresh:
            fresh -= asked_in(job.route, job.spec)
        room = max(0, _MOST - len(standing))
        for question in sorted(fresh)[:room]:
            standing.add(question)
            self._tell(way, question, self._text(job, question, receipt.left_out[question]))
        for question in sorted(fresh)[room:][:1]:
            self._tell(way, _OTHERS, self._text(job, question, receipt.left_out[question]))
        record = job.records.record
        if record is None:
            return
        for question in (standing - receipt.left_out.keys()) & every_answer(record).keys():
            standing.discard(question)
            self._tell(way, question, None)

    def _text(self, job: Sent, question: str, why: str) -> str:
        notification = job.kept.notification
        webservice = self._active.webservice(notification.webservice_id)
        form = notification.webservice_id if webservice is None else webservice.form
        return say_left_out(form, question, f"route {job.route.name}, delivery {job.spec.name}", why)

    def _tell(self, way: Way, question: str, text: str | None) -> None:
        self._news[_prefix(way) + question] = text
        self._wake()

    async def write(self, *, thoroughly: bool) -> None:
        """Raise and clear alarms; ``thoroughly`` after routes were loaded."""
        await self._load(thoroughly=thoroughly)
        news, self._news = self._news, {}
        if not news:
            return

        def write(step: AlarmStep) -> None:
            for subject, text in sorted(news.items()):
                _write(step, subject, text)

        try:
            await self._alarms.write(write)
        except BaseException:
            self._news = news | self._news  # they are told only once: the next time must tell them
            raise

    async def _load(self, *, thoroughly: bool) -> None:
        """See which alarms stand, raised by whichever process; of deliveries not loaded any more they have ended."""
        ways = [(route.name, spec.name) for route in self._active.routes.routes for spec in route.deliveries]
        self._standing = {way: asked for way, asked in self._standing.items() if way in ways}
        for alarm in await self._store.read(alarms.list_alarms):
            if alarm.kind != AlarmKind.QUESTION_LEFT_OUT or alarm.subject in self._news:
                continue
            found = [way for way in ways if alarm.subject.startswith(_prefix(way))]
            for way in found:
                self._standing.setdefault(way, set()).add(alarm.subject.removeprefix(_prefix(way)))
            if thoroughly and not found:
                self._news[alarm.subject] = None


def _write(step: AlarmStep, subject: str, text: str | None) -> None:
    if text is None:
        step.clear(AlarmKind.QUESTION_LEFT_OUT, subject)
    else:
        step.raise_alarm(AlarmKind.QUESTION_LEFT_OUT, subject, text)


def _prefix(way: Way) -> str:
    return f"{way[0]}/{way[1]}: "
