"""Reading mail addresses."""

from __future__ import annotations

import pytest
from gateway_email.addresses import is_allowed, read_mailboxes
from hypothesis import given
from hypothesis import strategies as st


def addresses(text: str) -> list[str]:
    return [mailbox.address for mailbox in read_mailboxes(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("  ", []),
        ("boss@example.com", ["boss@example.com"]),
        ("a@example.com, b@example.com;c@example.com", ["a@example.com", "b@example.com", "c@example.com"]),
        ("a@example.com,, b@example.com,", ["a@example.com", "b@example.com"]),
        ("Boss <boss@Example.COM>", ["boss@example.com"]),
        ('"Boss, the <first>" <boss@example.com>, b@example.com', ["boss@example.com", "b@example.com"]),
        ("boss@bücher.example", ["boss@xn--bcher-kva.example"]),
        ("jürgen@example.com", ["jürgen@example.com"]),
        ("boss@localhost", ["boss@localhost"]),
        ("o'brien+forms@example.com", ["o'brien+forms@example.com"]),
    ],
)
def test_addresses_are_read(text: str, expected: list[str]) -> None:
    assert addresses(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "boss",
        "boss@",
        "@example.com",
        "boss@@example.com",
        "boss@exa mple.com",
        "boss example@example.com",
        "boss@example.com\r\nBcc: all@example.com",
        "boss@example.com\x00",
        "Boss <boss@example.com",
        "Boss <boss@example.com> trailing",
        '"Boss <boss@example.com>',
        "boss@example.com>\x85RCPT TO:<x@y.z>",
        "boss@-example.com",
        "boss@example..com",
        ".boss@example.com",
        "a" * 65 + "@example.com",
        "a@" + "b" * 300 + ".com",
        "a\ud800@example.com",
        "undisclosed-recipients:;",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"address"):
        read_mailboxes(text)


@given(st.text(alphabet=st.sampled_from('ab@.,;<>"\\ :()\r\n\tü-'), max_size=40))
def test_whatever_is_read_is_safe_on_the_wire(text: str) -> None:
    try:
        mailboxes = read_mailboxes(text)
    except ValueError:
        return
    for mailbox in mailboxes:
        assert not set(mailbox.address) & set('\r\n\t <>,;:"\\()')
        assert mailbox.address.count("@") == 1
        assert not set(mailbox.name) & set("\r\n\x00")


@pytest.mark.parametrize(
    "text", ["a" + " " * 50_000 + '"', '"' + "\\" * 50_000, "a@" + "a-" * 50_000, "<" * 50_000, " ," * 50_000 + "<"]
)
def test_a_monstrous_text_is_refused_without_quoting_it_whole(text: str) -> None:
    with pytest.raises(ValueError, match="address") as caught:
        read_mailboxes(text)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("address", "pattern", "fits"),
    [
        ("boss@example.com", "*@example.com", True),
        ("boss@EXAMPLE.com", "*@Example.com", True),
        ("boss@sub.example.com", "*@example.com", False),
        ("boss@sub.example.com", "*@*.example.com", True),
        ("boss@example.com.evil.org", "*@example.com", False),
        ("boss@evil.org", "*@example.com", False),
        ("boss@exampleXcom", "*@example.com", False),
        ("Boss@example.com", "boss@example.com", False),
        ("boss@bücher.example", "*@bücher.example", True),
        ("boss@b.example", "?oss@?.example", True),
        ("a%evil.org@example.com", "*@example.com", False),
        ("evil.org!a@example.com", "*@example.com", False),
        ("|rm@example.com", "*@example.com", False),
        ("a%b@example.com", "?%b@example.com", True),
        ("a%b@example.com", "???@example.com", False),
    ],
)
def test_patterns_say_who_may_get_mail(address: str, pattern: str, fits: bool) -> None:
    assert is_allowed(read_mailboxes(address)[0], [pattern]) is fits
