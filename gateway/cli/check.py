"""``gateway check``: checks the routes file and, with ``--connect``, the destinations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.text import Text
from sqlalchemy import Connection

from gateway.attachments.spool import spool_of
from gateway.cli.check_destination import look_at_all
from gateway.cli.loading import load_routes
from gateway.cli.options import ROUTES, AsJson, RoutesFile
from gateway.cli.output import print_json, stderr, stdout
from gateway.cli.questions import questions_store
from gateway.cli.speaking import plugins_speak
from gateway.cli.weak_spots import weak_spots
from gateway.config.loaded import Routes, Webservice
from gateway.destinations.destination import Finding
from gateway.drift.ambiguity import in_several_places
from gateway.drift.messages import MIXED
from gateway.drift.mismatch import ENOUGH, not_in_record
from gateway.drift.rules import brought
from gateway.drift.usage import Mappings, mappings
from gateway.errors import RoutesFileError, StoreError
from gateway.log import Mask
from gateway.models import RecordKind
from gateway.store.engine.connect import is_sqlite, open_database
from gateway.store.engine.database import describe, is_of_database
from gateway.store.work import questions
from gateway.store.work.questions import FormOf, Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Something wrong, as ``--json`` prints it."""

    file: str
    where: str
    found: str
    remedy: str
    error: bool = True


def check(
    routes: RoutesFile = ROUTES,
    connect: Annotated[
        bool,
        typer.Option(
            "--connect",
            help="Look at each destination too: do table, path and login exist; and at what records brought. "
            "doForms is not asked.",
        ),
    ] = False,
    secrets: Annotated[
        bool, typer.Option("--secrets/--no-secrets", help="Look the secrets up that the file refers to.")
    ] = True,
    json: AsJson = False,
) -> None:
    """Check the routes file as a whole: every mistake at once, with table, key and remedy. Changes nothing."""
    if connect and not secrets:
        raise typer.BadParameter("--connect needs the secrets: leave --no-secrets out")
    try:
        loaded = load_routes(routes, secrets=secrets)
    except RoutesFileError as error:
        if not json:
            raise
        print_json([Checked(file=p.file, where=p.where, found=p.found, remedy=p.remedy) for p in error.problems])
        raise typer.Exit(2) from None
    found = _warnings(loaded)
    if connect:
        found += _connect(loaded)
        found += _spool(loaded)
    found += (connect and _sessions(loaded)) or _store(loaded, connect=connect)
    if json:
        print_json(found)
    else:
        _print(loaded, found, connect=connect)
    if any(one.error for one in found):
        raise typer.Exit(1)


def _warnings(loaded: Routes) -> list[Checked]:
    file = str(loaded.file)
    weak = [
        Checked(file=file, where=one.where, found=one.found, remedy=one.remedy, error=False)
        for one in weak_spots(loaded)
    ]
    if loaded.headers:
        return weak
    return [
        *weak,
        Checked(
            file=str(loaded.file),
            where="webhook.headers",
            found="no secret header is configured, so `gateway serve` refuses to start without --insecure",
            remedy='Add headers = { X-Webhook-Key = ["env:WEBHOOK_KEY"] }',
            error=False,
        ),
    ]


def _connect(loaded: Routes) -> list[Checked]:
    mask = Mask()
    mask.learn(loaded.secrets)
    with plugins_speak():
        found = look_at_all(loaded)
    return [_checked(loaded, name, finding, mask) for name, findings in found.items() for finding in findings]


def _checked(loaded: Routes, destination: str, finding: Finding, mask: Mask) -> Checked:
    """Say of what a destination found where it stands: an option in its delivery, a setting in the destination."""
    specs = {(spec.route, spec.name): spec for route in loaded.routes for spec in route.deliveries}
    spec = None if finding.use is None else specs.get((finding.use.route, finding.use.delivery))
    table = f"destinations.{destination}" if spec is None else spec.where
    return Checked(
        file=str(loaded.file) if spec is None else spec.file,
        where=".".join(part for part in (table, finding.where) if part),
        found=mask.text(finding.found),
        remedy=mask.text(finding.remedy),
        error=finding.error,
    )


def _spool(loaded: Routes) -> list[Checked]:
    """Say whether photos and files could be kept, where a delivery asks for them."""
    spool = spool_of(loaded)
    if not any(spec.attachments for route in loaded.routes for spec in route.deliveries):
        return []
    if (why := spool.obstacle()) is None:
        return []
    remedy = "Name a folder there that the gateway may write to"
    found = f"attachments could not be kept in {spool.root}: {why}"
    return [Checked(file=str(loaded.file), where="gateway.spool", found=found, remedy=remedy)]


