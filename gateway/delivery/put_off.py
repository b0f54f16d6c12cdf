"""What a delivery hears whose record or attachments are not there."""

from __future__ import annotations


class PutOff(Exception):
    """Not there yet; ``until`` is in the store's time, ``in_line`` tells that nothing is wrong: others go first."""

    def __init__(self, until: int, reason: str, *, in_line: bool = False) -> None:
        super().__init__(reason)
        self.until = until
        self.in_line = in_line


class GivenUp(Exception):
    """It could not be had, and is not tried again."""
