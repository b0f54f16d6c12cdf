"""The command ``gateway demo`` and the table that it ends with."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from gateway.cli.demo.scene import Played, play, wrong
from gateway.cli.demo.stage import FORMS, Stage, set_up
from gateway.cli.options import store
from gateway.cli.output import fail, stdout
from gateway.errors import GatewayError
from gateway.store.operator.queries import find_deliveries, find_notifications
from gateway.store.operator.views import DeliveryFilter, DeliverySummary, NotificationFilter, NotificationSummary


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave everything running for a look around, until Ctrl-C.")
    ] = False,
) -> None:
    """Run the main job on this machine: a simulated doForms, a mail server, a REST service and the gateway.

    Ends with exit status 0 only if what doForms believes, what the gateway's store says and what arrived agree.
    """
    folder = Path(tempfile.mkdtemp(prefix="gateway-demo-"))
    stdout.print(f"The demo plays in {folder}", highlight=False, soft_wrap=True)
    try:
        mistakes = asyncio.run(_demo(folder, keep=keep))
    except (GatewayError, TimeoutError) as error:
        raise fail(f"the demo broke off: {error}. See {folder}/gateway.log") from None
    except KeyboardInterrupt:
        return
    for mistake in mistakes:
        stdout.print(mistake, style="red", soft_wrap=True)
    if mistakes:
        raise typer.Exit(1)


async def _demo(folder: Path, *, keep: bool) -> Sequence[str]:
    async with set_up(folder) as stage:
        played = await play(stage)
        mistakes = await _told(stage, played)
        if keep:
            _print_way_around(stage)
            await asyncio.Event().wait()
    return mistakes


async def _told(stage: Stage, played: list[Played]) -> Sequence[str]:
    """Print the table once every delivery has ended, also those that do not count."""
    end = asyncio.get_running_loop().time() + 15.0
    while True:
        with store(stage.routes) as connection:
            notifications = {one.key: one for one in find_notifications(connection, NotificationFilter(limit=1000))}
            deliveries = find_deliveries(connection, DeliveryFilter(limit=1000))
        ended = all(one.state != "pending" for one in deliveries)
        if ended or asyncio.get_running_loop().time() > end:
            break
        await asyncio.sleep(0.1)
    _print_table(played, notifications, deliveries)
    mistakes = list(wrong(stage, played, {key: one.outcome for key, one in notifications.items()}))
    if not mistakes:
        stdout.print("[green]What doForms believes, what the store says and what arrived agree.[/]")
    _print_places(stage)
    return mistakes


def _print_table(
    played: list[Played], notifications: dict[str, NotificationSummary], deliveries: list[DeliverySummary]
) -> None:
    table = Table(show_lines=True)
    for column in ("notification", "mode and why", "answer", "deliveries", "outcome", "heard by"):
        table.add_column(column, overflow="fold")
    for one in played:
        kept = notifications.get(one.seen.key)
        own = [each for each in deliveries if each.notification == one.seen.key]
        outcome = kept.outcome if kept and kept.outcome else "open"
        table.add_row(
            f"[bold]{one.what}[/]\n{FORMS[one.seen.webservice]}",
            f"{kept.mode}: {kept.mode_reason}" if kept else "not kept",
            "\n".join(_answer(one, index) for index in range(len(one.seen.answers))),
            "\n".join(_delivery(each) for each in reversed(own)),
            f"[{'green' if outcome == 'completed' else 'red'}]{outcome}[/]",
            {"answer": "the answer", "put": "a PUT"}.get(one.seen.heard or "", "nothing yet"),
        )
    stdout.print(table)


def _answer(one: Played, index: int) -> str:
    answer = one.seen.answers[index]
    body = answer.body.decode(errors="replace") or "empty"
    repeat = "repeat: " if index else ""
    return f"{repeat}{answer.status or answer.error} {body}, {answer.seconds * 1000:.0f} ms"


def _delivery(one: DeliverySummary) -> str:
    told = (one.receipt or {}).get("summary") or one.reason or ""
    return f"{one.destination}: {one.state}{f', {told}' if told else ''}"


def _print_places(stage: Stage) -> None:
    with sqlite3.connect(stage.warehouse) as database:
        [[inspections]] = database.execute("SELECT count(*) FROM inspections")
        [[hours]] = database.execute("SELECT count(*) FROM hours")
    stdout.print(
        f"Where to look:\n"
        f"  database  {stage.warehouse} ({inspections} row of inspections, {hours} of hours)\n"
        f"  folder    {stage.statuses.parent}\n"
        f"  mails     {stage.mail.folder} ({len(stage.mail.mails)})\n"
        f"  routes    {stage.routes}\n"
        f"  store     gateway notifications list --routes {stage.routes}",
        highlight=False,
        soft_wrap=True,
    )


def _print_way_around(stage: Stage) -> None:
    stdout.print(
        f"\nThe gateway listens at {stage.simulator.target}, doForms is simulated at {stage.simulator.api}. "
        "End with Ctrl-C.",
        highlight=False,
        soft_wrap=True,
    )
