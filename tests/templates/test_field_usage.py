"""Which questions a template asks for is read from it before there is a record."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.destinations.options import TemplateMark
from gateway.templates.field_usage import Asked
from gateway.templates.template import compile_expression, template_compiler

SITE = Asked("record", "fields", "site")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{{ record.fields.site }}", {SITE}),
        ("{{ record['fields']['site'] }}", {SITE}),
        ("{{ record.fields.get('site', 'none') | upper }}", {SITE}),
        ("{{ record.fields.site.strip() ~ record.paths['a.b'] }}", {SITE, Asked("record", "paths", "a.b")}),
        (
            "{% if record.fields.site %}{{ submission.tables.t[0].x }}{% endif %}",
            {SITE, Asked("submission", "tables", "t")},
        ),
        ("{% for one in record.tables.t %}{{ one.a }}{% endfor %}", {Asked("record", "tables", "t")}),
        ("{{ record.fields[record.fields.site] }}", {SITE, Asked("record", "fields")}),
        ("{{ record.fields }}", {Asked("record", "fields")}),
        ("{{ record.fields.items() | list }}", {Asked("record", "fields")}),
        ("{{ record.fields.items }}", {Asked("record", "fields", "items")}),
        ("{{ record.raw }}", {Asked("record")}),
        ("{{ record }}", {Asked("record")}),
        ("{% set all = record.fields %}{{ all.site }}", {Asked("record", "fields")}),
        ("{% set record = 1 %}{{ record }}", set()),
        ("{{ record.key }}{{ record.id }}{{ now }}{{ notification.key }}", set()),
    ],
)
def test_a_template_tells_the_questions_that_it_asks_for(text: str, found: set[Asked]) -> None:
    assert template_compiler(text, TemplateMark(), str, lambda literal: literal).asked == found


def test_a_column_of_a_row_is_asked_for_by_its_name() -> None:
    node: Any = template_compiler({"a": "{{ row.a }}", "b": "{{ row }}"}, TemplateMark(per_row=True), list[Any], list)
    assert [(key, part.asked) for key, part in node.parts()] == [
        ("a", {Asked("row", "", "a")}),
        ("b", {Asked("row")}),
    ]


def test_a_condition_asks_too() -> None:
    node: Any = compile_expression("record.fields.site == 'Dock' and dispatch.fields.crew")
    assert node.asked == {SITE, Asked("dispatch", "fields", "crew")}
