"""Headers are read back the same by two parsers that share no code: Python's new one and its old one."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.utils import getaddresses

import pytest
from gateway_email.addresses import Mailbox, read_mailboxes
from gateway_email.headers import address_header, text_header
from hypothesis import given, settings
from hypothesis import strategies as st

LETTERS = st.one_of(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs"]),
    st.sampled_from(' "\\,;:<>@()[]=?_.Łódźé高🚧'),
)
TEXTS = st.text(alphabet=LETTERS, max_size=200).map(lambda text: " ".join(text.split()))
NAMES = st.text(alphabet=LETTERS, max_size=120)
LOCALS = st.from_regex(r"[a-z0-9_+-]{1,20}(\.[a-z0-9]{1,10}){0,2}", fullmatch=True)
DOMAINS = st.from_regex(r"[a-z0-9]{1,20}(\.[a-z0-9]{1,12}){1,3}", fullmatch=True)


def new_parser(header: bytes) -> EmailMessage:
    return message_from_bytes(header + b"\r\n", policy=policy.default)  # type: ignore[return-value]


def old_parser(header: bytes) -> Message:
    return message_from_bytes(header + b"\r\n", policy=policy.compat32)


def old_text(header: bytes, name: str) -> str:
    """Read as the old parser's users do: unfold, then decode."""
    raw = str(old_parser(header)[name]).replace("\r\n", "")
    return str(make_header(decode_header(raw)))


def old_addresses(header: bytes, name: str) -> list[tuple[str, str]]:
    raw = str(old_parser(header)[name]).replace("\r\n", "")
    return [(str(make_header(decode_header(shown))), address) for shown, address in getaddresses([raw])]


def fits_the_wire(header: bytes) -> bool:
    lines = header.removesuffix(b"\r\n").split(b"\r\n")
    encoded = [line for line in lines if b"=?utf-8?" in line]
    short = not header.startswith(b"Subject") or all(len(line) <= 76 for line in encoded)
    return short and all(len(line) <= 998 and line.strip() for line in lines) and header.isascii()


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_subject_is_read_back_the_same(text: str) -> None:
    header = text_header("Subject", text)
    if not text:
        return
    assert fits_the_wire(header)
    assert str(new_parser(header)["Subject"]) == text
    assert old_text(header, "Subject") == text


@pytest.mark.parametrize(
    "text",
    [
        "Łódź … risk naïve … end",
        "a " * 240,
        "naïve " * 80,
        "x" * 500,
        "=?utf-8?b?aGVsbG8=?= is no word of ours",
        "High risk at Dock 4 = ?",
        "ends with encoded é",
        "é",
        "🚧" * 100,
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen é",
    ],
)
def test_awkward_subject_is_read_back_the_same(text: str) -> None:
    text = text.strip()
    header = text_header("Subject", text)
    assert fits_the_wire(header)
    assert str(new_parser(header)["Subject"]) == text
    assert old_text(header, "Subject") == text


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(NAMES, LOCALS, DOMAINS), min_size=1, max_size=8))
def test_addresses_are_read_back_the_same(parts: list[tuple[str, str, str]]) -> None:
    quoted = [(name.replace("\\", "\\\\").replace('"', '\\"'), local, domain) for name, local, domain in parts]
    boxes = read_mailboxes(", ".join(f'"{name}" <{local}@{domain}>' for name, local, domain in quoted))
    assert [box.address for box in boxes] == [f"{local}@{domain}" for _, local, domain in parts]
    header = address_header("To", boxes)
    assert fits_the_wire(header)
    expected = [(box.name, box.address) for box in boxes]
    assert [(one.display_name, one.addr_spec) for one in new_parser(header)["To"].addresses] == expected
    assert old_addresses(header, "To") == expected


@pytest.mark.parametrize("count", [1, 2, 30])
def test_names_that_are_not_ascii_lose_no_address_however_long_the_header(count: int) -> None:
    boxes = [Mailbox(f"Jürgen Müller-Lüdenscheidt {number}", f"j{number}", "example.com") for number in range(count)]
    header = address_header("Reply-To", boxes)
    assert [one.addr_spec for one in new_parser(header)["Reply-To"].addresses] == [box.address for box in boxes]
    assert old_addresses(header, "Reply-To") == [(box.name, box.address) for box in boxes]


def test_name_of_usual_length_makes_an_encoded_word_of_allowed_length() -> None:
    for name in ("Jürgen Müller-Lüdenscheidt", "Żółć Gęślą-Jaźń", "Анна Ивановна Петрова", "高橋 健太郎"):
        [word] = [part for part in address_header("To", [Mailbox(name, "a", "b.c")]).split() if part.startswith(b"=?")]
        assert len(word) <= 75


def test_longest_address_behind_the_longest_name_stands_on_a_line_of_its_own() -> None:
    box = Mailbox("N" * 60, "l" * 64, "d" * 60 + "." + "e" * 60 + "." + "f" * 60)
    header = address_header("To", [box, box])
    assert max(map(len, header.split(b"\r\n"))) < 260
    assert old_addresses(header, "To") == [(box.name, box.address)] * 2


def test_international_address_goes_out_as_utf_8() -> None:
    header = address_header("To", [Mailbox("Jürgen", "jürgen", "example.com"), Mailbox("", "b", "example.com")])
    assert "<jürgen@example.com>".encode() in header
    utf8 = policy.default.clone(utf8=True)
    message = message_from_bytes(header + b"\r\n", policy=utf8)
    assert len(message["To"].addresses) == 2
