"""The kinds of alarms, and the page for whoever is on call."""

from __future__ import annotations

import ast
import inspect

from gateway import models
from gateway.alarms.kinds import KINDS
from gateway.models import AlarmKind
from gateway.reference.alarms import with_table
from tests.support.pages import ROOT


def test_every_kind_says_what_it_means_what_ends_it_and_what_to_do() -> None:
    assert list(KINDS) == list(AlarmKind)
    for one in KINDS.values():
        assert all((one.subject, one.means, one.ends, one.remedy))


def test_member_and_table_say_the_same_of_a_kind() -> None:
    [enum] = [one for one in ast.parse(inspect.getsource(models)).body if getattr(one, "name", "") == "AlarmKind"]
    told = [node.value.value for node in enum.body if isinstance(node, ast.Expr)][1:]  # type: ignore[attr-defined]
    assert told == [KINDS[kind].means for kind in AlarmKind]


def test_page_for_whoever_is_on_call_has_them_all() -> None:
    page = (ROOT / "docs" / "on-call.md").read_text()
    assert page == with_table(page), "run `make docs`"
    assert all(f"| `{kind}` |" in page for kind in AlarmKind)
