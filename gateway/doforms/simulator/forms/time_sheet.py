"""A time sheet: repeated rows, each a list of fields."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from gateway.doforms.simulator.fields import field
from gateway.doforms.simulator.forms.form import Form, Paper, unanswered
from gateway.doforms.simulator.forms.words import CUSTOMERS, PEOPLE, clock, day

_QUARTERS = tuple(Decimal(quarters) / 4 for quarters in range(2, 25))


def _time_sheet(paper: Paper) -> list[dict[str, Any]]:
    chance = paper.chance
    monday = day(chance)
    monday -= timedelta(days=monday.weekday())
    hours = [chance.choice(_QUARTERS) for _ in range(chance.randint(2, 5))]
    rows = [
        [
            field("day", monday + timedelta(days=number)),
            field("began", clock(chance)),
            field("hours", worked),
            field("customer", chance.choice(CUSTOMERS)),
            field("break_taken", chance.random() < 0.9),
        ]
        for number, worked in enumerate(hours)
    ]
    return [
        field("person", chance.choice(PEOPLE)),
        field("week_of", monday),
        {"name": "days", "type": "repeat", "fields": rows},
        field("total_hours", sum(hours, Decimal(0))),
        field("approved", True) if paper.version else unanswered("approved", "boolean", "checkbox"),
    ]


TIME_SHEET = Form("Time sheet", "repeated rows, each a list of fields; approved by an edit", _time_sheet)
