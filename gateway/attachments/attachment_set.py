"""The attachments of one delivery: those that are there, those that are missing, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.doforms.record_attachments import with_known
from gateway.models import Attachment, Receipt
from gateway.records.fetcher import Records


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """An attachment that was given up."""

    place: str
    filename: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place} ({self.filename}) {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentSet:
    """The attachments of one delivery."""

    attachments: tuple[Attachment, ...] = ()
    missing: tuple[Missing, ...] = ()
    known: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What templates see beside what doForms says, by doForms' key."""

    def seen_in(self, records: Records) -> Records:
        """Return the records with what is known of their attachments."""
        if records.record is None or not self.known:
            return records
        record = with_known(records.record, self.known)
        return replace(records, record=record, by_kind={**records.by_kind, record.kind: record})

    def told_by(self, receipt: Receipt) -> Receipt:
        """Return a receipt that tells what was missing."""
        lacking = f"without {count(self.missing)}: {'; '.join(str(one) for one in self.missing)}"
        return replace(
            receipt,
            summary=f"{receipt.summary}; {lacking[:1000]}",
            details={**receipt.details, "missing": [one.place for one in self.missing]},
        )


NOTHING = AttachmentSet()
"""What a delivery has that asks for no attachments, or whose record has none."""


def count(some: Sequence[Any]) -> str:
    """Say how many attachments."""
    return f"{len(some)} {'attachment' if len(some) == 1 else 'attachments'}"
