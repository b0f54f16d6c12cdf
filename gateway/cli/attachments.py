"""Shows attachments in commands: which are there, which are missing, and why."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.cli.output import local, print_table, stdout
from gateway.config.sizes import say_size
from gateway.store.work.attachments import AttachmentSummary


def print_attachments(found: Sequence[AttachmentSummary]) -> None:
    """Print a table of attachments; nothing where there are none."""
    if not found:
        return
    stdout.print()
    print_table(
        ("attachment", "state", "file"),
        ((one.place, one.state, [one.filename, _about(one), _tries(one), one.reason]) for one in found),
        empty="",
    )


def _about(one: AttachmentSummary) -> str | None:
    if one.size is None or one.sha256 is None:
        return None
    return f"{one.content_type}, {say_size(one.size)}, sha256 {one.sha256[:12]}…"


def _tries(one: AttachmentSummary) -> str | None:
    if one.state == "spooled" or not one.attempts:
        return None
    tried = f"failed {one.attempts} {'time' if one.attempts == 1 else 'times'}"
    return f"{tried}, next {local(one.due)}" if one.due else tried
