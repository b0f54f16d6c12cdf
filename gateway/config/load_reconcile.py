"""Loading ``[reconcile]``, which does something only if it is there."""

from __future__ import annotations

from gateway.config.diagnostics import Problems
from gateway.config.durations import say_duration
from gateway.config.lint import misplaced_in
from gateway.config.loaded import Reconcile
from gateway.config.merge import Whole
from gateway.config.references import References
from gateway.config.schema import ReconcileTable
from gateway.config.validate import validate


def load_reconcile(whole: Whole, references: References, problems: Problems) -> Reconcile | None:
    """Return when and how far back to reconcile; None: not at all."""
    entry = whole.single.get("reconcile")
    if entry is None:
        return None
    judge = misplaced_in("[reconcile]", ReconcileTable)
    table = validate(ReconcileTable, entry, references.resolve(entry), problems, misplaced=judge)
    if table is None:
        return None
    if table.lookback <= table.grace:
        found = f"{say_duration(table.lookback)} is no longer than `grace`, {say_duration(table.grace)}"
        problems.add(entry, ("lookback",), found, "Look back further than that, or there is nothing to look at")
    return Reconcile(every=table.every, lookback=table.lookback, grace=table.grace)
