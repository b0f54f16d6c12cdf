"""Maps errors of the operating system to what they mean for a delivery."""

from __future__ import annotations

import errno

from gateway.api import DeliveryError, Misconfigured, Rejected, Unavailable

_NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_BAD_PLACE = frozenset(
    {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP, errno.EILSEQ}
)
_WHOLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.EIO, errno.EMFILE, errno.ENFILE})


def meaning(error: OSError, path: str) -> DeliveryError:
    """Tell what an error means where nothing of the delivery stayed."""
    text = f"{path}: {error.strerror or error}"
    if error.errno in _NOT_ALLOWED:
        return Misconfigured(f"{text}. Let the user that the gateway runs as write there")
    if error.errno in _BAD_PLACE:
        return Rejected(f"{text}. Something that is no plain file or folder is in the way, or the name cannot be")
    return Unavailable(text, whole=error.errno in _WHOLE)
