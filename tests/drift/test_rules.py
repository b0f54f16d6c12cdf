"""When questions count as new or missing: no false alarm while forms are filled in as usual."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from gateway.doforms.form_values import EMPTY
from gateway.drift.counters import Counts
from gateway.drift.messages import say_new
from gateway.drift.rules import Changes, evaluate
from gateway.drift.usage import Mapped, Mappings, Wanted
from gateway.store.work.questions import Question


class Form:
    """A form whose records come one by one, or in batches."""

    def __init__(self, *places: Wanted, whole: bool = False) -> None:
        self.known: dict[str, Question] = {}
        self.ask(*places, whole=whole)

    def ask(self, *places: Wanted, whole: bool = False) -> None:
        mapped = tuple(Mapped("route", "table", f"columns.{one.column or one.name}", one) for one in places)
        self.asked = Mappings(mapped, () if whole else (("route", "table"),))

    def come(self, *records: Iterable[str]) -> Changes:
        counts = Counts()
        for record in records:
            counts.count(dict.fromkeys(record, "text"))
        changes = evaluate(self.known, counts.tallies, self.asked, moment=1)
        for path in changes.forgotten:
            del self.known[path]
        return changes

    def come_slowly(self, *records: Iterable[str]) -> tuple[list[str], list[str], list[str]]:
        """Let each record be written by itself; returns what became new, missing and known again."""
        new, missing, back = [], [], []
        for record in records:
            changes = self.come(record)
            new += [one.path for one in changes.new]
            missing += [one.path for one, _ in changes.missing]
            back += [one.path for one in changes.back]
        return new, missing, back


SITE, RISK = Wanted("fields", "site"), Wanted("fields", "risk")
USUAL = ("site", "risk")
TABLE = ("t", "t[]", "t[].a", "t[].u", "t[].u[]", "t[].u[].b")


def test_a_question_that_always_came_is_missing_after_ten_records_without_it_told_once_and_back_with_the_next() -> None:
    form = Form(SITE, RISK)
    assert form.come_slowly(*[USUAL] * 20) == ([], [], [])
    assert form.come_slowly(*[["risk"]] * 9) == ([], [], [])
    assert form.come_slowly(["risk"]) == ([], ["site"], [])
    assert form.come_slowly(*[["risk"]] * 39) == ([], [], [])
    assert form.come_slowly(USUAL, USUAL) == ([], [], ["site"])
    assert form.come_slowly(*[["risk"]] * 40) == ([], ["site"], [])


def test_a_batch_counts_as_its_records_one_by_one() -> None:
    slow, fast = Form(SITE, RISK), Form(SITE, RISK)
    records = [USUAL] * 20 + [("risk", "more")] * 12
    slow.come_slowly(*records)
    changes = fast.come(*records)
    assert [one.path for one, _ in changes.missing] == ["site"]
    assert {path: (one.seen, one.since, one.last) for path, one in fast.known.items()} == {
        path: (one.seen, one.since, one.last) for path, one in slow.known.items()
    }


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5, 0.8, 0.95])
def test_a_question_that_is_answered_now_and_then_is_no_false_alarm(share: float) -> None:
    chance = random.Random(7)
    form = Form(SITE, RISK)
    records = [["site", *(["risk"] if chance.random() < share else [])] for _ in range(1500)]
    start = next(number for number, record in enumerate(records) if "risk" in record)
    assert form.come_slowly(*records[max(0, start - 40) :])[1] == []


def test_a_question_that_never_came_is_missing_after_fifty_records() -> None:
    form = Form(SITE, Wanted("fields", "inspektor"))
    assert form.come_slowly(*[["site"]] * 49) == ([], [], [])
    assert form.come_slowly(*[["site"]] * 60) == ([], ["inspektor"], [])
    form.ask(SITE)
    assert form.come_slowly(["site"]) == ([], [], ["inspektor"])
    assert set(form.known) == {"", "site"}


def test_one_that_is_asked_for_later_is_looked_out_for_from_then_on() -> None:
    form = Form(SITE)
    form.come_slowly(*[["site"]] * 500)
    form.ask(SITE, RISK)
    assert form.come_slowly(*[["site"]] * 49) == ([], [], [])
    assert form.come_slowly(["site"]) == ([], ["risk"], [])


def test_a_question_is_found_under_its_name_in_whatever_section_it_stands() -> None:
    form = Form(SITE)
    form.come_slowly(*[["a.site"]] * 20)
    assert form.come_slowly(*[["b.site"]] * 60) == (["b.site"], [], []) or form.known["b.site"].seen == 60
    assert not [one for one in form.known.values() if one.alarm == "missing"]


def test_columns_of_a_table_are_missed_only_where_the_table_has_rows() -> None:
    column = Wanted("tables", "findings", "photo")
    rows = ("findings", "findings[]", "findings[].photo")
    form = Form(Wanted("tables", "findings"), column)
    form.come_slowly(*[rows] * 15)
    assert form.come_slowly(*[["findings"]] * 200) == ([], [], [])
    assert form.come_slowly(*[rows[:2]] * 15) == ([], ["findings[].photo"], [])


def test_a_column_that_never_came_is_missing_after_fifty_records_in_which_its_table_had_rows() -> None:
    rows = ("findings", "findings[]", "findings[].finding")
    form = Form(Wanted("tables", "findings"), Wanted("tables", "findings", "photo"))
    assert form.come_slowly(*[["findings"]] * 60) == ([], [], [])
    assert form.come_slowly(*[rows] * 49) == ([], [], [])
    assert form.come_slowly(rows, rows) == ([], ["findings[].photo"], [])


def test_a_new_question_is_told_once_when_the_form_is_known() -> None:
    form = Form(SITE)
    assert form.come_slowly(*[USUAL] * 10) == ([], [], [])
    assert form.come_slowly(("site", "risk", "hazard"), ("site", "hazard")) == (["hazard"], [], [])
    assert form.come_slowly(("site", "risk", "more", "extra")) == (["more", "extra"], [], [])


def test_a_question_is_new_only_where_ten_records_came_without_it_in_one_batch_or_several() -> None:
    for before, new in ((9, []), (10, ["hazard"])):
        records = [USUAL] * before + [(*USUAL, "hazard")]
        assert Form(SITE).come_slowly(*records)[0] == new
        assert [one.path for one in Form(SITE).come(*records).new] == new


def test_a_new_table_is_told_without_its_columns() -> None:
    form = Form(SITE)
    form.come_slowly(*[USUAL] * 10)
    assert form.come_slowly((*USUAL, *TABLE))[0] == ["t"]
    form.come_slowly(*[(*USUAL, *TABLE)] * 20)
    assert form.come_slowly((*USUAL, *TABLE, "t[].new"))[0] == ["t[].new"]


def test_a_question_that_is_asked_for_or_taken_with_the_whole_record_is_not_told_as_new() -> None:
    for form in (Form(SITE, Wanted("fields", "hazard")), Form(SITE, whole=True)):
        form.come_slowly(*[USUAL] * 10)
        assert form.come_slowly((*USUAL, "hazard"))[0] == []


def test_an_empty_section_is_no_new_question() -> None:
    form = Form(SITE)
    form.come_slowly(*[USUAL] * 10)
    counts = Counts()
    counts.count({"site": "text", "more": EMPTY})
    assert evaluate(form.known, counts.tallies, form.asked, moment=1).new == []


def test_asking_for_a_new_question_settles_it() -> None:
    form = Form(SITE)
    form.come_slowly(*[USUAL] * 10, (*USUAL, "hazard"))
    assert form.known["hazard"].alarm == "new"
    form.ask(SITE, Wanted("fields", "hazard"))
    assert form.come(USUAL).settled
    assert form.known["hazard"].alarm is None


def test_while_rare_questions_turn_up_one_by_one_none_of_them_is_told_as_new() -> None:
    chance = random.Random(3)
    rare = {f"rare{number}": chance.uniform(0.02, 0.2) for number in range(40)}
    form, told = Form(SITE), 0
    for _ in range(400):
        record = ["site", *(name for name, share in rare.items() if chance.random() < share)]
        told += len(form.come(record).new)
    assert told <= 2
    assert form.come(["site", "truly new"]).new


def test_a_text_names_twenty_questions_and_counts_the_others() -> None:
    def said(count: int) -> str:
        return say_new(
            "Inspection", [Question(path=f"q{number:02}", kind="text") for number in range(count)], Mappings()
        )

    assert "'q19' (text). No template" in said(20)
    assert "'q19' (text); and 1 more. No template" in said(21)
