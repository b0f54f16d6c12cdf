"""The script of the demo: what is sent, and what must have come of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.cli.demo.stage import CLAIM, INSPECTION, ORDER, SHEET, Stage
from gateway.doforms.simulator import Seen

_OUTCOMES_WITHIN = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One notification of the demo, and the outcome that is right for it."""

    what: str
    seen: Seen
    outcome: str


async def play(stage: Stage) -> list[Played]:
    """Let things happen at doForms, and wait until it has heard every outcome; raises TimeoutError."""
    doforms = stage.simulator
    inspection = {"site": "North pier", "inspector": "Ada", "risk": "High", "score": 41}
    played = [
        ("inspection added", await doforms.create(INSPECTION, inspection, key="inspection-1"), "completed"),
        (
            "inspection edited",
            await doforms.update(INSPECTION, "inspection-1", inspection | {"score": 43}),
            "completed",
        ),
        (
            "second inspection",
            await doforms.create(INSPECTION, {"site": "Dock 4", "risk": "Low"}, key="i-2"),
            "completed",
        ),
        ("second one deleted", await doforms.delete(INSPECTION, "i-2"), "completed"),
        ("work order added", await doforms.create(ORDER, {"number": 7, "customer": "Old mill"}), "completed"),
        ("work order's status", await doforms.status(ORDER, "dispatch-7", {"state": "Viewed"}), "completed"),
        ("time sheet added", await doforms.create(SHEET, {"person": "Grace", "hours": 7.5}), "completed"),
        ("expense claim added", await doforms.create(CLAIM, {"amount": 120}), "failed"),
    ]
    await doforms.send(played[6][1])  # doForms says it twice: nothing may come of that
    await doforms.until(
        lambda: all(seen.belief in ("completed", "failed") for _, seen, _ in played), timeout=_OUTCOMES_WITHIN
    )
    return [Played(what=what, seen=seen, outcome=outcome) for what, seen, outcome in played]


def wrong(stage: Stage, played: list[Played], outcomes: dict[str, str | None]) -> Iterator[str]:
    """Tell where belief, the store's outcomes (by notification key) and the effects do not agree."""
    for one in played:
        if not one.seen.belief == outcomes.get(one.seen.key) == one.outcome:
            kept = outcomes.get(one.seen.key)
            yield f"{one.what}: doForms believes {one.seen.belief}, the store says {kept}, right is {one.outcome}"
    for what, found, right in _effects(stage):
        if found != right:
            yield f"{what}: found {found!r}, right is {right!r}"


def _effects(stage: Stage) -> Iterator[tuple[str, object, object]]:
    database = sqlite3.connect(stage.warehouse)
    inspections = database.execute("SELECT doforms_key, site, score FROM inspections").fetchall()
    hours = database.execute("SELECT person, hours FROM hours").fetchall()
    database.close()
    yield "table inspections", inspections, [("inspection-1", "North pier", 43)]
    yield "table hours", hours, [("Grace", 7.5)]
    yield "mails", len(stage.mail.mails), 2
    yield "REST service", sorted(one.path for one in stage.rest.effects.values()), ["/records", "/slow"]
    lines = [json.loads(line) for line in stage.statuses.read_text().splitlines()] if stage.statuses.exists() else []
    yield "status.jsonl", [(one["dispatch"], one["state"]) for one in lines], [("dispatch-7", "Viewed")]
