"""Decides when the questions of a form have drifted from the routes. Pure: no clock, no store.

Unanswered questions are left out by doForms, so that one record without a question says nothing. The rules:

- A question is *missing* when chance hardly explains any more that the last records are all without it: less than one
  in a million, judged by how often it came before, and at least ten records in a row. One that never came is missing
  when fifty records were without it.
- A question is *new* when ten records or more came without it, and hardly any question of the form is still seldom:
  while those that are answered now and then turn up one after the other, the form is being got to know.
- A name is *ambiguous* when templates ask for it and records have brought it under several paths, be it not at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from gateway.doforms.form_values import EMPTY
from gateway.drift.ambiguity import InSeveralPlaces, in_several_places
from gateway.drift.counters import MOST, Tally, counted_by
from gateway.drift.usage import Mapped, Mappings, Paths, Wanted
from gateway.store.work.questions import Question

NEW, MISSING, AMBIGUOUS = "new", "missing", "ambiguous"
"""What stands in `Question.alarm`."""
_NEVER_SEEN = 50
_IN_A_ROW = 10
_CHANCE = 1e-6
_KNOWN_AFTER = 10
_SELDOM = 0.05
_HISTORY = 100
"""Records before its first that count when it is judged how often a question comes: it may be one of the rare ones."""


@dataclass(slots=True)
class Changes:
    """What is to be written, and what a person must hear of."""

    changed: dict[str, Question] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)
    new: list[Question] = field(default_factory=list)
    """Questions that no template asks for."""
    missing: list[tuple[Question, list[Mapped]]] = field(default_factory=list)
    """Questions that templates ask for, each with the places."""
    settled: bool = False
    """Some question of which an alarm told as new is asked for now."""
    back: list[Question] = field(default_factory=list)
    """Questions whose alarm as missing has ended."""
    ambiguous: list[tuple[Question, InSeveralPlaces]] = field(default_factory=list)
    """Names that stand in several places, each with the question there under which its alarm is kept."""
    told_apart: list[str] = field(default_factory=list)
    """Paths of the questions under which the alarms of names were kept that are not ambiguous any more."""


def evaluate(known: dict[str, Question], tallies: Mapping[str, Tally], asked: Mappings, *, moment: int) -> Changes:
    """Add what was counted to what is known, and compare that with what the routes ask for."""
    changes = Changes()
    before = {path: question.seen for path, question in known.items()}
    told = {path for path, question in known.items() if question.alarm == AMBIGUOUS}
    fresh = _add(known, tallies, before, changes, moment=moment)
    wanted = _by_question(asked)
    _find_new(known, fresh, asked, changes)
    if "" in known:
        _find_missing(known, wanted, before, changes)
    _find_ambiguous(known, asked, told, changes)
    return changes


def brought(known: Mapping[str, Question]) -> dict[str, str]:
    """Return path -> kind of what records have brought."""
    return {path: question.kind for path, question in known.items() if question.first_at is not None}


def absent(question: Question, known: Mapping[str, Question]) -> int:
    """Tell how many records in a row have been without a question."""
    return _records(question.path, known) - question.last


def is_missing(question: Question, known: Mapping[str, Question]) -> bool:
    """Tell whether chance hardly explains any more that a question does not come."""
    without = absent(question, known)
    if question.first_at is None:
        return without >= _NEVER_SEEN
    before = question.last - question.since
    chance = (max(0, before - question.seen) + 1) / (before + 2)
    return bool(without >= _IN_A_ROW and chance**without < _CHANCE)


def _records(path: str, known: Mapping[str, Question]) -> int:
    owner = known.get(counted_by(path))
    return owner.seen if owner is not None else 0


def _add(
    known: dict[str, Question],
    tallies: Mapping[str, Tally],
    before: Mapping[str, int],
    changes: Changes,
    *,
    moment: int,
) -> list[tuple[Question, int]]:
    """Add counts; returns the questions that are new, each with how many records had come without it."""
    fresh: list[tuple[Question, int]] = []
    for path, tally in tallies.items():
        start = before.get(counted_by(path), 0) if path else before.get("", 0)
        question = known.get(path)
        if question is None and len(known) > MOST:
            continue
        if question is None or question.first_at is None:
            without = start + tally.first - 1
            if question is None:
                question = known[path] = Question(path=path, since=max(0, without - _HISTORY))
            question.first_at = moment
            fresh.append((question, without))
        question.kind, question.last_at = tally.kind, moment
        question.seen += tally.seen
        question.last = start + tally.last
        changes.changed[path] = question
    return fresh


def _by_question(asked: Mappings) -> dict[Wanted, list[Mapped]]:
    found: dict[Wanted, list[Mapped]] = {}
    for place in asked.places:
        found.setdefault(place.wanted, []).append(place)
    return found


def _find_new(
    known: Mapping[str, Question],
    fresh: list[tuple[Question, int]],
    asked: Mappings,
    changes: Changes,
) -> None:
    takes, names = asked.takes(Paths(known)), {question.path for question, _ in fresh}
    for question in known.values():
        if question.alarm == NEW and takes(question.path, question.kind):
            question.alarm = None
            changes.settled = True
            changes.changed[question.path] = question
    candidates = [
        question
        for question, without in fresh
        if without >= _KNOWN_AFTER and question.path and not question.path.endswith("[]") and question.kind != EMPTY
    ]
    candidates = [one for one in candidates if counted_by(one.path)[:-2] not in names or not counted_by(one.path)]
    if candidates and _is_well_known(known, {one.path for one in candidates}):
        changes.new = [one for one in candidates if not takes(one.path, one.kind)]
        for one in changes.new:
            one.alarm = NEW


def _is_well_known(known: Mapping[str, Question], besides: Collection[str]) -> bool:
    """Tell whether hardly any question is still to be expected that never came (after Good and Turing)."""
    rows = tuple(f"{path}[]" for path in besides)
    seldom = sum(
        one.seen == 1 and one.alarm != NEW and path not in besides and not path.startswith(rows)
        for path, one in known.items()
    )
    return seldom <= _SELDOM * known[""].seen


def _find_missing(
    known: dict[str, Question], wanted: Mapping[Wanted, list[Mapped]], before: Mapping[str, int], changes: Changes
) -> None:
    looked_at: set[str] = set()
    missing: set[str] = set()
    met = Paths(path for path, question in known.items() if question.first_at is not None)
    for one, places in wanted.items():
        found = _meant(known, met, one, before, changes)
        looked_at.update(question.path for question in found)
        if not found or not all(is_missing(question, known) for question in found):
            continue
        told = [question for question in found if question.alarm == MISSING]
        if not told:
            last = max(found, key=lambda question: question.last)
            last.alarm = MISSING
            changes.changed[last.path] = last
            changes.missing.append((last, places))
        missing.update(question.path for question in found)
    for path, question in known.items():
        if question.alarm == MISSING and path not in missing:
            question.alarm = None
            changes.changed[path] = question
            changes.back.append(question)
        if question.first_at is None and path not in looked_at:
            changes.forgotten.append(path)
            changes.changed.pop(path, None)


def _find_ambiguous(known: Mapping[str, Question], asked: Mappings, told: Collection[str], changes: Changes) -> None:
    """Find names in several places; ``told`` are the paths under which alarms of such names are kept."""
    standing: set[str] = set()
    for one in in_several_places(brought(known), asked):
        questions = [known[path] for path in one.paths]
        keeping = [question for question in questions if question.alarm == AMBIGUOUS]
        if not keeping:
            keeping = [question for question in questions if question.alarm is None][:1]
            changes.ambiguous += [(question, one) for question in keeping]
        for question in keeping:
            question.alarm = AMBIGUOUS
            changes.changed[question.path] = question
        standing.update(question.path for question in keeping)
    for path in told:
        if path not in standing:
            changes.told_apart.append(path)
            if known[path].alarm == AMBIGUOUS:
                known[path].alarm = None
                changes.changed[path] = known[path]


def _meant(
    known: dict[str, Question], met: Paths, wanted: Wanted, before: Mapping[str, int], changes: Changes
) -> list[Question]:
    """Return the questions that a template may mean; one that no record has had is looked out for from now on."""
    if found := wanted.find(met):
        return [known[path] for path in found]
    path = wanted.name
    if wanted.column is not None:
        tables = [table for table in replace(wanted, column=None).find(met) if f"{table}[]" in known]
        if not tables:
            return []  # the table itself is looked out for
        path = f"{tables[0]}[].{wanted.column}"
    if path not in known:
        records = before.get(counted_by(path), 0)
        known[path] = changes.changed[path] = Question(path=path, since=records, last=records)
    return [known[path]]
