"""The work of a rendering: counted before it is done, so that what is rendered in the event loop stays little."""

from __future__ import annotations

import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.destinations.options import TemplateMark
from gateway.errors import TemplateError
from gateway.templates.compiled import Node
from gateway.templates.filters import FILTERS_WITH_NULL, TESTS_WITH_NULL
from gateway.templates.render import Plan
from gateway.templates.rendering import Rendered, Task, work_off_here
from gateway.templates.sandbox import TEXT as TEXT_SANDBOX
from gateway.templates.scope import build_scope
from gateway.templates.template import template_compiler
from gateway.templates.work import HERE, TooMuchHere, counted, weigh
from gateway.testing import make_notification, make_record
from tests.support.properties import quick

TEXT_CONTEXT = TEXT_SANDBOX.from_string("").new_context({})
UNARY = frozenset(
    {"boolean", "callable", "defined", "escaped", "even", "false", "filter", "float", "integer", "iterable", "lower"}
    | {"mapping", "none", "number", "odd", "sequence", "string", "test", "true", "undefined", "upper"}
)
CPU = 1.0
"""Seconds of the processor's time for what is meant to take some 50 ms: a busy machine's processor is slower, too."""


def task(text: Any, fields: Mapping[str, Any] | None = None, *, kind: Any = str, html: bool = False) -> Task:
    node = template_compiler(text, TemplateMark(html=html), kind, lambda value: value)
    assert isinstance(node, Node)
    record = make_record(**fields or {})
    names = build_scope(
        notification=make_notification(), webservice=None, route="r", record=record, submission=record, dispatch=None
    )
    plan = Plan(fields=(("text", node),), per_row=frozenset(), rows=None, takes_rows=False)
    return Task(conditions=(), plan=plan, names=names)


def is_done_here(one: Task) -> bool:
    """Render, in bounded time; tell whether something came of it here."""
    begun = time.thread_time()
    try:
        done = work_off_here(one)
        assert isinstance(done, Rendered)
        return True
    except TooMuchHere:
        return False
    except TemplateError:
        return False
    finally:
        took = time.thread_time() - begun
        assert took < CPU, f"{took:.2f} s for {one.plan}"


MANY = [f"item {number}" for number in range(12_000)]
TEXT = "word, 'x' <b> " * 600_000
EVIL = {
    "many": MANY,
    "others": [f"other {number}" for number in range(12_000)],
    "text": TEXT,
    "lines": "a\n" * 2_000_000,
    "digits": "9" * 2_000_000,
    "big": 9**4000,
    "decimal": Decimal("9" * 20_000),
    "same": [number * (2**61 - 1) for number in range(12_000)],
    "rows": [{"a": f"x{number}", "b": number} for number in range(12_000)],
    "deep": [[[["x" * 100] * 10] * 10] * 10] * 10,
    "percent": "%500000000d",
    "comments": "<!-- -->" * 200_000,
    "links": "http://example.com/ " * 200_000,
}
ATTACKS = [
    "{{ record.fields.many | reject('in', record.fields.others) | list | length }}",
    "{{ record.fields.many | select('in', record.fields.many) | list }}",
    "{{ (record.fields.many ~ '') in record.fields.text }}",
    "{{ record.fields.text | wordwrap(72) }}",
    "{{ record.fields.many | sum(start='') }}",
    "{{ [record.fields.many] * 900 | sum(start=[]) }}",
    "{{ record.fields.deep | pprint }}",
    "{{ record.fields.links | urlize }}",
    "{{ record.fields.comments | striptags }}",
    "{{ record.fields.same | unique | list | length }}",
    "{{ record.fields.rows | groupby('a') | list | length }}",
    "{{ record.fields.rows | sort(attribute='a') | map(attribute='b') | join(',') }}",
    "{{ record.fields.text == record.fields.text ~ 'x' }}",
    "{{ record.fields.deep == record.fields.deep }}",
    "{{ record.fields.digits | int }}",
    "{% set ns = namespace(n=3) %}{% for i in range(40) %}{% set ns.n = ns.n * ns.n %}{% endfor %}{{ ns.n > 1 }}",
    "{% set n = record.fields.decimal %}{% for i in range(9999) %}{% set m = n * n %}{% endfor %}",
    "{{ record.fields.lines.splitlines() | length }}",
    "{{ record.fields.lines.rfind(record.fields.lines[1:999999]) }}",
    "{{ record.fields.lines | indent }}",
    "{{ record.fields.text | replace('w', 'ww') }}",
    "{{ record.fields.text.replace('', 'x') | length }}",
    "{{ record.fields | tojson }}",
    "{{ record.fields | xmlattr }}",
    "{{ record.fields | dictsort }}",
    "{{ record.paths }}",
    "{{ record.fields.text | title }}",
    "{{ record.fields.text | truncate(9) }}",
    "{{ record.fields.text | wordcount }}",
    "{{ record.fields.text | urlencode }}",
    "{{ record.fields.text | list | last }}",
    "{{ record.fields.text | batch(2) | map('join') | join }}",
    "{{ record.fields.text | reverse | upper | lower | trim | capitalize }}",
    "{{ record.fields.many | map('upper') | map('lower') | map('title') | list | length }}",
    "{{ record.fields.text ~ record.fields.text }}",
    "{{ now.strftime('%A' * 100000) }}",
    "{{ dict(record.fields.same | map('string') | batch(2)) | length }}",
    "{% for a in range(1000) %}{% for b in range(900) %}{% endfor %}{% endfor %}",
    "{% for a in range(90000) %}{% set b = a and a or a and (a, a, [a, {a: a}]) %}{% endfor %}",
    "{% for a in range(900) %}{% set b = record.fields.text[1:] %}{% endfor %}",
    "{% for a in range(9000) %}{{ record.fields.text is lower }}{% endfor %}",
    "{% for a in range(9000) %}{{ loop.changed(record.fields.many) }}{% endfor %}",
    "{{ 'x'.ljust(9999) * 1000 }}",
    "{{ ('%999d' * 9000) % ((1,) * 9000) }}",
    "{{ ('%(k)999d' * 9000) | format(k=1) }}",
]


