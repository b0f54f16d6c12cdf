"""Texts from outside as they are shown: nothing that a terminal obeys, nothing that cannot be seen, nothing lost."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.text.visible import visible, visible_data, visible_json

ANY = st.text(st.characters(codec=None, exclude_categories=()))
"""Texts with lone surrogates too."""


def is_shown(character: str) -> bool:
    """Tell whether a character is seen, or is one of the joiners that scripts need."""
    return unicodedata.category(character) not in ("Cc", "Zl", "Zp", "Cs") and (
        unicodedata.bidirectional(character) not in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – ünï 表 👩‍🔧", "plain – ünï 表 👩‍🔧"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\rb\nc\td", "a\\rb\\nc\\td"),
        ("\x7f\x85\x9b31m", "\\x7f\\x85\\x9b31m"),
        ("abc\u202egpj.exe\u2066x\u2069", "abc\\u202egpj.exe\\u2066x\\u2069"),
        ("\u200e\u200f\u061c", "\\u200e\\u200f\\u061c"),
        ("one\u2028two\u2029", "one\\u2028two\\u2029"),
        ("\ud800", "\\ud800"),
        ("key\ufeff\u200b\U000e0041", "key\\ufeff\\u200b\\U000e0041"),
    ],
)
def test_hidden_characters_are_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_lines_of_a_text_that_stands_by_itself_stay() -> None:
    assert visible("one\n\ttwo\r\n\x1b", lines=True) == "one\n\ttwo\\r\n\\x1b"


@given(ANY)
def test_any_text_is_shown_whole(text: str) -> None:
    shown = visible(text)
    assert all(map(is_shown, shown))
    assert shown.encode() is not None
    assert all(map(is_shown, visible(text, lines=True).replace("\n", "").replace("\t", "")))


@given(ANY)
def test_json_says_the_same_when_its_hidden_characters_are_escaped(text: str) -> None:
    shown = visible_json(json.dumps({text: [text]}, ensure_ascii=False, indent=2))
    assert all(map(is_shown, shown.replace("\n", "")))
    read = json.loads(shown)
    whole = {text: [text]}
    assert json.dumps(read) == json.dumps(whole)  # as escapes: two halves that meet are one character after reading


def test_data_is_shown_in_keys_too() -> None:
    assert visible_data({"a\x1b": ["\x9b", 1, None, True, b"\x00"]}) == {"a\\x1b": ["\\x9b", 1, None, True, "b'\\x00'"]}
