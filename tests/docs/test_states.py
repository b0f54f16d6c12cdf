"""The page of states has all states, and those who move them are where it says."""

from __future__ import annotations

import re

import pytest

from gateway.models import AttachmentState, DeliveryState, FetchState, ReportState
from gateway.store.operator.integrity import KINDS
from tests.support.pages import ROOT

PAGE = (ROOT / "docs" / "states.md").read_text()
MACHINES = {"Delivery": DeliveryState, "Report": ReportState, "Fetch": FetchState, "Attachment": AttachmentState}


def section(name: str) -> str:
    return re.split(r"^## ", PAGE, flags=re.MULTILINE)[1 + list(MACHINES).index(name)]


@pytest.mark.parametrize("name", MACHINES)
def test_each_machine_has_all_its_states_in_the_drawing_and_in_the_table(name: str) -> None:
    drawing, _, table = section(name).partition("| state |")
    assert section(name).startswith(name)
    assert re.findall(r"^\| `([^`]+)`", table, re.MULTILINE) == [state.value for state in MACHINES[name]]
    assert all(state.value in drawing for state in MACHINES[name])


def test_those_who_move_them_are_where_the_page_says() -> None:
    named = set(re.findall(r"`(\w+/[\w/]+\.py)`", PAGE))
    assert named
    assert [path for path in named if not (ROOT / "gateway" / path).exists()] == []


def test_store_check_finds_what_cannot_be() -> None:
    assert {
        "pending delivery out of its lane",
        "ended delivery that holds its lane up",
        "ended delivery that is being sent",
        "doubt about a delivery that is not dead",
        "delivery whose end and state differ",
        "report that has ended and is due",
        "report that is never due",
        "report without an outcome",
        "fetched record that is not there",
        "spooled attachment of unknown size",
    } <= {kind.name for kind in KINDS}
