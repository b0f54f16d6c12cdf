"""Replay and drop of many at once: preview, question, progress, and what became of each."""

from __future__ import annotations

import getpass
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track
from sqlalchemy import Connection

from gateway.cli.options import store
from gateway.cli.output import fail, print_json, print_table, stderr
from gateway.store.engine.sanitize import clean
from gateway.store.operator.actions import AT_ONCE, ActionResult, Actor
from gateway.store.operator.replay import Replay
from gateway.store.operator.views import Candidate

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before many are touched.")]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept with who and when.")]
Render = Annotated[
    bool, typer.Option("--render", help="Render anew with the routes loaded now, under a new delivery key.")
]
Refetch = Annotated[bool, typer.Option("--refetch", help="Fetch the record anew, too; implies --render.")]
Force = Annotated[bool, typer.Option("--force", help="Also what was delivered: it is sent once more.")]
Overtaken = Annotated[
    bool,
    typer.Option(
        "--overtaken", help="Also where a later delivery of the record was attempted: it goes to the end of its lane."
    ),
]

Carry = Callable[[Connection, list[int]], list[ActionResult]]

_EACH = 20
"""So many results are shown one by one; more are counted."""
_GROUPS = 20
_REASON = 160
"""Characters of a reason that a preview shows, and groups by."""
_NAMES_ONE = re.compile(r"(?<!\S)(?![1-5]\d\d\b)\S*\d\S*")
"""What tells reasons of one kind apart: words with a digit in them, but for an HTTP status."""


def by(why: str) -> Actor:
    """Return who gives the order, as this machine knows the person, and why."""
    try:
        who = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        who = f"user {os.getuid()}"
    return Actor(who=clean(who), why=clean(why.strip()))


def replaying(*, reason: str, render: bool, refetch: bool, force: bool, overtaken: bool) -> Replay:
    """Return the order that the options of a replay make."""
    return Replay(by=by(reason), render=render or refetch, refetch=refetch, force=force, overtaken=overtaken)


def ask(what: str, found: Sequence[Candidate], *, more: Iterable[tuple[str, str, str]] = (), yes: bool) -> None:
    """Show by destination, state and reason how many an order touches, and go on only if a person agrees.

    ``more`` holds further rows of the preview: what is to be touched beside deliveries.
    """
    counts: Counter[tuple[str, str, str]] = Counter()
    shown: dict[tuple[str, str, str], set[str]] = {}
    for destination, state, reason in [*((one.destination, one.state, one.reason or "") for one in found), *more]:
        kind = (destination, state, _kind(reason))
        counts[kind] += 1
        shown.setdefault(kind, set()).add(reason)
    rows = [[count, *kind[:2], _one_of(shown[kind])] for kind, count in counts.most_common(_GROUPS)]
    print_table(("count", "destination", "state", "reason"), rows, empty="", to=stderr)
    if len(counts) > _GROUPS:
        rest = counts.total() - sum(int(str(row[0])) for row in rows)
        stderr.print(f"… and {rest} with {len(counts) - _GROUPS} other reasons")
    if not yes:
        confirm(f"{what} {counts.total()}?")


def _kind(reason: str) -> str:
    """Return what is common to reasons that differ in a key, a time or a number."""
    return _NAMES_ONE.sub("…", reason)[:_REASON]


def _one_of(reasons: set[str]) -> str:
    """Return the first of the reasons, cut; and that there are others like it."""
    first = min(reasons)
    cut = first if len(first) <= _REASON else f"{first[:_REASON]}…"
    return cut if len(reasons) == 1 else f"{cut} (and {len(reasons) - 1} like it)"


def confirm(question: str) -> None:
    """Go on only if a person agrees."""
    if not sys.stdin.isatty():
        raise fail(
            f"{question} This is no terminal, so nobody can be asked, and nothing was changed. Add --yes to go on",
            status=2,
        )
    if not typer.confirm(question, err=True):
        raise fail("nothing was changed")


def carry_out(routes: Path, found: Collection[Candidate], order: Carry) -> list[ActionResult]:
    """Carry an order out in short transactions, so that a running gateway is not held up."""
    return in_steps(routes, list(_whole_lanes(found)), order)


def in_steps(routes: Path, steps: Sequence[list[int]], order: Carry) -> list[ActionResult]:
    """Carry an order out for these ids, each step in a transaction of its own."""
    results: list[ActionResult] = []
    shown = track(steps, console=stderr, transient=True, disable=len(steps) < 2 or not stderr.is_terminal)
    for ids in shown:
        with store(routes, write=True) as connection:
            results += order(connection, ids)
    return results


def _whole_lanes(found: Collection[Candidate]) -> Iterator[list[int]]:
    """Yield the ids in steps that leave no lane half done, each lane in its order."""
    step: list[int] = []
    for _, of_lane in groupby(sorted(found, key=attrgetter("lane_id", "number")), attrgetter("lane_id")):
        step += [one.id for one in of_lane]
        if len(step) >= AT_ONCE:
            yield step
            step = []
    if step:
        yield step


def tell(results: Sequence[ActionResult], *, json: bool) -> None:
    """Print what became of an order; exit status 1 if something was refused."""
    if json:
        print_json(results)
    elif len(results) <= _EACH:
        print_table(
            ("id", "", "what"), ([one.id, _word(one.done), [_about(one), one.text]] for one in results), empty=""
        )
    else:
        counts = Counter((one.done, one.text) for one in results)
        rows = ([count, _word(done), text] for (done, text), count in counts.most_common())
        print_table(("count", "", "what"), rows, empty="")
    if not json and any(one.done for one in results):
        typer.echo("A running gateway notices within a second.")
    if refused := sum(not one.done for one in results):
        raise fail(f"{refused} of {len(results)} {'was' if refused == 1 else 'were'} refused")


def _word(done: bool) -> str:
    return "done" if done else "refused"


def _about(one: ActionResult) -> str:
    way = "" if one.route is None else f"{one.route} → {one.destination}, "
    return f"{way}notification {one.notification}" if one.notification else way
