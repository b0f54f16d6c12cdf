"""Prints what the simulator does while it runs."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from rich.text import Text

from gateway.cli.output import COLOURS, stdout
from gateway.doforms.simulator import Seen, Simulator

_BETWEEN = 2.0
"""Seconds from one look at the counts to the next."""
_MINUTE = 60.0


def tell(what: str, seen: Seen) -> None:
    """Print what happened to a notification."""
    line = Text.assemble((seen.key, "bold"), f" {seen.event}: ")
    if what == "sent":
        line.append(f"sent again, repeat {len(seen.answers)}" if seen.answers else "sent")
    elif what == "lost":
        line.append("lost on its way, never sent")
    elif what == "put":
        line.append(f"PUT heard after {seen.reports[-1].seconds:.1f} s")
    else:
        answer = seen.answers[-1]
        body = " ".join(answer.body[:200].decode(errors="replace").split()) or "empty"
        line.append(answer.error or f"answered {answer.status} {body}")
        line.append(f" in {answer.seconds * 1000:.0f} ms")
    if what in ("answered", "put"):
        line.append("; doForms believes: ").append(seen.belief, COLOURS.get(seen.belief, ""))
    stdout.print(line, soft_wrap=True)


async def tell_counts(simulator: Simulator) -> None:
    """Print counts now and then, whenever something happened, for ever."""
    last = None
    while True:
        await asyncio.sleep(_BETWEEN)
        happened = beliefs(simulator), simulator.requests[-1:]
        if happened != last:
            stdout.print(counts(simulator), soft_wrap=True, highlight=False)
        last = happened


def beliefs(simulator: Simulator) -> Counter[str]:
    """Return how many notifications doForms believes what of; lost ones are counted as lost."""
    return Counter("lost" if one.lost else one.belief for one in simulator.notifications.values())


def counts(simulator: Simulator) -> Text:
    """Return a line of what doForms believes, and how its API is used."""
    believed = beliefs(simulator)
    line = Text(f"{len(simulator.notifications):,} notifications: ", style="")
    for belief in ("new", "received", "completed", "failed", "lost"):
        if believed[belief]:
            line.append(f"{believed[belief]:,} {belief}  ", COLOURS.get(belief, ""))
    since = time.time() - _MINUTE
    calls = Counter(one.status for one in simulator.requests if one.at >= since)
    line.append(f"API calls in the last 60 s: {calls.total():,}")
    if calls[429]:
        line.append(f", {calls[429]:,} of them refused with 429", "yellow")
    return line
