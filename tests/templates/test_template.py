"""What templates give."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic_core import PydanticCustomError

from gateway.destinations.options import TemplateMark
from gateway.errors import TemplateError
from gateway.templates.rendering import Refused, Task, work_off
from gateway.templates.template import compile_expression, mentions, template_compiler


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ record.fields.count }}", 31),
        ("{{ record.fields.score }}", Decimal("1.10")),
        ("{{ record.fields.done }}", True),
        ("{{ record.fields.tags }}", ["red", "blue"]),
        ("{{ record.fields.unanswered }}", None),
        ("{{ record.fields.never_asked }}", None),
        ("{{ record.fields.findings[0] }}", {"finding": "rust", "score": 1}),
        ("{{ now }}", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("  {{- record.fields.count -}}\n", 31),
        ("{{+ record.fields.count }}", 31),
        ("{{ -record.fields.count }}", -31),
        ("{{- -record.fields.score -}}", Decimal("-1.10")),
        ("{{ '}}' }}", "}}"),
        ("{{ [1] }}", [1]),
        ("{{ record.fields.tags|map('upper') }}", ["RED", "BLUE"]),
        ("{{ 'a', 1 }}", ["a", 1]),
    ],
)
def test_exactly_one_expression_keeps_its_type(evaluate, text: str, value: Any) -> None:
    found = evaluate(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[1]", "[1]"),
        ("{{ '[1]' }}", "[1]"),
        ("31", "31"),
        ("{{ record.fields.count }}.", "31."),
        ("{{ record.fields.count }}{{ record.fields.count }}", "3131"),
        ("{% if true %}{{ record.fields.count }}{% endif %}", "31"),
        ("{{ record.fields.tags }}!", '["red", "blue"]!'),
        ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
        ("a\n{# gone #}b\n", "a\nb\n"),
    ],
)
def test_everything_else_is_text(evaluate, text: str, value: str) -> None:
    assert evaluate(text) == value


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("record.fields.unanswered", ""),
        ("record.fields.done", "true"),
        ("not record.fields.done", "false"),
        ("record.fields.tags", '["red", "blue"]'),
        ("record.fields.findings[1]", '{"finding": "leak", "score": null}'),
        ("[1.5, none, record.fields.score, true]", "[1.5, null, 1.10, true]"),
        ("record.fields.score", "1.10"),
        ("now", "2026-01-02T03:04:05+00:00"),
        ("now.strftime('%d.%m.%Y')", "02.01.2026"),
        ("route", "inspections"),
        ("webservice.vars.team", '{"size": 3}'),
        ("record.fields.tags|map('upper')", '["RED", "BLUE"]'),
        ("['a', none, true]|join('-')", "a-true"),
        ("'%s/%s' % (record.fields.unanswered, true)", "/true"),
        ("'{}/{:.1f}'.format(record.fields.unanswered, record.fields.score)", "/1.1"),
        ("'%s'|format(record.fields.unanswered)", ""),
        ("record.fields.site ~ record.fields.unanswered ~ record.fields.done", "Dock 4true"),
        ("record.fields.tags|tojson", '["red", "blue"]'),
    ],
)
def test_a_text_option_is_always_text(evaluate, expression: str, text: str) -> None:
    assert evaluate("{{ " + expression + " }}", str) == text
    assert evaluate("<{{ " + expression + " }}>") == f"<{text}>"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("record.fields.unanswered.deeper.still", None),
        ("record.fields.unanswered[0]", None),
        ("record.fields.tags[7]", None),
        ("record.fields.unanswered + 1", None),
        ("-record.fields.unanswered", None),
        ("record.fields.unanswered|upper", None),
        ("record.fields.unanswered|length", 0),
        ("record.fields.unanswered|default('x')", "x"),
        ("record.fields.unanswered or 'x'", "x"),
        ("record.fields.unanswered is none", True),
        ("record.fields.unanswered|list", []),
    ],
)
def test_null_stays_null(evaluate, expression: str, value: Any) -> None:
    assert evaluate("{{ " + expression + " }}") == value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("record.fields.findings|sum(attribute='score')", 6),
        ("record.fields.findings|map(attribute='score')|sum", 6),
        ("[record.fields.score, none, 0.5]|sum", Decimal("1.60")),
        ("record.fields.findings|map(attribute='score')|max", 5),
        ("(record.fields.findings|max(attribute='score')).finding", "dent"),
        ("record.fields.findings|map(attribute='score')|min", 1),
        ("[none]|max", None),
        ("[]|min", None),
        ("record.fields.unanswered|sum", None),
    ],
)
def test_rows_without_an_answer_count_for_nothing_in_sums_and_extremes(evaluate, expression: str, value: Any) -> None:
    assert evaluate("{{ " + expression + " }}") == value


@pytest.mark.parametrize("order", ["<", "<=", ">", ">="])
def test_ordering_against_null_is_false(evaluate, order: str) -> None:
    for left, right in (("unanswered", "count"), ("count", "unanswered"), ("unanswered", "unanswered")):
        assert evaluate(f"record.fields.{left} {order} record.fields.{right}", expression=True) is False
    assert evaluate(f"record.tables.findings|selectattr('score', '{order}', 3)|list|length", expression=True) == 1


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 < record.fields.score < 2", True),
        ("1 < record.fields.score < record.fields.unanswered", False),
        ("record.fields.unanswered == none", True),
        ("record.fields.unanswered != 'High'", True),
        ("record.fields.unanswered in ['a']", False),
        ("record.fields.unanswered in 'text'", False),
        ("'a' in record.fields.unanswered", False),
        ("'a' not in record.fields.unanswered", True),
        ("'red' in record.fields.tags", True),
        ("record.fields.score in [1.1, 2]", True),
        ("record.fields.score == 1.1", True),
    ],
)
def test_comparing_follows_the_rules_for_null_and_decimals(evaluate, expression: str, value: bool) -> None:
    assert evaluate(expression, expression=True) is value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("record.fields.score * 3", "3.30"),
        ("record.fields.score * 1.1", "1.210"),
        ("record.fields.score + 0.2", "1.30"),
        ("record.fields.score|round(1)", "1.1"),
        ("record.fields.long * 1", "12345678901234567890.123456789"),
        ("(0 - record.fields.long)|abs", "12345678901234567890.123456789"),
        ("[record.fields.long, record.fields.score]|sum", "12345678901234567891.223456789"),
        ("record.fields.long|round(2)", "12345678901234567890.12"),
        ("record.fields.score / 3", "0.3666666666666666666666666667"),
    ],
)
def test_decimals_lose_nothing(evaluate, expression: str, value: str) -> None:
    found = evaluate("{{ " + expression + " }}")
    assert isinstance(found, Decimal)
    assert str(found) == value


def test_questions_named_like_methods_are_found(evaluate) -> None:
    assert evaluate("{{ record.fields.items }}") == "an answer named items"
    assert evaluate("{{ record.fields['values'] }}") == "an answer named values"
    assert evaluate("{{ record.fields.keys }}") is None
    assert evaluate("{% for k, v in record.fields|items %}{% if v == true %}{{ k }}{% endif %}{% endfor %}") == "done"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{{ recrod.key }}", "there is no `recrod`"),
        ("{{ record.ky }}", "there is no `record.ky`"),
        ("{{ record['ky'] }}", "there is no `record.ky`"),
        ("{{ submission.feilds.a }}", "there is no `submission.feilds`"),
        ("{{ notification.evnt }}", "there is no `notification.evnt`"),
        ("{{ webservice.nmae }}", "there is no `webservice.nmae`"),
        ("{{ route.title }}", "there is no `route.title`"),
        ("{{ row.a }}", "there is no `row`"),
        ("{% for x in y %}{% endfor %}", "there is no `y`"),
        ("{{ 1 + }}", "is not a template"),
        ("{% if %}", "is not a template"),
        ("{{ a b }}", "is not a template"),
        ("{{ 'a'|nosuchfilter }}", "is not a template"),
        ("{% include 'x' %}", "includes, blocks and macros are not available"),
        ("{% macro a() %}{% endmacro %}", "includes, blocks and macros are not available"),
        ("{% for x in [1] recursive %}{% endfor %}", "recursive loops are not available"),
    ],
)
def test_a_wrong_template_is_found_when_it_is_compiled(evaluate, text: str, found: str) -> None:
    with pytest.raises(PydanticCustomError) as raised:
        evaluate(text)
    assert found in str(raised.value)
    assert text in str(raised.value)


@pytest.mark.parametrize(
    ("text", "found", "remedy"),
    [
        ("{{ record.key | uper }}", "No filter named 'uper'", "Did you mean `upper`?"),
        ("<{{ record.key | uper }}>", "No filter named 'uper'", "Did you mean `upper`?"),
        ("{{ record.key | qqqq }}", "No filter named 'qqqq'", "Each filter: abs, attr,"),
        ("{{ record.key is strng }}", "No test named 'strng'", "Did you mean `string`?"),
        ("{{ record.key is qqqq }}", "No test named 'qqqq'", "Each test: "),
    ],
)
def test_a_misspelt_filter_or_test_is_told_with_the_nearest_name(evaluate, text: str, found: str, remedy: str) -> None:
    with pytest.raises(PydanticCustomError) as raised:
        evaluate(text)
    [(_, told, way)] = raised.value.context["inside"]
    assert told == f"`{text}` is not a template: {found}"
    assert way.startswith(remedy)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("webservice.vars.laed", "there is no 'laed' here; there are lead, team"),
        ("webservice.vars.team.sise", "there is no 'sise' here"),
        ("now.yaer", "has no attribute 'yaer'"),
        ("now.isoformat", "write () behind its name"),
        ("record.fields.unanswered()", "null cannot be called"),
        ("1 / 0", "division by zero"),
        ("record.fields.site > 3", "a text and a number cannot be compared"),
        ("record.fields.site + 1", "can only concatenate"),
    ],
)
def test_what_cannot_be_evaluated_is_told_with_the_template(evaluate, expression: str, found: str) -> None:
    for text in ("{{ " + expression + " }}", "<{{ " + expression + " }}>"):
        with pytest.raises(TemplateError) as raised:
            evaluate(text)
        assert found in str(raised.value)
        assert f"`{text}`" in str(raised.value)


@pytest.mark.parametrize(
    ("value", "kind", "result"),
    [
        (["{{ record.fields.tags }}", "{{ record.fields.unanswered }}", "green"], list[str], ["red", "blue", "green"]),
        (["{{ record.fields.count }}", "{{ record.fields.done }}"], list[str], ["31", "true"]),
        (["{{ record.fields.count }}", 1], list[Any], [31, 1]),
        ("{{ record.fields.tags }}", list[str], ["red", "blue"]),
        (["{{ [[1], [none, [2]]] }}"], Any, [1, 2]),
        (
            {"a": "{{ record.fields.count }}", "b": [{"c": "{{ record.fields.unanswered }}"}]},
            Any,
            {"a": 31, "b": [{"c": None}]},
        ),
        ({"a": "{{ record.fields.count }}"}, dict[str, str], {"a": "31"}),
        ({"a": 5, "b": True}, dict[str, Any], {"a": 5, "b": True}),
    ],
)
def test_templates_nest_and_in_lists_nulls_vanish_and_lists_flatten(
    evaluate, value: Any, kind: Any, result: Any
) -> None:
    assert evaluate(value, kind) == result


def test_html_escapes_what_is_put_in_and_nothing_else(evaluate) -> None:
    assert evaluate("<p>{{ record.fields.evil }}</p>", str, html=True) == "<p>&lt;b&gt;&amp;&#34;</p>"
    assert evaluate("{{ record.fields.evil|tojson }}", str, html=True).startswith("&#34;&lt;b&gt;")
    assert evaluate("{{ record.fields.tags|join('<br>'|safe) }}", str, html=True) == "red<br>blue"
    assert evaluate("{{ record.fields.evil ~ '<i>' }}", str, html=True) == "&lt;b&gt;&amp;&#34;&lt;i&gt;"


def test_in_a_path_each_value_is_one_segment(evaluate) -> None:
    assert evaluate("a/{{ 'x/../y?z' }}/b{{ record.fields.unanswered }}", str, url=True) == "a/x%2F..%2Fy%3Fz/b"
    assert evaluate("{{ 'a/' ~ 'b' }}", str, url=True) == "a%2Fb"


def test_an_expression_takes_no_braces_and_only_one_value(evaluate) -> None:
    for text in ("{{ record.key }}", "record.key }}{{ record.id", "", 5):
        with pytest.raises(PydanticCustomError):
            evaluate(text, expression=True)


def condition(when: str, names: Any) -> object:
    """Judge a `when` as it is judged for a delivery."""
    return work_off(Task(conditions=((compile_expression(when), "it is false"),), plan=None, names=names))


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("record.fields.site == 'Dock 4'", True),
        ("record.fields.unanswered", False),
        ("record.fields.unanswered > 3", False),
        ("record.fields.count > 30 and record.fields.done", True),
        ("notification.event in ['create', 'status']", True),
    ],
)
def test_a_condition_holds_or_not_and_null_is_false(names, when: str, holds: bool) -> None:
    assert isinstance(condition(when, names), Refused) is not holds


def test_a_condition_that_cannot_be_judged_raises(names) -> None:
    with pytest.raises(TemplateError, match="cannot be compared"):
        condition("record.fields.site > 3", names)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{{ record.fields.a }}", {"record"}),
        ("{{ record.key }}", set()),
        ("{{ record.key }}{{ record.id }}", {"record"}),
        ("{{ record['key'] }}", set()),
        ("{{ record }}", {"record"}),
        ("{% set record = 1 %}{{ record }}", set()),
        ("{{ submission.key }}{{ dispatch.tables.t }}{{ now }}", {"dispatch", "now"}),
        ("{% for x in record.tables.t %}{{ loop.index }}{{ x.a }}{% endfor %}", {"record"}),
    ],
)
def test_what_a_template_mentions_is_known_before_it_is_rendered(text: str, found: set[str]) -> None:
    node = template_compiler({"a": [text]}, TemplateMark(), Any, lambda literal: literal)
    assert mentions(node) == found


@pytest.mark.parametrize("path", ["items/{{ record.fields.unanswered }}", "{{ '' }}", "a/{{ '' }}{{ none }}/b"])
def test_a_path_that_lacks_a_whole_segment_is_an_error(evaluate: Any, path: str) -> None:
    with pytest.raises(TemplateError, match="a part of the path is empty"):
        evaluate(path, str, url=True)


def test_an_empty_value_in_the_query_of_a_path_stays_empty(evaluate: Any) -> None:
    assert evaluate("items?site={{ record.fields.unanswered }}", str, url=True) == "items?site="
