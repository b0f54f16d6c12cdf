"""Bodies that are small on the way and large when they are unpacked."""

from __future__ import annotations

import zlib

_MEGABYTE = b"\0" * (1 << 20)
_GZIP = 31
"""zlib's word for gzip: https://docs.python.org/3/library/zlib.html#zlib.compressobj"""


def bomb(megabytes: int) -> bytes:
    """Return so many megabytes of nothing as gzip."""
    packer = zlib.compressobj(wbits=_GZIP)
    parts = [packer.compress(_MEGABYTE) for _ in range(megabytes)]
    return b"".join((*parts, packer.flush()))
