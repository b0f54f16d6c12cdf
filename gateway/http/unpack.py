"""Unpacks compressed answers in bounded pieces."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

_PIECE = 64 * 1024
"""Bytes that come out of one step: a fraction of a millisecond."""
_DEEPEST = 2
"""Codings over one another that are undone."""
_ZLIB_OR_GZIP = zlib.MAX_WBITS | 32
_KNOWN = frozenset({"gzip", "x-gzip", "deflate"})


class NotPacked(ValueError):
    """What came is not in the coding that its header names."""


class Unpacker:
    """Undoes the codings of a ``Content-Encoding`` (RFC 9110, 8.4); fed with what comes, it gives what that holds."""

    def __init__(self, codings: list[str]) -> None:
        self._layers = [_Layer() for _ in codings]

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what the data holds, in pieces; raises NotPacked where it is not in that coding."""
        pieces: Iterator[bytes] = iter((data,))
        for layer in self._layers:
            pieces = layer.feed(pieces)
        return pieces

    @property
    def is_whole(self) -> bool:
        """Whether the end has come."""
        return all(layer.is_whole for layer in self._layers)


class _Layer:
    def __init__(self) -> None:
        self._undo = zlib.decompressobj(_ZLIB_OR_GZIP)
        self._begun = False

    @property
    def is_whole(self) -> bool:
        return self._undo.eof or not self._begun

    def feed(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            yield from self._feed(piece)

    def _feed(self, data: bytes) -> Iterator[bytes]:
        full = False
        while data or full:
            if self._undo.eof:  # of a gzip file further ones may follow; anything else behind the end is none
                if not data.startswith(b"\x1f\x8b"):
                    return
                self._undo = zlib.decompressobj(_ZLIB_OR_GZIP)
            piece = self._step(data)
            full = len(piece) == _PIECE
            data = self._undo.unused_data if self._undo.eof else self._undo.unconsumed_tail
            if piece:
                yield piece

    def _step(self, data: bytes) -> bytes:
        try:
            piece = self._undo.decompress(data, _PIECE)
        except zlib.error as error:
            if self._begun:
                raise NotPacked(str(error)) from error
            self._undo = zlib.decompressobj(-zlib.MAX_WBITS)  # some servers leave the frame of deflate out
            try:
                piece = self._undo.decompress(data, _PIECE)
            except zlib.error:
                raise NotPacked(str(error)) from error
        self._begun = True
        return piece


def unpacker_for(content_encoding: str) -> Unpacker | None:
    """Return what undoes a coding; None: there is nothing to undo.

    Raises:
        NotPacked: it is one that is not undone here. None was asked for.
    """
    codings = [name for part in content_encoding.split(",") if (name := part.strip().lower()) not in ("", "identity")]
    if not codings:
        return None
    if len(codings) > _DEEPEST or not _KNOWN.issuperset(codings):
        raise NotPacked(f"the coding {content_encoding[:60]!r} was not asked for and is not undone")
    return Unpacker(codings)
