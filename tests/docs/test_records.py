"""The examples of the page on records: each template gives what the page says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.destinations.options import TemplateMark
from gateway.doforms.record import decode_record
from gateway.errors import TemplateError
from gateway.models import RecordKind
from gateway.templates.scope import build_scope
from gateway.templates.template import template_compiler
from gateway.testing import make_notification
from gateway.text.json_text import to_json
from tests.support.pages import ROOT

PAGE = (ROOT / "docs" / "records.md").read_text(encoding="utf-8")
[WHOLE] = re.findall(r"^```json\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
ERROR = "error: "


def examples() -> Iterator[Any]:
    """Yield record, template and result of each row that shows a template and what it gives."""
    for line in PAGE.splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) < 2 or not cells[-2].startswith(("`{{", "`{%")):
            continue
        template, result = cells[-2].strip("`"), cells[-1].replace("`", "")
        raw = WHOLE if len(cells) == 2 else f'{{"key": "r1", "fields": [{cells[1].strip("`")}]}}'
        yield pytest.param(raw, template, result, id=f"{cells[0]}-{template}" if len(cells) > 2 else template)


def evaluate(raw: str, template: str) -> Any:
    record = decode_record(raw.encode(), kind=RecordKind.SUBMISSION)
    names = build_scope(
        notification=make_notification(submission_key="r1"),
        webservice=None,
        route="test",
        record=record,
        submission=record,
        dispatch=None,
    )
    return template_compiler(template, TemplateMark(), Any, lambda literal: literal).evaluate(names)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("raw", "template", "result"), list(examples()))
def test_a_template_gives_what_the_page_says(raw: str, template: str, result: str) -> None:
    if result.startswith(ERROR):
        with pytest.raises(TemplateError, match=re.escape(result.removeprefix(ERROR))):
            evaluate(raw, template)
    else:
        assert to_json(evaluate(raw, template)) == result


def test_each_kind_of_question_has_an_example() -> None:
    shown = {json.loads(raw.values[0])["fields"][0].get("data") for raw in examples()}
    assert shown >= {"text", "integer", "decimal", "strings", "date", "time", "dateTime", "boolean", "blob", "location"}
    assert len(list(examples())) > 25
