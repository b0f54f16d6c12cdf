"""Counts requests without the right secret, and says when a person must hear of them."""

from __future__ import annotations

import time
from collections.abc import Callable

BURST = 20
WITHIN = 60.0
"""Seconds. So many in that time are somebody who guesses, or a busy account whose header is wrong."""
IN_A_ROW = 5
"""So many with none that fitted between them, however long that took: a quiet account whose header is wrong."""
_TOLD_FOR = 60.0
"""Seconds in which nothing is told again."""
_LOST = (
    "What doForms sent so was not kept and does not come again: once that is mended, "
    "`gateway reconcile --books --until 0s` tells what is missing"
)
_REMEDY = f"somebody guesses, or the header in doForms and [webhook] headers differ. {_LOST}"
_TWICE = f"enter it once in doForms, and look whether a proxy adds it too. {_LOST}"


class AuthFailures:
    """Counts them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at: list[float] = []
        self._in_a_row = 0
        self._told_at: float | None = None

    def passed(self) -> None:
        """Note that a request carried the right secret."""
        self._in_a_row = 0

    def met(self, doubled: str | None = None) -> str | None:
        """Note that one was refused; returns the text of the alarm, if a person must hear of it now.

        ``doubled`` is the secret header that came more than once in it.
        """
        moment = self._clock()
        self._at = [*(at for at in self._at[1 - BURST :] if at > moment - WITHIN), moment]
        self._in_a_row += 1
        many = self._many()
        if many is None or (self._told_at is not None and moment - self._told_at < _TOLD_FOR):
            return None
        self._told_at = moment
        if doubled is not None:
            return f"{many} were refused, the last one because it carried the header {doubled} twice: {_TWICE}"
        return f"{many} carried no or a wrong secret header: {_REMEDY}"

    def _many(self) -> str | None:
        if len(self._at) >= BURST:
            return f"{BURST} or more requests within {WITHIN:g} s"
        return f"the last {self._in_a_row} requests" if self._in_a_row >= IN_A_ROW else None
