"""Keys and ids in addresses: each is one segment, or is not asked for."""

from __future__ import annotations

from urllib.parse import unquote

import httpx
from hypothesis import given
from hypothesis import strategies as st

from gateway.doforms.client import segment
from gateway.doforms.failures import BadKey


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_key_stands_in_an_address_as_one_segment(key: str) -> None:
    try:
        written = segment(key)
    except BadKey:
        assert key.partition(";")[0] in ("", ".", "..")
        return
    path = httpx.URL(f"http://h/api/submissions/{written}").raw_path.decode()
    assert unquote(path.removeprefix("/api/submissions/")) == key
    assert path.count("/") == 3
    assert written.isascii()
    assert not set(written) & set("/?#;% ") - {"%"}