@pytest.mark.parametrize("text", ATTACKS)
@pytest.mark.parametrize("html", [False, True])
def test_what_would_take_long_is_not_done_here(text: str, html: bool) -> None:
    assert not is_done_here(task(text + " ", EVIL, html=html))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{{ '%(k)500000000d' | format(k=1) }}", "a width in it is too large"),
        ("{{ '%(k)s%(a(b)c)-+ #0500000000d' % {'k': 1, 'a(b)c': 2} }}", "a width in it is too large"),
        ("{{ '%.500000000f' % 1.5 }}", "a width in it is too large"),
        ("{{ '%5.*f' % (500000000, 1.5) }}", "a width in it is too large"),
        ("{{ '{:.500000000f}'.format(1.5) }}", "a width in it is too large"),
        ("{{ record.fields.percent is odd }}", "is a test of numbers"),
        ("{{ record.fields.percent is divisibleby 7 }}", "is a test of numbers"),
        ("{{ 1.5 | round(500000000) }}", "is larger than"),
        ("{{ 1.5 | round(-500000000) }}", "is larger than"),
        ("{{ (2 ** 4000) ** 4000 }}", "too large"),
    ],
)
def test_what_asks_for_too_much_by_a_number_is_told(text: str, told: str) -> None:
    with pytest.raises(TemplateError, match=told):
        work_off_here(task(text + " ", EVIL))


@pytest.mark.parametrize(
    "call", ["10 ** 4 * 'x' * 10 ** 4", "'%500000000d' % 1", "range(10 ** 6) | list", "9 ** 9 ** 6"]
)
def test_nothing_is_calculated_while_compiling(call: str) -> None:
    begun = time.thread_time()
    task("{{ " + call + " }} ")
    assert time.thread_time() - begun < CPU


ORDINARY = {
    "site": "Dock 4",
    "score": 7.25,
    "count": 31,
    "risk": "High",
    "note": "The railing is loose.\n" * 40,
    "tags": ["red", "blue"],
    "when": "2026-01-02",
    "findings": [{"finding": f"rust {number}", "score": number, "photo": None} for number in range(60)],
}
USUAL = [
    "{{ record.fields.site }}",
    "{{ record.fields.risk == 'High' and record.fields.score > 5 }}",
    "{{ record.fields.note | replace('\\n', ' ') | truncate(80) | trim }}",
    "{{ record.fields.findings | selectattr('score', 'gt', 9) | map(attribute='finding') | join(', ') }}",
    "{{ record.fields.findings | sum(attribute='score') }} {{ record.fields.findings | length }}",
    "{% for row in record.fields.findings %}{{ loop.index }}. {{ row.finding | upper }}: {{ row.score }}\n{% endfor %}",
    "{{ now.strftime('%Y-%m-%d') }} {{ now.isoformat() }} {{ now.date() }}",
    "{{ record.fields.tags | sort | unique | list | tojson }} {{ record.fields | tojson }}",
    "{{ '%05.1f' | format(record.fields.score) }} {{ '{:>8}'.format(record.fields.count) }}",
    "{{ (record.fields.score * 100 / 3) | round(2) }} {{ record.fields.nothing | default('-') }}",
    "{% set ns = namespace(total=0) %}{% for row in record.fields.findings %}{% set ns.total = ns.total + row.score %}"
    "{% endfor %}{{ ns.total }}",
    "{{ record.fields.site.split(' ')[0] ~ '-' ~ record.fields.site[5:] }} {{ record.fields.findings[:3] | length }}",
    "{{ record.fields.findings | groupby('score') | map('first') | list | length }}",
    "{{ record.fields.when.replace('-', '/') }} {{ record.fields | items | list | length }}",
]


