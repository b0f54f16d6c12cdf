"""Who may send notifications: every header named must carry one of its values, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.web.authenticate import Authenticator
from tests.support.sink import load_routes

ENVIRON = {"KEY": "correct", "OLD": "older", "SITE": "north", "OWN": "their-own", "PASSWORD": "secret", "CLEF": "clé"}
COMMON = '{ X-Webhook-Key = ["env:KEY", "env:OLD?", "env:UNSET?"], x-site = "env:SITE" }'
Headers = list[tuple[bytes, bytes]]
RIGHT: Headers = [(b"x-webhook-key", b"correct"), (b"x-site", b"north")]
OWN: Headers = [(b"x-webhook-key", b"their-own")]


def authenticator(folder: Path, common: str = COMMON, own: str = '{ X-Webhook-Key = ["env:OWN"] }') -> Authenticator:
    webhook = f"[webhook]\nheaders = {common}\n" if common else ""
    account = f"[accounts.other]\nheaders = {own}\n" if own else ""
    services = "".join(
        f'[webservices.{name}]\nid = "{name}$$1"\npassword = "env:PASSWORD"\nform = "F"\n' for name in ("acme", "other")
    )
    return Authenticator(load_routes(folder, webhook + account + services, ENVIRON))


def grouped(headers: Headers) -> dict[bytes, list[bytes]]:
    groups: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        groups.setdefault(name, []).append(value)
    return groups


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        pytest.param(RIGHT, True, id="both right"),
        pytest.param([*RIGHT, (b"other", b"x"), (b"other", b"y")], True, id="others beside them"),
        pytest.param([(b"x-webhook-key", b"older"), (b"x-site", b"north")], True, id="the old value while rotating"),
        pytest.param([], False, id="none"),
        pytest.param(RIGHT[:1], False, id="one missing"),
        pytest.param(RIGHT[1:], False, id="the other missing"),
        pytest.param([(b"x-webhook-key", b"wrong"), (b"x-site", b"north")], False, id="one wrong"),
        pytest.param([(b"x-webhook-key", b"correct"), (b"x-site", b"south")], False, id="the other wrong"),
        pytest.param([(b"x-webhook-key", b"north"), (b"x-site", b"correct")], False, id="values swapped"),
        pytest.param([(b"x-webhook-key", b"correct "), (b"x-site", b"north")], True, id="a space behind"),
        pytest.param([(b"x-webhook-key", b" \t correct\t"), (b"x-site", b"\tnorth  ")], True, id="blanks around"),
        pytest.param([(b"x-webhook-key", b"cor rect"), (b"x-site", b"north")], False, id="a space within"),
        pytest.param([(b"x-webhook-key", b"correct\xa0"), (b"x-site", b"north")], False, id="a hard space behind"),
        pytest.param([(b"x-webhook-key", b"correct, correct"), (b"x-site", b"north")], False, id="joined by a proxy"),
        pytest.param([(b"x-webhook-key", b"Correct"), (b"x-site", b"north")], False, id="another case"),
        pytest.param([(b"x-webhook-key", b""), (b"x-site", b"north")], False, id="empty, as an unset value is"),
        pytest.param([*RIGHT, (b"x-webhook-key", b"correct")], False, id="doubled, both right"),
        pytest.param([*RIGHT, (b"x-webhook-key", b"wrong")], False, id="doubled, one wrong"),
        pytest.param([(b"x-webhook-key", b"correct,older"), (b"x-site", b"north")], False, id="two in one"),
    ],
)
def test_each_header_named_must_carry_one_of_its_values_exactly_once(
    tmp_path: Path, headers: Headers, passes: bool
) -> None:
    one = authenticator(tmp_path)
    assert one.may_pass(grouped(headers)) is passes
    assert one.may_speak_for("acme", grouped(headers)) is passes
    assert one.may_speak_for("in no file", grouped(headers)) is passes


def test_an_account_with_headers_of_its_own_accepts_only_those(tmp_path: Path) -> None:
    one = authenticator(tmp_path)
    assert one.may_pass(grouped(OWN))
    assert one.may_speak_for("other", grouped(OWN))
    assert not one.may_speak_for("other", grouped(RIGHT))
    assert not one.may_speak_for("acme", grouped(OWN))


def test_values_need_not_be_ascii(tmp_path: Path) -> None:
    one = authenticator(tmp_path, '{ X-Webhook-Key = ["env:CLEF"] }')
    assert one.may_pass({b"x-webhook-key": ["clé".encode()]})
    assert one.may_pass({b"x-webhook-key": ["clé".encode("latin-1")]})
    assert not one.may_pass({b"x-webhook-key": [b"cl\xff"]})


@pytest.mark.parametrize(
    ("headers", "doubled"),
    [
        ([*RIGHT, (b"x-webhook-key", b"correct")], "x-webhook-key"),
        ([*RIGHT, (b"x-webhook-key", b"wrong")], "x-webhook-key"),
        ([*RIGHT, (b"x-site", b"south")], "x-site"),
        ([(b"x-webhook-key", b"correct, correct")], "x-webhook-key"),
        ([(b"x-webhook-key", b"wrong,wrong")], "x-webhook-key"),
        ([(b"x-webhook-key", b"one, two")], None),
        ([*RIGHT, (b"other", b"x"), (b"other", b"y")], None),
        ([], None),
    ],
)
def test_secret_header_that_came_twice_is_found(tmp_path: Path, headers: Headers, doubled: str | None) -> None:
    assert authenticator(tmp_path).doubled(grouped(headers)) == doubled


def test_whose_headers_a_request_carries_is_told(tmp_path: Path) -> None:
    one = authenticator(tmp_path)
    assert one.passing(grouped(RIGHT)) == ("",)
    assert one.passing(grouped(OWN)) == ("other",)
    assert one.passing({}) == ()


@pytest.mark.parametrize(("common", "secure"), [(COMMON, True), ("", False)])
def test_it_is_secure_only_with_headers_for_everybody(tmp_path: Path, common: str, secure: bool) -> None:
    assert authenticator(tmp_path, common).secure is secure


def test_without_any_secret_everybody_passes_but_for_accounts_with_their_own(tmp_path: Path) -> None:
    one = authenticator(tmp_path, common="")
    assert one.may_pass({})
    assert one.may_speak_for("acme", {})
    assert not one.may_speak_for("other", {})
