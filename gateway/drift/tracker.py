"""Drift: notices when the questions of a form and the routes do not fit any more, and tells a person once.

Counting is done in memory and written in batches, so that no record waits for it; what a killed process had not
written is lost, which only makes it notice later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

import structlog

from gateway.alarms.book import AlarmBook, AlarmStep
from gateway.config.loaded import Routes, Webservice
from gateway.doforms.record import unknown_kinds
from gateway.drift.counters import MOST, Counts
from gateway.drift.messages import say_ambiguous, say_missing, say_new
from gateway.drift.rules import NEW, Changes, evaluate
from gateway.drift.unmapped import LeftOut
from gateway.drift.usage import Mappings, mappings
from gateway.models import AlarmKind, Record
from gateway.routing.active import ActiveRoutes
from gateway.store.engine.database import describe
from gateway.store.engine.transaction_time import ask
from gateway.store.store import Store
from gateway.store.work import alarms, questions
from gateway.store.work.questions import FormOf, Question

log = structlog.get_logger(__name__)

_EVERY = 30.0
"""Seconds between two times that counts are written."""
_GATHER = 1.0
"""Seconds after which they are written when a record brought a question that this process had not met."""
_MOST_WARNED = 10_000


class Drift:
    """Learns the questions of each form from its records, and compares them with what the routes ask for."""

    def __init__(self, *, store: Store, active: ActiveRoutes, every: float = _EVERY, gather: float = _GATHER) -> None:
        self._store = store
        self._alarms = AlarmBook(store)
        self._active = active
        self._every = every
        self._gather = gather
        self._counts: dict[FormOf, Counts] = {}
        self._met: dict[FormOf, set[tuple[str, str]]] = {}
        self._warned: set[tuple[str, str]] = set()
        self._news = asyncio.Event()
        self._left_out = LeftOut(store=store, active=active, wake=self._news.set)
        self.delivered = self._left_out.delivered
        self._judged_by: Routes | None = None
        self._mappings: dict[FormOf, tuple[Mappings, Mappings]] = {}

    def saw(self, webservice: Webservice, record: Record) -> None:
        """Count the questions of a record that was fetched."""
        form = FormOf(webservice.id, record.kind)
        self._counts.setdefault(form, Counts()).count(record.kinds)
        met = self._met.setdefault(form, set())
        if record.kinds.items() <= met:
            return
        self._warn(webservice.form, record)
        if len(met) < MOST:
            met.update(record.kinds.items())
            self._news.set()

    def met(self, form: FormOf) -> list[str]:
        """Return the paths of the questions of a form that this process has met in records."""
        return [path for path, _ in self._met.get(form, ())]

    def _warn(self, form: str, record: Record) -> None:
        for path, kind in unknown_kinds(record).items():
            if (form, path) not in self._warned and len(self._warned) < _MOST_WARNED:
                self._warned.add((form, path))
                log.warning(
                    "a question holds a kind of value that is not known; it is passed through",
                    form=form,
                    question=path,
                    kind=kind,
                )

    async def keep_writing(self) -> None:
        """Write now and then until cancelled; then once more what is left."""
        try:
            while True:
                try:
                    await self.write()
                except Exception as error:
                    log.warning("what records bring could not be compared with the routes", error=describe(error))
                try:
                    await asyncio.wait_for(self._news.wait(), self._every)
                    await asyncio.sleep(self._gather)
                except TimeoutError:
                    pass
        finally:
            await self.write()

    async def write(self) -> None:
        """Write what was counted, and raise and clear alarms; after routes were loaded look at all that stand."""
        self._news.clear()
        routes = self._active.routes
        forms = set(self._counts)
        if routes is not self._judged_by:
            self._mappings.clear()
            forms |= set(await self._store.read(questions.with_alarms))
        for form in forms:
            asked = self._asked(routes, form)
            counts = self._counts.pop(form, Counts())
            await self._alarms.write(partial(_write, form, counts, asked, self._name(form)))
        await self._left_out.write(thoroughly=routes is not self._judged_by)
        self._judged_by = routes

    def _asked(self, routes: Routes, form: FormOf) -> tuple[Mappings, Mappings]:
        """Return what is asked of a form, and what if its web service brings no other records."""
        found = self._mappings.get(form)
        if found is None:
            webservice, kind = routes.webservices.get(form.webservice_id), form.record_kind
            found = Mappings(), Mappings()
            if webservice is not None:
                found = mappings(routes, webservice, kind), mappings(routes, webservice, kind, alone=True)
            self._mappings[form] = found
        return found

    def _name(self, form: FormOf) -> str:
        webservice = self._active.webservice(form.webservice_id)
        return form.webservice_id if webservice is None else webservice.form


def _write(form: FormOf, counts: Counts, either: tuple[Mappings, Mappings], name: str, step: AlarmStep) -> None:
    """Write down and judge what came of one form, and raise and clear its alarms."""
    connection = step.connection
    known = questions.load(connection, form)
    asked = either[questions.is_alone(connection, form)]
    changes = evaluate(known, counts.tallies, asked, moment=ask(connection)[1])
    subject = _subject(form)
    _tell_new(step, form, changes, known, asked, name)
    for question in changes.back:
        step.clear(AlarmKind.QUESTION_MISSING, f"{subject}: {question.path}")
    for path in changes.told_apart:
        step.clear(AlarmKind.QUESTION_AMBIGUOUS, f"{subject}: {path}")
    for question, places in changes.missing:
        text = say_missing(name, question, places, known)
        step.raise_alarm(AlarmKind.QUESTION_MISSING, f"{subject}: {question.path}", text)
    for question, place in changes.ambiguous:
        step.raise_alarm(AlarmKind.QUESTION_AMBIGUOUS, f"{subject}: {question.path}", say_ambiguous(name, place))
    questions.save(connection, form, changes.changed.values())
    questions.forget(connection, form, changes.forgotten)


def _tell_new(
    step: AlarmStep, form: FormOf, changes: Changes, known: Mapping[str, Question], asked: Mappings, name: str
) -> None:
    """Tell of new questions in one alarm for the form; of those that it told before only while it stands."""
    subject, told = _subject(form), [one for one in known.values() if one.alarm == NEW]
    if not told:
        if changes.settled:
            step.clear(AlarmKind.NEW_QUESTIONS, subject)
        return
    if not changes.new:
        return
    if not alarms.is_raised(step.connection, AlarmKind.NEW_QUESTIONS, subject):
        for question in told:
            if question not in changes.new:
                question.alarm = None
                changes.changed[question.path] = question
        told = changes.new
    step.raise_alarm(AlarmKind.NEW_QUESTIONS, subject, say_new(name, told, asked))


def _subject(form: FormOf) -> str:
    kind = form.record_kind.value
    return form.webservice_id if kind == "submission" else f"{form.webservice_id} ({kind})"
