"""Every command that prints what came from outside, on a store whose texts are out to fool a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Text, select, update

from gateway.config.load import store_of
from gateway.store.engine.connect import open_database
from gateway.store.tables import deliveries, metadata, notifications, quarantine, records
from gateway.store.work import alarms
from gateway.text.visible import visible_json
from tests.cli.conftest import Ran, Run, make_filled
from tests.support.commands import command_line

HOSTILE = "\x1b[2J\x9b31m\x7f\u202etxt\u2066\u200f\u2028\r\n  9  delivered"
"""Clears the screen, changes colour and direction, and begins a line that looks like a row of a table."""
WORDS = {
    "compatibility": {"oldest"},
    "notifications": {"event", "mode", "outcome", "report_state", "fetch_state", "answer"},
    "deliveries": {"state", "receipt"},
    "attempts": {"result"},
    "records": {"kind"},
    "attachments": {"state"},
    "quarantine": {"code", "coding", "senders"},
    "pauses": {"kind", "cause"},
    "questions": {"kind", "record_kind"},
}
"""Columns with words of the gateway's own, or by which rows belong together."""
GIVEN = {
    ("notifications", "show"): notifications.c.notification_key,
    ("deliveries", "show"): deliveries.c.id,
    ("quarantine", "show"): quarantine.c.id,
}
"""What the commands that show one thing take."""
PRINTING = [
    (name, inner)
    for name, group in command_line().commands.items()
    for inner in getattr(group, "commands", {})
    if inner in ("list", "show")
]


@pytest.fixture(params=["sqlite", "postgresql"])
def hostile(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a routes file whose store holds a bit of everything, each text of it with a hostile end."""
    file = make_filled(request, tmp_path)
    database = open_database(store_of(file))
    with database.write() as connection:
        for kind in ("unmatched", "wrong path"):
            alarms.raise_alarm(connection, kind, "subject", "text")
        for table in metadata.sorted_tables:
            texts = [column for column in table.c if isinstance(column.type, Text)]
            for column in (one for one in texts if one.name not in WORDS.get(table.name, ())):
                connection.execute(update(table).values({column: column + HOSTILE}))
        receipt = json.dumps({"summary": HOSTILE, "details": {HOSTILE: HOSTILE}})
        connection.execute(update(deliveries).where(deliveries.c.receipt.is_not(None)).values(receipt=receipt))
        connection.execute(update(quarantine).values(body=HOSTILE.encode() + b"\xff"))
    database.close()
    return file


def given(routes: Path, command: tuple[str, ...]) -> list[str]:
    """Return what a command is asked about: each thing of the store that it can show."""
    database = open_database(store_of(routes))
    with database.read() as connection:
        found = connection.execute(select(GIVEN[command])).scalars().all()
    database.close()
    return sorted({str(one) for one in found})


def is_harmless(text: str) -> bool:
    return not any(character in text for character in HOSTILE if not character.isprintable() and character != "\n")


def check(ran: Ran) -> None:
    assert is_harmless(ran.out), ran.out
    assert is_harmless(ran.err), ran.err
    table, _, _ = ran.out.partition(" as it came:")  # which a body follows with the line ends that it has
    assert not any(line.startswith("  9  delivered") for line in table.splitlines()), ran.out


def runs(routes: Path, command: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if command in GIVEN:
        yield from ((*command, one) for one in given(routes, command))
    else:
        yield command


def test_commands_that_list_or_show_are_all_looked_at() -> None:
    assert {command for command in PRINTING if command[1] == "show"} == set(GIVEN)


@pytest.mark.parametrize("command", [*PRINTING, ("alarms",), ("store", "check")], ids=" ".join)
def test_hostile_texts_are_written_out_in_tables_and_in_json(run: Run, hostile: Path, command: tuple[str, ...]) -> None:
    for arguments in runs(hostile, command):
        for more in ((), ("--json",)):
            check(shown := run(*arguments, "--routes", hostile, *more))
            assert shown.status in (0, 1, 2), shown.err
            if more and shown.out:
                assert isinstance(shown.json, (list, dict))


@pytest.mark.parametrize("group", ["notifications", "deliveries", "quarantine"])
def test_hostile_texts_are_written_out_in_previews_results_and_errors(run: Run, hostile: Path, group: str) -> None:
    key = "nothing" + HOSTILE if group == "notifications" else "99"
    check(run(group, "show", key, "--routes", hostile))
    chosen = ("--error", "txt") if group == "deliveries" else ("--since", "3d")
    check(run(group, "drop", "--routes", hostile, *chosen))
    check(run(group, "drop", "--routes", hostile, *chosen, "--yes"))


def test_hostile_texts_in_json_say_the_same_as_before(run: Run, hostile: Path) -> None:
    found: list[Any] = run("notifications", "list", "--routes", hostile, "--json").json
    assert {one["key"][-len(HOSTILE) :] for one in found} == {HOSTILE}


def test_hostile_routes_file_is_told_of_without_harm(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "routes.toml"
    text = visible_json(HOSTILE.replace("\n", "").replace("\r", ""))
    file.write_text(f'[webhook]\n"hea{text}" = "{text}"\npath = "{text}"\n[destinations."{text}"]\nplugin = "{text}"\n')
    check(run("check", "--routes", file))


@pytest.mark.parametrize("what", ["--body", "--record"])
def test_hostile_bodies_and_records_say_the_same_by_escapes(run: Run, hostile: Path, what: str) -> None:
    database = open_database(store_of(hostile))
    said = {"key": "\x7f\x9b\u202e\u2028", "\u2066": ["\U000e0041"]}
    raw = json.dumps(said, ensure_ascii=False).encode()
    with database.write() as connection:
        connection.execute(update(notifications).values(body=raw))
        connection.execute(update(records).values(raw=raw))
    database.close()
    shown = run("notifications", "show", f"delivered{HOSTILE}", what, "--routes", hostile)
    assert shown.out.isascii()
    assert shown.json == said
