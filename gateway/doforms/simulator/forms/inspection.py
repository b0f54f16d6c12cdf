"""An inspection: sections within sections, a question that stands in two of them, a table with photos."""

from __future__ import annotations

from typing import Any

from gateway.doforms.simulator.fields import field
from gateway.doforms.simulator.forms.form import Form, Paper, answer, location, section, unanswered
from gateway.doforms.simulator.forms.words import PEOPLE, REMARKS, SITES, clock, day, digits, moment

_FINDINGS = ("Loose rail", "Blocked exit", "Wet floor", "Missing guard", "Frayed cable")
_RISKS = ("Low", "Medium", "High")
_HAZARDS = ("Slips", "Falls", "Noise", "Electricity")
_PHOTOS = 30
_LARGE = 1_330_000
"""Bytes of a photo of the photo report: thirty of them are 40 MB."""


def _inspection(paper: Paper) -> list[dict[str, Any]]:
    chance = paper.chance
    findings = [_finding(paper) for _ in range(chance.randrange(5))]
    table = {"name": "findings", "type": "table", "fields": findings}
    return [
        field("site", chance.choice(SITES)),
        field("inspector", chance.choice(PEOPLE)),
        field("visited", moment(chance)),
        location("position", digits(chance, 2, 7), digits(chance, 2, 7)),
        field("risk", _RISKS[(chance.randrange(3) + paper.version) % 3]),
        field("score", min(100, chance.randint(1, 90) + paper.version)),
        section(
            "safety",
            field("hazards", chance.sample(_HAZARDS, chance.randint(1, 3))),
            field("comment", chance.choice(REMARKS)),
            section(
                "fire",
                field("extinguishers", chance.randrange(12)),
                field("exits_clear", chance.random() < 0.8),
                field("checked_on", day(chance)),
                answer("extinguisher_tag", "nfcTag", {"tag": f"04:{chance.getrandbits(32):08X}", "reads": 1}, "nfc"),
            ),
        ),
        section(
            "order",
            field("began_at", clock(chance)),
            field("temperature", digits(chance, 2, 1)),
            *paper.maybe(0.7, field("comment", chance.choice(REMARKS))),
            unanswered("remarks", "text", "text"),
        ),
        *([table] if findings else []),
        *paper.maybe(0.9, paper.photo("signature", type="image/png", size=9_000)),
    ]


def _finding(paper: Paper) -> dict[str, Any]:
    chance = paper.chance
    row = [
        field("finding", chance.choice(_FINDINGS)),
        field("severity", chance.randint(1, 5)),
        field("mended", chance.random() < 0.3),
    ]
    return {"fields": row + ([paper.photo("photo")] if chance.random() < 0.6 else [])}


def _photos(paper: Paper) -> list[dict[str, Any]]:
    rows = [
        {"fields": [field("number", number), paper.photo("photo", size=_LARGE)]} for number in range(1, _PHOTOS + 1)
    ]
    return [
        field("site", paper.chance.choice(SITES)),
        field("inspector", paper.chance.choice(PEOPLE)),
        {"name": "photos", "type": "table", "fields": rows},
    ]


SITE_INSPECTION = Form("Site inspection", "nested sections, a table of findings with photos, a signature", _inspection)
PHOTO_REPORT = Form("Photo report", "thirty photos, 40 MB together", _photos)
