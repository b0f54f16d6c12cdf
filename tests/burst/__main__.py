"""``make burst``: thousands of records at once against the limits of an account."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gateway.doforms.simulator import AccountLimit
from tests.burst.run import Came, Plan, burst


def main() -> int:
    """Run a burst and show what came of it; returns 1 if something was lost, doubled, shuffled or refused too often."""
    parser = argparse.ArgumentParser(prog="python -m tests.burst", description="A burst against an account's limits.")
    parser.add_argument("--records", type=int, default=5000)
    parser.add_argument("--a-minute", type=int, default=6000, help="calls that doForms allows a minute (default 6000)")
    parser.add_argument("--in-flight", type=int, default=4, help="calls that it allows at once (default 4)")
    parser.add_argument("--rate", type=float, default=500.0, help="notifications a second (default 500)")
    parser.add_argument("--processes", type=int, default=1, help="gateways; several share a PostgreSQL store")
    given = parser.parse_args()
    plan = Plan(
        records=given.records,
        again=given.records // 10,
        rate=given.rate,
        limit=AccountLimit(a_minute=given.a_minute, in_flight=given.in_flight, window="sliding"),
        processes=given.processes,
    )
    with tempfile.TemporaryDirectory(prefix="burst-") as folder:
        came = asyncio.run(burst(plan, Path(folder)))
    return 0 if show(plan, came) else 1


def show(plan: Plan, came: Came) -> bool:
    """Print what came of a burst; returns whether all of it is as it should be."""
    share = came.refused / came.calls if came.calls else 0.0
    table = Table("", "came", "should be")
    rows = [
        ("answers", str(came.answers), f"{{'200': {plan.measured}}}", came.answers == {"200": plan.measured}),
        ("answers, 50th percentile", f"{came.p50_ms:.1f} ms", "", True),
        ("answers, 99th percentile", f"{came.p99_ms:.1f} ms", "under 50 ms", came.p99_ms < 50),
        ("until all was delivered and told", f"{came.seconds:.0f} s", "", True),
        ("processor time for a notification", f"{came.processor_ms:.1f} ms", "", True),
        ("calls", str(came.calls), "", True),
        ("calls answered 429", f"{came.refused} ({share:.1%})", "at most 2 %", share <= 0.02),
        ("not delivered", str(came.missing), "0", came.missing == 0),
        ("delivered twice", str(came.twice), "0", came.twice == 0),
        ("out of a record's order", str(came.out_of_order), "0", came.out_of_order == 0),
        ("not known to doForms", str(came.not_believed), "0", came.not_believed == 0),
    ]
    for name, value, wanted, good in rows:
        table.add_row(name, value if good else f"[red]{value}[/red]", wanted)
    Console().print(
        f"{plan.notifications} notifications of {plan.records} records, {plan.rate:g} a second; "
        f"{plan.limit.a_minute} calls a minute and {plan.limit.in_flight} at once; gateways: {plan.processes}"
    )
    Console().print(table)
    return all(good for *_, good in rows)


if __name__ == "__main__":
    raise SystemExit(main())