@pytest.mark.parametrize("text", USUAL)
def test_what_is_usual_is_done_here(text: str) -> None:
    done = work_off_here(task(text, ORDINARY))
    assert isinstance(done, Rendered)


def test_the_whole_record_of_an_ordinary_form_is_rendered_here() -> None:
    form = {f"question {number}": f"answer {number} " * 5 for number in range(200)}
    assert is_done_here(task({"all": "{{ record.fields }}", "again": "{{ record.raw }}"}, form, kind=Any))


def test_a_large_value_that_is_only_passed_on_is_counted_too() -> None:
    assert not is_done_here(task(["{{ record.fields.text }}"] * 4, EVIL, kind=Any))


@pytest.mark.parametrize("value", [[], {}, "", (), range(0), None, 1, Decimal(1), {"a": [1, {"b": "c"}]}])
def test_each_kind_of_value_has_a_weight(value: Any) -> None:
    with counted():
        assert weigh(value) >= 0


def test_what_stands_in_many_places_weighs_in_each() -> None:
    value: Any = "x"
    for _ in range(60):
        value = [value, value]
    with counted(), pytest.raises(TooMuchHere):
        weigh(value)


VALUES = st.sampled_from(
    [f"record.fields.{name}" for name in EVIL] + ["'%s'", "7", "[]", "{}", "record.paths", "1.5", "''"]
)
NUMBERS = st.sampled_from(["0", "1", "3", "72", "9999", "100000000", "-1"])
ARGUMENTS = st.lists(VALUES | NUMBERS | st.sampled_from(["'upper'", "'in'", "attribute='a'", "'a'"]), max_size=2)


def applied(value: str, name: str, arguments: list[str]) -> str:
    positional = sorted(arguments, key=lambda one: "=" in one)
    return f"({value} | {name}({', '.join(positional[:1] if positional and '=' in positional[0] else positional)}))"


EXPRESSIONS = st.recursive(
    VALUES | NUMBERS,
    lambda inner: st.one_of(
        st.builds(applied, inner, st.sampled_from(sorted(FILTERS_WITH_NULL.keys() - {"rounds"})), ARGUMENTS),
        st.builds(
            lambda a, name, b: f"({a} is {name}({b}))", inner, st.sampled_from(["in", "eq", "lt", "sameas"]), inner
        ),
        st.builds(lambda a, name: f"({a} is {name})", inner, st.sampled_from(["odd", "lower", "upper", "iterable"])),
        st.builds(
            lambda a, op, b: f"({a} {op} {b})",
            inner,
            st.sampled_from([*"+-*/%~<", "//", "**", "==", "in", "and"]),
            inner,
        ),
        st.builds(lambda a, b: f"{a}[{b}:]", inner, NUMBERS),
        st.builds(lambda a, b: f"[{a}, {b}]", inner, inner),
        st.builds(
            lambda a, method, b: f"({a}).{method}({b})",
            inner,
            st.sampled_from(
                ["split", "replace", "join", "rfind", "center", "format", "count", "get", "strip", "index"]
            ),
            inner,
        ),
    ),
    max_leaves=6,
)
SHAPES = st.sampled_from(
    [
        "{{ %s }} ",
        "{%% for x in %s %%}{{ x }}{%% endfor %%}",
        "{%% for x in range(9999) %%}{%% set y = %s %%}{%% endfor %%}",
        "{%% set y %%}{{ %s }}{%% endset %%}{{ y ~ y }}",
        "{%% if %s %%}yes{%% endif %%}",
    ]
)


@quick
@given(SHAPES, EXPRESSIONS, st.booleans())
def test_whatever_is_rendered_here_takes_little(shape: str, expression: str, html: bool) -> None:
    try:
        one = task(shape % expression, EVIL, html=html)
    except ValueError:
        return  # no template
    is_done_here(one)


@pytest.mark.parametrize("name", sorted(FILTERS_WITH_NULL.keys() - {"rounds", "default", "d", "string"}))
def test_every_filter_is_counted(name: str) -> None:
    one = FILTERS_WITH_NULL[name]
    passed = {"context": TEXT_CONTEXT, "eval_context": TEXT_CONTEXT.eval_ctx, "environment": TEXT_CONTEXT.environment}
    first = [passed[one.jinja_pass_arg.name]] if hasattr(one, "jinja_pass_arg") else []
    with counted(0), pytest.raises(TooMuchHere):
        one(*first, "x" * HERE)


@pytest.mark.parametrize("name", sorted(TESTS_WITH_NULL.keys()))
def test_every_test_is_counted(name: str) -> None:
    one = TESTS_WITH_NULL[name]
    first = [TEXT_CONTEXT.environment] if hasattr(one, "jinja_pass_arg") else []
    value = 7 if name in ("odd", "even", "divisibleby") else "x" * HERE
    with counted(0), pytest.raises(TooMuchHere):
        one(*first, value, *["x"] * (name not in UNARY))
