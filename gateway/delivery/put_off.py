"""What a delivery hears whose record or attachments are not there."""

from __future__ import annotations

from gateway.models import ReasonCode


class PutOff(Exception):
    """Not there yet; ``until`` is in the store's time, ``in_line`` tells that nothing is wrong: others go first.

    ``code`` and ``subject`` say what is waited for, where something else may end that.
    """

    def __init__(
        self,
        until: int,
        reason: str,
        *,
        in_line: bool = False,
        code: ReasonCode | None = None,
        subject: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.until = until
        self.in_line = in_line
        self.code = code
        self.subject = subject


class GivenUp(Exception):
    """It could not be had, and is not tried again; ``code`` says what."""

    def __init__(self, reason: str, code: ReasonCode | None = None) -> None:
        super().__init__(reason)
        self.code = code
