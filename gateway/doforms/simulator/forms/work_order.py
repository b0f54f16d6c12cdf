"""A work order: a table of parts as an array of objects, amounts with more digits than a float holds."""

from __future__ import annotations

from typing import Any

from gateway.doforms.simulator.fields import field
from gateway.doforms.simulator.forms.form import Form, Paper, answer, section, unanswered
from gateway.doforms.simulator.forms.words import CUSTOMERS, PEOPLE, REMARKS, SITES, day, digits, moment

_PARTS = ("Bearing 6204", 'Hose 1/2"', "Gasket", "Relay 24 V", "Filter, fine")
_SKILLS = ("Electrician", "Fitter", "Welder")


def _work_order(paper: Paper) -> list[dict[str, Any]]:
    chance = paper.chance
    parts = [
        {"part": chance.choice(_PARTS), "quantity": chance.randint(1, 12), "price": digits(chance, 3, 4)}
        for _ in range(chance.randint(1, 6))
    ]
    return [
        field("number", 10_000 + chance.randrange(90_000)),
        field("customer", chance.choice(CUSTOMERS)),
        section(
            "site",
            field("street", chance.choice(SITES)),
            field("contact", chance.choice(PEOPLE)),
            *paper.maybe(0.5, field("note", chance.choice(REMARKS))),
        ),
        section("work", field("note", chance.choice(REMARKS)), field("finished", moment(chance))),
        field("due", day(chance)),
        field("skills", chance.sample(_SKILLS, chance.randint(1, 3))),
        answer("parts", "table", parts, "table"),
        answer("total", "number", digits(chance, 6, 20), "calculation"),
        field("done", paper.version > 0),
        unanswered("invoice", "decimal", "numeric"),
        *paper.maybe(0.4, paper.photo("delivery_note", type="application/pdf", size=120_000)),
    ]


WORK_ORDER = Form(
    "Work order", "a table of parts as an array of objects, long decimals, often wrapped", _work_order, wraps=True
)
