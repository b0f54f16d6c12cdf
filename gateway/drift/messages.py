"""What alarms say of questions that have drifted away from the routes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.drift.ambiguity import InSeveralPlaces
from gateway.drift.mismatch import meant
from gateway.drift.rules import absent, brought
from gateway.drift.usage import Mapped, Mappings
from gateway.store.work.questions import Question

_SHOWN = 20
"""Questions or places that a text names."""


def say_new(form: str, questions: Sequence[Question], asked: Mappings) -> str:
    """Say which questions are new, and which deliveries leave them out."""
    named = _listed([f"{one.path!r} ({one.kind})" for one in sorted(questions, key=lambda one: one.path)])
    ways = _listed([f"route {route}, delivery {delivery}" for route, delivery in asked.choosing])
    return (
        f'records of the form "{form}" bring questions that were not in those before: {named}. No template asks for '
        f"them in: {ways}. Add them there if they are to be sent, and load the routes again; else clear this alarm"
    )


def say_missing(form: str, question: Question, places: Sequence[Mapped], known: Mapping[str, Question]) -> str:
    """Say which question does not come any more, and which templates ask for it."""
    without, asking = absent(question, known), _listed([str(place) for place in places])
    if question.first_at is None:
        close = meant(question.path, brought(known))
        hint = f"Did you mean {close!r}? " if close else ""
        return (
            f'the question {question.path!r} was in none of the {without} records of the form "{form}" that came since '
            f"it is asked for: {asking}. {hint}Without it these are null; correct the name, or clear this alarm"
        )
    return (
        f'the question {question.path!r} was in none of the last {without} records of the form "{form}"; before that '
        f"it was in {question.seen} of {question.last - question.since}. It is asked for by: {asking}, and null there. "
        "If the form has changed, change the routes too"
    )


def say_ambiguous(form: str, one: InSeveralPlaces) -> str:
    """Say which name stands in several places of a form, and which templates ask for it."""
    return (
        f'the name {one.question!r} stands in several places of the form "{form}", as its records have shown: '
        f"{_listed([repr(path) for path in one.paths])}. It is asked for by: {_listed(one.asked_by)}. {MIXED}"
    )


MIXED = (
    "A record in which one of them is answered gives that one, whichever it is; one in which several are is dead. Ask "
    'for the path of the one that is meant: record.paths["PATH"], of a column row["PATH"]'
)
"""What comes of asking for a name that stands in several places, and what to do."""


def say_left_out(form: str, question: str, way: str, why: str) -> str:
    """Say that a destination has no place for a question."""
    return (
        f'the question {question!r} of the form "{form}" is left out by {way}: {why}. The rest is sent; make a place '
        "for it, and it is sent with the next record"
    )


def _listed(items: Sequence[str]) -> str:
    more = len(items) - _SHOWN
    return "; ".join(items[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
