"""Templates for HTML: nothing that a record holds becomes a tag, an address that acts, or an attribute that acts."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from gateway.destinations.options import TemplateMark
from gateway.errors import TemplateError
from gateway.templates.addresses import ALLOWED, harmless, scheme_of
from gateway.templates.compiled import Node
from gateway.templates.scope import build_scope
from gateway.templates.template import template_compiler
from gateway.testing import make_notification, make_record
from tests.support.properties import quick

LINK = '<a href="{{ record.fields.link }}">x</a>'


class Addresses(HTMLParser):
    """The addresses and attributes that Python's own parser finds, to compare with."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.addresses: list[str] = []
        self.names: set[str] = set()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names |= {name for name, _ in attrs}
        self.addresses += [value for name, value in attrs if name in ("href", "src") and value]


def rendered(text: str, mark: TemplateMark, **fields: Any) -> Any:
    names = build_scope(
        notification=make_notification(),
        webservice=None,
        route="r",
        record=make_record(**fields),
        submission=None,
        dispatch=None,
    )
    node = template_compiler(text, mark, str, lambda value: value)
    assert isinstance(node, Node)
    return node.evaluate(names)


@pytest.fixture
def html() -> Any:
    return lambda text, **fields: rendered(text, TemplateMark(html=True), **fields)


HIDDEN = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "  javascript:alert(1)",
    "java\tscript:alert(1)",
    "java\r\nscript:alert(1)",
    "\x01javascript:alert(1)",
    "javascript\x00:alert(1)",
    "java\N{ZERO WIDTH SPACE}script:alert(1)",
    "\N{NO-BREAK SPACE}javascript:alert(1)",
    "\N{RIGHT-TO-LEFT OVERRIDE}javascript:alert(1)",
    "&#106;avascript:alert(1)",
    "&#x6A;avascript&colon;alert(1)",
    "javascript&#58;alert(1)",
    "java&Tab;script:alert(1)",
    "javascript&amp;colon;alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "DATA:text/html;base64,PHNjcmlwdD4=",
    "data:image/svg+xml,<svg onload=alert(1)>",
    "vbscript:msgbox(1)",
    "view-source:javascript:alert(1)",
    "file:///etc/passwd",
    "blob:https://example.com/1",
    "jar:https://example.com!/",
]


@pytest.mark.parametrize("link", HIDDEN)
@pytest.mark.parametrize(
    "template",
    [
        LINK,
        "<a href='{{ record.fields.link }}'>x</a>",
        "<a href={{ record.fields.link }}>x</a>",
        '<A HREF = "{{ record.fields.link }}">x</A>',
        '<img alt="a > b" src="{{ record.fields.link }}">',
        '<img/src="{{ record.fields.link }}">',
        '<form action="{{ record.fields.link }}"><button formaction="{{ record.fields.link }}">x</button></form>',
        '<svg><a xlink:href="{{ record.fields.link }}">x</a></svg>',
        '<!--[if mso]><a href="{{ record.fields.link }}">x</a><![endif]-->',
        '<a href="{% for letter in record.fields.link %}{{ letter }}{% endfor %}">x</a>',
        '<a href="{% set whole %}{{ record.fields.link }}{% endset %}{{ whole }}">x</a>',
        "<a {{ {'href': record.fields.link} | xmlattr }}>x</a>",
    ],
)
def test_an_address_from_an_answer_leads_to_the_web_or_to_mail_only(html: Any, template: str, link: str) -> None:
    found = html(template, link=link)
    for address in Addresses(
        found.replace("xlink:", "").replace("action=", "href=").replace("<!--[if mso]>", "")
    ).addresses:
        assert scheme_of(address) in ALLOWED | {None}, found
    assert "javascript:" not in found.lower()


@pytest.mark.parametrize(
    "link",
    [
        "https://example.com/a?b=c:d#e",
        "HTTP://EXAMPLE.COM",
        "mailto:anna@example.com",
        "//example.com/x",
        "photos/17",
        "/a:b",
        "?a:b",
        "#a:b",
        "",
        "see the report (page 3): page 4",
    ],
)
def test_an_address_that_is_allowed_stays_as_it_is(html: Any, link: str) -> None:
    assert Addresses(html(LINK, link=link)).addresses == ([link] if link else [])


def test_an_address_that_is_no_answer_stays_as_it_is(html: Any) -> None:
    own = (
        '<img src="cid:logo"><img src="data:image/png;base64,AAAA"><a href="tel:+49301234">x</a>'
        '<p style="color: red" onclick="go()">{{ record.fields.site }}</p>'
    )
    assert html(own, site="Dock") == own.replace("{{ record.fields.site }}", "Dock")


