"""What templates can not do: get out of the sandbox, or take more than their share."""

from __future__ import annotations

import time

import pytest

from gateway.errors import TemplateError
from gateway.templates.render_limits import LARGEST, ROUNDS


@pytest.mark.parametrize(
    "expression",
    [
        "''.__class__",
        "record.fields.site.__class__.__mro__",
        "record.fields.site['__class__']",
        "record.fields.site|attr('__class__')",
        "['a']|map(attribute='__class__')|list",
        "'{0.__class__}'.format(now)",
        "'{0.__class__.__mro__}'.format(record.fields.site)",
        "'%s' % now.__class__",
        "dict.mro()",
        "dict.__subclasses__()",
        "namespace.__init__.__globals__",
        "range.__self__",
        "range.__func__.__globals__",
        "now.strftime.__self__.__class__",
        "record.fields.tags.append('x')",
        "record.fields.tags|map('attr', '__class__')|list",
        "(1).to_bytes(1000000000, 'big')",
        "'a'.encode()",
    ],
)
def test_no_attribute_leads_out_of_the_sandbox(evaluate, expression: str) -> None:
    for text in ("{{ " + expression + " }}", "<{{ " + expression + " }}>"):
        with pytest.raises(TemplateError, match=r"unsafe|no attribute|not safely callable"):
            evaluate(text)


@pytest.mark.parametrize("name", ["self", "cycler", "joiner", "lipsum", "__builtins__", "open", "loop", "caller"])
def test_no_name_is_in_scope_but_the_known_ones(evaluate, name: str) -> None:
    with pytest.raises(ValueError, match=f"there is no `{name}`"):
        evaluate("{{ " + name + " }}")


def doubling(step: str) -> str:
    return (
        "{% set ns = namespace(t='ab') %}{% for i in range(90) %}{% set ns.t = "
        + step
        + " %}{% endfor %}{{ ns.t|length }}"
    )


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'a' * 10**9 }}",
        "{{ 10**9 * 'a' }}",
        "{{ [0] * 10**8 }}",
        "{{ (1, 2) * 10**8 }}",
        "{{ 9 ** 10000000 }}",
        "{{ (9 ** 4000) ** 4000 }}",
        "{{ 'x'.ljust(10**9) }}",
        "{{ 'x'.rjust(10**9) }}",
        "{{ 'x'.zfill(10**9) }}",
        "{{ 'x'.center(10**9) }}",
        "{{ 'x'|center(10**9) }}",
        "{{ 'x\ny'|indent(10**9) }}",
        "{{ ('\n' * 100000)|indent(9000) }}",
        "{{ [1]|batch(10**9, 0)|list }}",
        "{{ [1]|slice(10**9)|list }}",
        "{{ [1]|tojson(indent=10**9) }}",
        "{{ 'x'|wordwrap(1, wrapstring='x' * 10**9) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (1000000000, 1) }}",
        "{{ '%1000000000d'|format(1) }}",
        "{{ '{:>1000000000}'.format(1) }}",
        "{{ '{:>{}}'.format(1, 1000000000) }}",
        "{{ ('%s' * 1000) % (('x' * 100000,) * 1000) }}",
        "{{ ('{0}' * 1000).format('x' * 100000) }}",
        "{{ ('a' * 10**7).replace('a', 'bbb') }}",
        "{{ ('a' * 10**7)|replace('a', 'bbb') }}",
        "{{ ['x' * 10**6] * 100 }}",
        "{{ (['x' * 10**6] * 100)|join }}",
        "{{ ('x' * 10**6).join(['a'] * 100) }}",
        "{{ range(10**9)|list }}",
        "{% for i in range(10**9) %}{% endfor %}",
        "{% for i in range(900000) %}{% endfor %}{% for i in range(900000) %}{% endfor %}",
        "{% for i in range(10**4) %}{% for j in range(10**4) %}{% endfor %}{% endfor %}",
        "{% for i in range(10**5) %}{{ 'x' * 1000 }}{% endfor %}",
        "{% set x %}{% for i in range(300000) %}" + "never written" * 9 + "{% endfor %}{% endset %}",
        doubling("ns.t ~ ns.t"),
        doubling("ns.t + ns.t"),
        doubling("'%s%s' % (ns.t, ns.t)"),
        doubling("'{0}{0}'.format(ns.t)"),
        doubling("[ns.t, ns.t]|join"),
        doubling("ns.t.replace('ab', 'abab')"),
        doubling("ns.t|replace('ab', 'abab')"),
        doubling("[ns.t, ns.t]|tojson"),
    ],
)
def test_what_grows_or_runs_without_end_is_broken_off_soon_and_clearly(evaluate, text: str) -> None:
    begun = time.thread_time()
    with pytest.raises(TemplateError, match=r"more than|too large|larger than"):
        evaluate(text + " ")
    assert time.thread_time() - begun < 3


def test_what_takes_too_long_is_broken_off(evaluate) -> None:
    exponential = "{% set ns = namespace(t=[]) %}{% for i in range(60) %}{% set ns.t = [ns.t, ns.t] %}{% endfor %}"
    begun = time.thread_time()
    with pytest.raises(TemplateError, match=r"longer than 2 s|more than"):
        evaluate(exponential + "{{ ns.t }}")
    assert time.thread_time() - begun < 6


def test_what_is_large_but_not_too_large_is_rendered(evaluate) -> None:
    assert len(evaluate("{{ 'x' * 10**7 }}")) == 10**7 < LARGEST
    rows = "{% for i in range(100000) %}{{ i }},{% endfor %}"
    assert evaluate(rows).count(",") == 100_000 < ROUNDS
    assert evaluate("{{ 2 ** 100 }}") == 2**100
    assert evaluate("{{ '%08.3f|%-5s|' % (record.fields.score, 'a') }}") == "0001.100|a    |"


def test_each_value_has_its_whole_share(evaluate) -> None:
    for _ in range(3):
        assert evaluate("{{ range(600000)|list|length }}") == 600_000
