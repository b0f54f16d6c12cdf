"""``[webhook]``: paths that can never match and secrets that no header can carry are refused, with the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.header_values import is_name, unsendable
from tests.support.routes_files import ENVIRON, HEAD

SECRET = "s3cr3t-Word"


def webhook(path: str) -> str:
    return HEAD.replace("[webhook]\n", f"[webhook]\npath = '{path}'\n")


@pytest.mark.parametrize(
    ("path", "found", "remedy"),
    [
        ("/hook?key=1", "a question mark", 'such as "/hook"'),
        ("/hook#part", "a hash", 'such as "/hook"'),
        ("/web%2Fhook", "decoded first", "without %"),
        ("/web%41", "decoded first", "without %"),
        ("/web hook", "a blank", "Take it out"),
        ("/web\thook", "a blank", "Take it out"),
        ("/hook\u202e", "\\u202e", "Take it out"),
        ("/hook{}", "{", "Take it out"),
        ("hook", "no path", "/webhooks/doforms"),
        ("", "no path", "/webhooks/doforms"),
        ("/", "no path", "/webhooks/doforms"),
        ("//", "no path", "/webhooks/doforms"),
        ("/a/../hook", "dot segments", "without them"),
        ("/./hook", "dot segments", "without them"),
        ("/healthz", "hide the health", "another one"),
        ("/readyz/", "hide the health", "another one"),
        ("//Healthz", "hide the health", "another one"),
        ("https://example.com/hook", "no path", "/webhooks/doforms"),
    ],
)
def test_path_that_can_never_match_or_hides_health_is_refused(problems, path: str, found: str, remedy: str) -> None:
    [problem] = problems(webhook(path))
    assert problem.where == "webhook.path"
    assert found in problem.found
    assert remedy in problem.remedy
    assert "\u202e" not in str(problem)


@pytest.mark.parametrize("path", ["/hook", "/hook/", "//web//hook", "/wébhook", "/a.b/~c/d-e_f/(1)", "/..hook"])
def test_path_that_can_match_is_taken_in_its_plain_form(load_text, path: str) -> None:
    loaded = load_text(webhook(path))
    assert loaded.path == "/" + "/".join(segment for segment in path.split("/") if segment)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("\ufeff" + SECRET, "a byte order mark"),
        (SECRET + "\n\n", "line end"),
        (SECRET + "\r\n\r\n", "line end"),
        ("\n" + SECRET, "line end"),
        ("s3cr3t\nWord", "a line end"),
        ("s3cr3t\rWord", "a line end"),
        (SECRET + " ", "a blank or tab at an end"),
        ("\t" + SECRET, "a blank or tab at an end"),
        (SECRET + "\u00a0", "a blank or tab at an end"),
        ("s3cr3t\x07Word", "a control character"),
        ("s3cr3t\x00Word", "a control character"),
        ("s3cr3t\x7fWord", "a control character"),
        ("s3cr3t\x85Word", "a control character"),
        ("s3cr3t\u200bWord", "cannot be seen"),
        ("s3cr3t\u202eWord", "cannot be seen"),
        ("пароль-Word", "beyond Latin-1"),
        ("s3cr3t–Word", "beyond Latin-1"),
    ],
)
def test_secret_that_no_header_can_carry_is_refused_untold(problems, tmp_path: Path, text: str, found: str) -> None:
    (tmp_path / "key").write_bytes(text.encode())
    [problem] = problems(HEAD.replace('["env:WEBHOOK_KEY"]', f'["file:{tmp_path}/key"]'))
    assert problem.where == "webhook.headers.X-Webhook-Key"
    assert found in problem.found
    assert f"file:{tmp_path}/key" in problem.found
    assert "printf" in problem.remedy
    assert not any(part in str(problem) for part in ("s3cr3t", "Word", "пароль"))


def test_secrets_of_accounts_and_web_services_are_held_to_it_too(problems) -> None:
    text = HEAD + '[accounts.own]\nheaders = { X-Own = "env:BLANK" }\n'
    text += '[webservices.another]\nid = "own$$1"\npassword = "env:MARK"\nform = "F"\n'
    environ = {**ENVIRON, "BLANK": f"{SECRET} ", "MARK": f"\ufeff{SECRET}"}
    found = {problem.where: problem.found for problem in problems(text, environ=environ)}
    assert set(found) == {"accounts.own.headers.X-Own", "webservices.another.password"}
    assert "env:BLANK" in found["accounts.own.headers.X-Own"]


@pytest.mark.parametrize("text", [SECRET, f"{SECRET}\n", f"{SECRET}\r\n", "two words", "clé", "a\tb", '"quoted", x'])
def test_secret_that_a_header_can_carry_is_taken(load_text, text: str) -> None:
    load_text(HEAD, environ={**ENVIRON, "WEBHOOK_KEY": text})


def test_secret_that_was_not_looked_up_is_not_judged(load_text) -> None:
    load_text(HEAD, environ={}, secrets=False)


@pytest.mark.parametrize("name", ["X Key", "X-Key:", "ключ", "", "X\\tKey", "X-Key\\u202e"])
def test_name_that_no_header_has_is_refused(problems, name: str) -> None:
    [problem] = problems(HEAD.replace("X-Webhook-Key", f'"{name}"'))
    assert "is no name of a header" in problem.found


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1))
def test_visible_ascii_can_be_sent_unless_blanks_are_at_an_end(text: str) -> None:
    assert (unsendable(text) is None) is (text == text.strip())
    assert is_name(text) is (not set(text) & set(' "(),/:;<=>?@[\\]{}'))


@pytest.mark.parametrize("value", ['"127.0.0.1"', '["10.0.0.0/8", "fd00::/8"]', '"10.1.2.3/8"'])
def test_trusted_proxies_are_addresses_or_networks(load_text, value: str) -> None:
    loaded = load_text(HEAD.replace("[webhook]\n", f"[webhook]\ntrusted_proxies = {value}\n"))
    assert len(loaded.trusted_proxies) in (1, 2)


@pytest.mark.parametrize("value", ['"proxy.example.com"', '"*"', "[17]"])
def test_trusted_proxies_that_are_no_addresses_are_refused(problems, value: str) -> None:
    [problem] = problems(HEAD.replace("[webhook]\n", f"[webhook]\ntrusted_proxies = {value}\n"))
    assert problem.where.startswith("webhook.trusted_proxies")
    assert "is no address" in problem.found
