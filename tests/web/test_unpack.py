"""Bodies that were packed on their way: every coding that is taken, what is damaged, and bombs."""

from __future__ import annotations

import gzip
import time
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Misfit, NotANotification
from gateway.web.unpack import codings_of, unpack

MOST = 1024 * 1024
BODY = b'{"key": "n1", "webserviceId": "acme$$1"}'


def raw(body: bytes, level: int = 9) -> bytes:
    packer = zlib.compressobj(level, wbits=-15)
    return packer.compress(body) + packer.flush()


PACKERS = {"gzip": gzip.compress, "deflate": zlib.compress, "raw": raw}


@pytest.mark.parametrize(
    ("values", "codings"),
    [
        ([b"gzip"], ("gzip",)),
        ([b"X-GZIP"], ("gzip",)),
        ([b" deflate , gzip"], ("deflate", "gzip")),
        ([b"deflate", b"gzip"], ("deflate", "gzip")),
        ([b"identity"], ()),
        ([b""], ()),
        ([b"identity, gzip,,"], ("gzip",)),
        ([b"br"], ("br",)),
        ([b"\xff\x00"], ("\xff\x00",)),
    ],
)
def test_codings_are_named_in_any_case_and_number(values: list[bytes], codings: tuple[str, ...]) -> None:
    assert codings_of(values) == codings


@settings(deadline=None)
@given(st.binary(max_size=100_000), st.lists(st.sampled_from([*PACKERS]), min_size=1, max_size=3), st.integers(0, 9))
async def test_whatever_was_packed_comes_out_again(body: bytes, packers: list[str], level: int) -> None:
    packed = body or b" "
    for packer in packers:
        packed = PACKERS[packer](packed, level)  # type: ignore[operator]
    codings = ["deflate" if packer == "raw" else packer for packer in packers]
    assert await unpack(packed, codings, most=MOST) == (body or b" ")


async def test_body_of_several_gzip_parts_is_whole() -> None:
    parts = gzip.compress(BODY[:10]) + gzip.compress(b"") + gzip.compress(BODY[10:]) + b"\0\0\0"
    assert await unpack(parts, ["gzip"], most=MOST) == BODY


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_plain_body_that_is_called_packed_is_taken_as_it_is(coding: str) -> None:
    for body in (BODY, b"\xef\xbb\xbf\r\n" + BODY):
        assert await unpack(body, [coding], most=MOST) == body


async def test_empty_body_is_empty_in_any_coding() -> None:
    assert await unpack(b"", ["gzip"], most=MOST) == b""


@pytest.mark.parametrize("codings", [["br"], ["zstd"], ["compress"], ["gzip", "br"], ["gzip"] * 4, ["x" * 9000]])
async def test_coding_that_is_not_taken_is_told_with_those_that_are(codings: list[str]) -> None:
    with pytest.raises(NotANotification, match="only gzip, deflate, identity are unpacked") as told:
        await unpack(BODY, codings, most=MOST)
    assert told.value.code is Misfit.CODING
    assert len(str(told.value)) < 300


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (gzip.compress(BODY)[:-1], "gzip"),
        (gzip.compress(BODY)[:-9], "gzip"),
        (gzip.compress(BODY)[:10], "gzip"),
        (gzip.compress(BODY)[:-8] + b"\0" * 8, "gzip"),
        (gzip.compress(BODY) + b"more", "gzip"),
        (gzip.compress(BODY) * 17, "gzip"),
        (zlib.compress(BODY), "gzip"),
        (gzip.compress(BODY), "deflate"),
        (zlib.compress(BODY)[:-3], "deflate"),
        (zlib.compress(BODY) + b"x", "deflate"),
        (b"\x07" + b"\xff" * 100, "deflate"),
    ],
    ids=["tail", "end", "head", "sum", "more", "parts", "zlib", "gzip", "broken off", "follows", "invalid"],
)
async def test_damaged_body_is_told_as_damaged(body: bytes, coding: str) -> None:
    with pytest.raises(NotANotification) as told:
        await unpack(body, [coding], most=MOST)
    assert told.value.code is Misfit.PACKED


@pytest.mark.parametrize("packer", [*PACKERS])
async def test_bomb_is_given_up_at_the_limit(packer: str) -> None:
    bomb = PACKERS[packer](b" " * (64 * MOST), 9)  # type: ignore[operator]
    coding = "deflate" if packer == "raw" else packer
    with pytest.raises(NotANotification, match="more than 1 MiB") as told:
        await unpack(bomb, [coding], most=MOST)
    assert told.value.code is Misfit.TOO_LARGE
    assert await unpack(PACKERS[packer](b" " * MOST, 9), [coding], most=MOST) == b" " * MOST  # type: ignore[operator]


async def test_bomb_within_a_bomb_costs_no_more_than_a_good_body() -> None:
    inner = gzip.compress(b" " * (900 * MOST), 9)
    outer = gzip.compress(inner, 9)
    began = time.process_time()
    with pytest.raises(NotANotification, match="more than 1 MiB"):
        await unpack(outer, ["gzip", "gzip"], most=MOST)
    assert time.process_time() - began < 2.0


async def test_stream_that_says_much_and_gives_nothing_ends_soon() -> None:
    nothing = zlib.compressobj(wbits=-15)
    empty = nothing.flush(zlib.Z_FULL_FLUSH)
    began = time.process_time()
    with pytest.raises(NotANotification):
        await unpack(empty * (MOST // len(empty)), ["deflate"], most=MOST)
    assert time.process_time() - began < 5.0
