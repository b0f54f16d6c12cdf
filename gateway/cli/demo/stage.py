"""The stage of the demo: a folder, a simulated doForms, a mail server, a REST service, and a real gateway process."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.cli.demo.sinks import MailSink, RestSink
from gateway.doforms.simulator import Simulator
from gateway.errors import SettingsError

INSPECTION, ORDER, SHEET, CLAIM = (f"demo$$1$$Published$${number}" for number in (1, 2, 3, 4))
FORMS = {INSPECTION: "Site inspection", ORDER: "Work order", SHEET: "Time sheet", CLAIM: "Expense claim"}
_START_WITHIN = 30.0
_TABLES = """
CREATE TABLE inspections (doforms_key TEXT PRIMARY KEY, site TEXT, risk TEXT, score INTEGER);
CREATE TABLE hours (id INTEGER PRIMARY KEY, person TEXT, hours NUMERIC(6, 2), delivery_key TEXT UNIQUE);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What plays in the demo."""

    folder: Path
    simulator: Simulator
    rest: RestSink
    mail: MailSink

    @property
    def routes(self) -> Path:
        """The routes file."""
        return self.folder / "routes.toml"

    @property
    def warehouse(self) -> Path:
        """The database that inspections and hours go to."""
        return self.folder / "warehouse.db"

    @property
    def statuses(self) -> Path:
        """The file that status changes go to."""
        return self.folder / "files" / "status.jsonl"


@asynccontextmanager
async def set_up(folder: Path) -> AsyncIterator[Stage]:
    """Set the stage in an empty folder and start the gateway; everything ends with the block.

    Raises:
        SettingsError: something that the demo needs is missing, or the gateway did not start.
    """
    password, key = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
    simulator = Simulator(headers={"X-Webhook-Key": key})
    for ident, form in FORMS.items():
        simulator.add_webservice(ident, password, form)
    rest, mail = RestSink(), MailSink(folder / "mail")
    async with simulator.serving(), rest.serve(), mail.serve():
        stage = Stage(folder=folder, simulator=simulator, rest=rest, mail=mail)
        _furnish(stage, password, key)
        async with _gateway(stage) as simulator.target:
            yield stage


def _furnish(stage: Stage, password: str, key: str) -> None:
    for name in ("secrets", "files"):
        (stage.folder / name).mkdir(mode=0o700)
    for name, value in (("doforms", password), ("webhook", key)):
        secret = stage.folder / "secrets" / name
        secret.touch(mode=0o600)
        secret.write_text(value)
    database = sqlite3.connect(stage.warehouse)
    database.executescript(_TABLES)
    database.close()
    text = Path(__file__).with_name("routes.toml").read_text()
    values = {
        "API": stage.simulator.api,
        "FOLDER": str(stage.folder),
        "MAIL_PORT": str(stage.mail.port),
        "REST": stage.rest.url,
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    stage.routes.write_text(text)


@asynccontextmanager
async def _gateway(stage: Stage) -> AsyncIterator[str]:
    log = stage.folder / "gateway.log"
    command = ["serve", "--routes", str(stage.routes), "--port", "0", "--log-format", "json"]
    with log.open("wb") as output:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", *command, stdout=output, stderr=output, env=environ
        )
    try:
        yield await _address(process, log)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def _address(process: asyncio.subprocess.Process, log: Path) -> str:
    loop = asyncio.get_running_loop()
    end = loop.time() + _START_WITHIN
    while loop.time() < end and process.returncode is None:
        if (url := _logged_address(log)) is not None:
            return url
        await asyncio.sleep(0.05)
    raise SettingsError(f"the gateway did not start: {_text(log)[-2000:]}")


def _logged_address(log: Path) -> str | None:
    found = (str(json.loads(line)["url"]) for line in _text(log).splitlines() if '"listening"' in line)
    return next(found, None)


def _text(log: Path) -> str:
    return log.read_text(errors="replace")