def _sessions(loaded: Routes) -> list[Checked]:
    """Say whether a store in PostgreSQL is behind a pooler that it cannot work behind."""
    if is_sqlite(loaded.store):
        return []
    from gateway.store.engine.pooler import REMEDY, SAID  # its driver is there only where it is needed

    database = open_database(loaded.store)
    try:
        database.hold()
    except StoreError:
        found = f"the store {database.name} {SAID}"
        return [Checked(file=str(loaded.file), where="gateway.store", found=found, remedy=REMEDY)]
    finally:
        database.close()
    return []


def _store(loaded: Routes, *, connect: bool) -> list[Checked]:
    """Say whether the store can be used and, where it is connected to, what its records say of the routes.

    Without connecting a store that cannot be there only warns: the file may be checked on another machine.
    """
    if not connect and not is_sqlite(loaded.store):
        return []
    try:
        if not connect:
            open_database(loaded.store).exists()
            return []
        with questions_store(loaded) as connection:
            return [] if connection is None else list(_of_forms(loaded, connection))
    except StoreError as error:
        text, _, remedy = str(error).partition(". ")
    except Exception as error:
        if not is_of_database(error):
            raise
        text = f"the store {open_database(loaded.store).name} cannot be read: {describe(error)}"
        remedy = "Look whether the database is up, and whether its address and login are right"
    return [Checked(file=str(loaded.file), where="gateway.store", found=text, remedy=remedy, error=connect)]


def _new_store(loaded: Routes) -> str:
    """Say that there is no store yet, where that can be told without connecting to it."""
    if not is_sqlite(loaded.store):
        return ""
    database = open_database(loaded.store)
    try:
        return (
            "" if database.exists() else f"There is no store at {database.name} yet: `gateway serve` makes a new one."
        )
    except StoreError:  # it is told
        return ""
    finally:
        database.close()


def _of_forms(loaded: Routes, connection: Connection) -> Iterator[Checked]:
    for webservice in loaded.webservices.values():
        for kind in RecordKind:
            form = FormOf(webservice.id, kind)
            known = questions.known(connection, form)
            asked = mappings(loaded, webservice, kind, alone=questions.is_alone(connection, form))
            told = [*_never_came(webservice, known, asked), *_ambiguous(webservice, known, asked)]
            for found, remedy in told:
                where = f"webservices.{webservice.name}"
                yield Checked(file=str(loaded.file), where=where, found=found, remedy=remedy, error=False)


def _never_came(webservice: Webservice, known: Mapping[str, Question], asked: Mappings) -> Iterator[tuple[str, str]]:
    if "" not in known or known[""].seen < ENOUGH:
        return
    for one in not_in_record(brought(known), asked):
        hint = f"Did you mean {one.meant!r}? " if one.meant else ""
        yield (
            f"none of the {known[''].seen} records that came of the form {webservice.form!r} had the "
            f"question {one.question!r}, which is asked for by: {'; '.join(one.asked_by)}",
            f"{hint}Correct the name, or leave it if it only was not answered yet",
        )


def _ambiguous(webservice: Webservice, known: Mapping[str, Question], asked: Mappings) -> Iterator[tuple[str, str]]:
    for one in in_several_places(brought(known), asked):
        yield (
            f"the name {one.question!r} stands in several places of the form {webservice.form!r}, as its records have "
            f"shown: {', '.join(map(repr, one.paths))}; it is asked for by: {'; '.join(one.asked_by)}",
            MIXED,
        )


def _print(loaded: Routes, found: Sequence[Checked], *, connect: bool) -> None:
    for one in found:
        kind, colour = ("error", "red") if one.error else ("warning", "yellow")
        stderr.print(
            Text.assemble((f"{kind}: ", colour), (one.where, f"bold {colour}"), f": {one.found}."), soft_wrap=True
        )
        stderr.print(Text(f"    {one.remedy}", style="cyan"), soft_wrap=True)
    warnings = sum(not one.error for one in found)
    if errors := len(found) - warnings:
        told = f"[red]{_count(errors, 'error')}[/], {_count(warnings, 'warning')}; nothing was changed."
        stderr.print(told, highlight=False)
        return
    named = {"route": loaded.routes, "destination": loaded.destinations, "web service": loaded.webservices}
    counts = ", ".join(f"{len(each)} {kind}{'' if len(each) == 1 else 's'}" for kind, each in named.items())
    answered = "was looked at" if warnings else "answered"
    looked = f"; every destination {answered}; doForms was not asked" if connect else ""
    warned = f"; {_count(warnings, 'warning')}, see above" if warnings else ""
    stdout.print(f"[green]{loaded.file} is right[/]: {counts}{looked}{warned}.", highlight=False, soft_wrap=True)
    if told := _new_store(loaded):
        stdout.print(told, highlight=False, soft_wrap=True)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
