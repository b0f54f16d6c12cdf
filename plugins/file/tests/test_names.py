"""From a rendered file name to a safe path."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import quote

import pytest
from gateway_file.names import numbered, safe_path
from hypothesis import given
from hypothesis import strategies as st

from gateway.api import Rejected


@pytest.mark.parametrize(
    ("rendered", "path"),
    [
        ("a.json", "a.json"),
        ("2026/01/a b.json", "2026/01/a b.json"),
        ("Dock%204%2F5.json", "Dock 4_5.json"),
        ("%2Fetc%2Fpasswd", "_etc_passwd"),
        ("..%2F..%2Fetc", "_.__.._etc".replace("_.__", "_._")),
        ("12%3A30.txt", "12_30.txt"),
        ("a\x00b\nc.txt", "a_b_c.txt"),
        ("a\\b.txt", "a_b.txt"),
        (".hidden", "_hidden"),
        ("name. . ", "name"),
        ("con.txt", "_con.txt"),
        ("NUL", "_NUL"),
        ("nul .txt", "_nul .txt"),
        ("Con  ", "_Con"),
        ("aux\u00a0.tar.gz", "_aux\u00a0.tar.gz"),
        ("COM1 .log", "_COM1 .log"),
        ("conout$.txt", "_conout$.txt"),
        ("console.txt", "console.txt"),
        ("cod\u202egnp.exe", "cod_gnp.exe"),
        ("a\u200eb\u2067c\ufeffd.txt", "a_b_c_d.txt"),
        ("Gru\u0308n.txt", "Grün.txt"),
        ("100%.txt", "100%.txt"),
        ("~/x", "~/x"),
    ],
)
def test_a_name_is_made_safe(rendered: str, path: str) -> None:
    assert safe_path(rendered) == path


@pytest.mark.parametrize(
    "rendered",
    ["", " ", "/etc/passwd", "a//b", "a/", "../a", "a/../b", "%2E%2E/a", "a/./b", " .. /a", "a/%20/b", "x/" * 21 + "y"],
)
def test_what_cannot_be_a_path_below_the_root_is_rejected(rendered: str) -> None:
    with pytest.raises(Rejected, match="filename"):
        safe_path(rendered)


def test_a_long_name_is_shortened_and_stays_apart_from_others() -> None:
    first, second = safe_path("ü" * 300 + "1.json"), safe_path("ü" * 300 + "2.json")
    assert first != second
    assert first.endswith(".json")
    assert len(first.encode()) <= 200


@given(st.text(max_size=300), st.text(max_size=300))
def test_no_value_leaves_the_root(folder: str, name: str) -> None:
    values = [quote(value.encode("utf-8", "replace"), safe="") for value in (folder, name)]
    for rendered, parts in ((f"in/{values[0]}/{values[1]}.json", 3), (f"{folder}/{name}", None)):
        try:
            path = PurePosixPath(safe_path(rendered))
        except Rejected:
            continue
        assert not path.is_absolute()
        assert not {"..", ".", ""} & set(path.parts)
        assert parts is None or len(path.parts) == parts
        assert all(len(part.encode()) <= 200 and "\0" not in part for part in path.parts)


def test_numbers_go_before_the_suffix() -> None:
    assert numbered("in.d/report.json", 2) == "in.d/report-2.json"
    assert numbered("in.d/report", 3) == "in.d/report-3"
