"""Secrets are masked however another side writes them, and wherever it cut them."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http import excerpt
from gateway.text.mask import MASK, SHORTEST_SECRET, Login, Mask

TOKEN = "tok_9fQ/7a+Zx=e\"4'&ü~pL2vW8sR1uY6bN3mK5jH0gD"
"""43 characters, some of which are written differently in each form."""


def lower(quoted: str) -> str:
    return "".join(f"%{part[:2].lower()}{part[2:]}" if at else part for at, part in enumerate(quoted.split("%")))


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


FORMS = {
    "plain": TOKEN,
    "JSON": json.dumps(TOKEN)[1:-1],
    "JSON in UTF-8": json.dumps(TOKEN, ensure_ascii=False)[1:-1],
    "JSON in JSON": json.dumps(json.dumps(TOKEN)[1:-1])[1:-1],
    "JSON with slashes": json.dumps(TOKEN)[1:-1].replace("/", "\\/"),
    "Python": repr(TOKEN)[1:-1],
    "HTML": html.escape(TOKEN),
    "URL": quote(TOKEN),
    "URL segment": quote(TOKEN, safe=""),
    "URL query": quote_plus(TOKEN),
    "URL in lower case": lower(quote(TOKEN, safe="")),
    "base64": base64_of(TOKEN),
    "base64 for URLs": base64.urlsafe_b64encode(TOKEN.encode()).decode(),
    "base64 without padding": base64_of(TOKEN).rstrip("="),
    **{f"Basic {name}": base64_of(f"{name}:{TOKEN}") for name in ("", "a", "ab", "gateway")},
    "base64 amid more": base64_of(f'{{"token": "{TOKEN}", "more": 1}}'),
    "over lines": "\r\n ".join(TOKEN[at : at + 7] for at in range(0, len(TOKEN), 7)),
    "base64 over lines": "\n".join(base64_of(TOKEN)[at : at + 20] for at in range(0, 60, 20)),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_secret_is_masked_in_each_form(form: str) -> None:
    shown = Mask([TOKEN]).text(f"the service answered 401: bad login {form}, try again")
    assert MASK in shown
    assert shown.startswith("the service answered 401: bad login ")
    assert shown.endswith("try again")
    assert not leaks(shown, form)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("kept", [0.4, 0.7, 0.95])
def test_secret_that_was_cut_at_the_end_is_masked(form: str, kept: float) -> None:
    shown = Mask([TOKEN]).text(f"the service answered 401: bad login {form[: int(len(form) * kept)]}")
    assert shown.startswith(f"the service answered 401: bad login {MASK}")
    assert not leaks(shown, form)


@pytest.mark.parametrize("mark", ["", "...", "\N{HORIZONTAL ELLIPSIS}", '"', "'}", "***"])
def test_beginning_of_a_secret_before_a_mark_that_it_was_cut_is_masked(mark: str) -> None:
    assert Mask([TOKEN]).text(f"bad token {TOKEN[:9]}{mark}") == f"bad token {MASK}{mark}"


def test_beginning_that_the_other_side_cut_amid_its_text_is_masked() -> None:
    assert Mask([TOKEN]).text(f"the token {TOKEN[:29]}... is unknown") == f"the token {MASK}... is unknown"


def leaks(shown: str, form: str) -> bool:
    dense, wanted = "".join(shown.split()), "".join(form.split())
    return any(wanted[at : at + 8] in dense for at in range(len(wanted) - 7))


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=SHORTEST_SECRET, max_size=60),
    st.text(max_size=30),
    st.text(max_size=30),
)
def test_any_secret_is_masked_wherever_it_stands(secret: str, before: str, behind: str) -> None:
    mask = Mask([secret])
    for form in (secret, json.dumps(secret), quote(secret, safe=""), quote_plus(secret)):
        shown = mask.text(f"{before} {form} {behind}")
        assert form.strip('"') not in shown


@given(st.text(max_size=200), st.lists(st.text(min_size=1, max_size=40), max_size=5))
def test_text_without_a_secret_stays_as_it_is(text: str, secrets: list[str]) -> None:
    dense = "".join(text.split())
    foreign = [secret for secret in secrets if secret.strip() and secret[:1] not in dense]
    assert Mask([f"\N{SNOWMAN}{one}\N{SNOWMAN}" * 4 for one in foreign if "\N{SNOWMAN}" not in text]).text(text) == text


def test_short_secret_blots_out_no_words() -> None:
    mask = Mask(["secret", "a", "", "1234567", "        "])
    assert mask.text("the secret is a secret 1234567") == "the secret is a secret 1234567"
    assert Mask(["database-password"]).text("the database refused the password") == "the database refused the password"


def test_numbers_and_keys_are_masked_too() -> None:
    mask = Mask(["1234567890"])
    assert mask.data({"1234567890": [1234567890, 12, None, True, 1.5]}) == {MASK: [MASK, 12, None, True, 1.5]}


def test_secret_is_masked_before_an_excerpt_is_cut() -> None:
    mask = Mask([TOKEN])
    for at in range(240, 310):
        body = json.dumps({"error": "x" * at, "token": TOKEN, "more": "y" * 300})
        answer = httpx.Response(401, content=body.encode())
        for shown in (
            f"answered 401{excerpt(answer, hide=mask.text)}. Look whether `auth` is right",
            mask.text(f"answered 401{excerpt(answer)}"),
        ):
            assert not leaks(shown, TOKEN)
            assert not leaks(shown, json.dumps(TOKEN)[1:-1])


def test_name_of_a_login_is_no_secret_and_its_short_password_is_masked_with_it() -> None:
    mask = Mask([Login("acme$$1$$Published$$1:secret")])
    assert mask.text("the web service acme$$1$$Published$$1") == "the web service acme$$1$$Published$$1"
    assert mask.text("the secret of acme$$1$$Published$$1: it is wrong").endswith("Published$$1: it is wrong")
    for form in ("acme$$1$$Published$$1:secret", quote("acme$$1$$Published$$1:secret", safe="")):
        assert mask.text(f"Bearer {form} is unknown") == f"Bearer {MASK} is unknown"
    assert "c2VjcmV0" not in mask.text(base64_of("acme$$1$$Published$$1:secret"))
