"""Loading ``[reconcile]``, which does something only if it is there."""

from __future__ import annotations

from gateway.routing.durations import say_duration
from gateway.routing.loaded import Reconcile
from gateway.routing.merge import Whole
from gateway.routing.problems import Problems
from gateway.routing.references import References
from gateway.routing.tables import ReconcileTable
from gateway.routing.traps import misplaced_in
from gateway.routing.validate import validate


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
