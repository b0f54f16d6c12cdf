"""A service call that is dispatched to somebody, and the report that is written of it."""

from __future__ import annotations

from typing import Any

from gateway.doforms.simulator.fields import field
from gateway.doforms.simulator.forms.form import Form, Paper, answer, location, section, unanswered
from gateway.doforms.simulator.forms.words import CUSTOMERS, PEOPLE, REMARKS, SITES, clock, digits, moment

FLOW = ("Pending", "Scheduled", "Sent", "Received", "Viewed", "On my way", "Waiting for parts", "Completed")
"""The statuses in their order; two of them are of the customer's own making."""


def _service_call(paper: Paper) -> list[dict[str, Any]]:
    chance = paper.chance
    devices = [
        {"fields": [field("device", f"Pump {chance.randint(1, 40)}"), field("hours_run", digits(chance, 4, 1))]}
        for _ in range(chance.randint(1, 3))
    ]
    return [
        field("call_number", 500 + chance.randrange(9_000)),
        field("status", FLOW[min(paper.version, len(FLOW) - 1)]),
        section(
            "customer",
            field("name", chance.choice(CUSTOMERS)),
            field("street", chance.choice(SITES)),
            location("position", digits(chance, 2, 6), digits(chance, 2, 6)),
        ),
        field("technician", chance.choice(PEOPLE)),
        field("appointment", moment(chance)),
        {"name": "devices", "type": "table", "fields": devices},
    ]


def _service_report(paper: Paper) -> list[dict[str, Any]]:
    chance = paper.chance
    return [
        *_service_call(paper),
        section(
            "report",
            field("arrived", clock(chance)),
            field("solved", chance.random() < 0.8),
            field("what_was_done", chance.choice(REMARKS)),
            answer("meter", "barcode", f"{chance.getrandbits(40):012}", "barcode"),
            unanswered("rating", "integer", "numeric"),
            *paper.maybe(0.8, paper.photo("customer_signature", type="image/png", size=9_000)),
        ),
    ]


SERVICE_CALL = Form(
    "Service call",
    "a dispatch that goes through statuses, some of the customer's making, and the submission that ends it",
    _service_report,
    write_dispatch=_service_call,
    wraps=True,
)
