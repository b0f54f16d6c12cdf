"""What a delivery hears whose record or attachments are not there."""

from __future__ import annotations


class PutOff(Exception):
    """Not there yet; ``until`` is in the store's time."""

    def __init__(self, until: int, reason: str) -> None:
        super().__init__(reason)
        self.until = until


class GivenUp(Exception):
    """It could not be had, and is not tried again."""