def test_what_the_template_begins_an_address_with_is_its_own(html: Any) -> None:
    assert html('<a href="tel:{{ record.fields.n }}">x</a>', n="+49 30") == '<a href="tel:+49 30">x</a>'
    assert html('<a href="javascript:go({{ record.fields.n }})">x</a>', n="1") == '<a href="#">x</a>'
    assert html('<a href="data:text/html,{{ record.fields.n }}">x</a>', n="1") == '<a href="#">x</a>'
    assert html('<a href="{{ record.fields.n }}script:1">x</a>', n="java") == '<a href="#">x</a>'


def test_what_reads_like_an_address_in_a_text_is_a_text(html: Any) -> None:
    text = 'write <a href="javascript:x"> or href=javascript:x'
    found = html("<p>{{ record.fields.t }}</p>", t=text)
    assert "javascript:x" in found
    assert Addresses(found).addresses == []


@pytest.mark.parametrize("brought", ["x onmouseover=alert(1)", "x style=behavior:url(x)", "x onload='a'", "x srcdoc=a"])
def test_an_answer_without_quotes_round_it_adds_no_attribute_that_acts(html: Any, brought: str) -> None:
    names = Addresses(html("<td class={{ record.fields.c }}>x</td>", c=brought)).names
    assert not {name for name in names if name.startswith("on") or name in ("style", "srcdoc")}
    names = Addresses(html("<td {{ record.fields | xmlattr }}>x</td>", onclick="alert(1)", c="d")).names
    assert names == {"c"}


@pytest.mark.parametrize("style", ["width: expression(alert(1))", "background: url(java\\73 cript:alert(1))"])
def test_a_style_from_an_answer_runs_nothing(html: Any, style: str) -> None:
    assert html('<p style="{{ record.fields.s }}">x</p>', s=style) == '<p style="#">x</p>'
    assert html('<p style="color: {{ record.fields.s }}">x</p>', s="red") == '<p style="color: red">x</p>'


@pytest.mark.parametrize(
    "switch",
    [
        "{% autoescape false %}{{ record.fields.site }}{% endautoescape %}",
        "{% autoescape record.fields.off %}{{ record.fields.site }}{% endautoescape %}",
        "{% autoescape not true %}{{ record.fields.site }}{% endautoescape %}",
        "{% for i in [1] %}{% autoescape false %}{{ record.fields.site }}{% endautoescape %}{% endfor %}",
    ],
)
def test_escaping_is_not_switched_off_in_html(html: Any, switch: str) -> None:
    with pytest.raises(ValueError, match="escaping cannot be switched off"):
        html(switch, site="<b>")


def test_escaping_that_is_switched_on_again_is_no_harm(html: Any) -> None:
    text = "{% autoescape true %}{{ record.fields.site }}{% endautoescape %}"
    assert html(text, site="<b>") == "&lt;b&gt;"
    assert rendered(text.replace("true", "false"), TemplateMark(), site="<b>") == "<b>"


@pytest.mark.parametrize(
    "unescaped",
    [
        "{{ record.fields.site | safe }}",
        "{{ ('<b>' ~ record.fields.site) | safe }}",
        "{{ record.fields.site | upper | safe }}",
        "{% filter safe %}{{ record.fields.site }}{% endfilter %}",
        "{{ webservice.vars[record.fields.site] | safe }}",
        "{{ ['<b>'][record.fields.n] | safe }}",
    ],
)
def test_safe_stands_behind_nothing_that_a_record_brings(html: Any, unescaped: str) -> None:
    with pytest.raises(ValueError, match="`safe` lets what a record holds write HTML"):
        html(unescaped, site="<b>", n=0)


@pytest.mark.parametrize("name", ["'safe'", "record.fields.f"])
def test_safe_is_reached_by_no_other_way(html: Any, name: str) -> None:
    with pytest.raises(TemplateError, match="`safe` lets what a record holds write HTML"):
        html("{{ [record.fields.site] | map(" + name + ") | join }}", site="<b>", f="safe")


def test_safe_behind_own_words_is_as_ever(html: Any) -> None:
    assert html("{{ '<br>' | safe }}{{ ['a', '<'] | join('<br>' | safe) }}") == "<br>a<br>&lt;"
    assert html("{{ '<b>%s</b>' | safe | format(record.fields.site) }}", site="<i>") == "<b>&lt;i&gt;</b>"


TEXT = st.text(alphabet="javscriptJS:&#;x6A \t\n\x00\x01\"'<>=/ondathref", max_size=24)


@quick
@given(
    TEXT, st.sampled_from(['<a href="{}">', "<a href='{}'>", "<a href={}>", '<img src=" {}" alt="">', "<a class={}>"])
)
def test_whatever_an_answer_is_it_leads_nowhere_else(value: str, template: str) -> None:
    found = harmless(template.format(escape(value)), template)
    parsed = Addresses(found + "</a>")
    assert all(scheme_of(address) in ALLOWED | {None} for address in parsed.addresses)
    assert not any(name.startswith("on") for name in parsed.names)
    assert harmless(found, template) == found, "what is harmless stays so"
