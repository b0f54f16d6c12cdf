"""A real gateway process against the simulated doForms, with real destinations."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.demo.sinks import MailSink, RestSink
from gateway.doforms.simulator import Simulator
from tests.support.gateway_process import GatewayProcess
from tests.support.service import Service, serve

FORM = "acme$$1$$Published$$1"
OTHER = "acme$$1$$Published$$2"
KEY = {"X-Webhook-Key": "correct"}

HEAD = """
[gateway]
answer_within = "1s"
{gateway}
[doforms]
api = "{api}"
expected_fetch = "10ms"
requests_per_minute = 60000
fetch_retry = {{ first = "200ms", max = "1s" }}
report_retry = {{ first = "200ms", max = "1s" }}
[webhook]
headers = {{ X-Webhook-Key = ["env:WEBHOOK_KEY"] }}
[webservices.inspection]
id = "acme$$1$$Published$$1"
password = "env:DOFORMS_PASSWORD"
form = "Inspection"
[webservices.other]
id = "acme$$1$$Published$$2"
password = "env:DOFORMS_PASSWORD"
form = "Other"
[destinations.table]
plugin = "database"
url = "sqlite:///{folder}/effects.db"
retry = {{ first = "200ms", max = "1s" }}
[destinations.service]
plugin = "rest"
url = "{rest}"
retry = {{ first = "200ms", max = "1s" }}
[destinations.office]
plugin = "email"
host = "127.0.0.1"
port = {mail}
security = "none"
from = "forms@example.com"
[destinations.folder]
plugin = "file"
root = "{folder}/files"
"""

_EFFECTS = """
PRAGMA journal_mode = WAL;
CREATE TABLE plain (id INTEGER PRIMARY KEY, record TEXT, delivery_key TEXT UNIQUE);
CREATE TABLE state (record TEXT PRIMARY KEY, score INTEGER);
"""


@dataclass
class World:
    """Everything that one test plays with."""

    folder: Path
    doforms: Simulator
    rest: RestSink
    mail: MailSink
    gateway: GatewayProcess | None = None

    def write(self, routes: str, *, gateway: str = "", environ: dict[str, str] | None = None) -> None:
        self.rewrite(routes, gateway=gateway)
        secrets = {"WEBHOOK_KEY": "correct", "DOFORMS_PASSWORD": "secret"}
        self.gateway = GatewayProcess(self.folder / "routes.toml", environ=secrets | (environ or {}))

    def rewrite(self, routes: str, *, gateway: str = "") -> None:
        """Write the routes file of a gateway that runs already.

        Its end is waited for in the loop that serves the destinations, so what is being sent then gets no answer.
        """
        if "shutdown_grace" not in gateway:
            gateway += '\nshutdown_grace = "2s"'
        head = HEAD.format(
            api=self.doforms.api, folder=self.folder, rest=self.rest.url, mail=self.mail.port, gateway=gateway
        )
        (self.folder / "routes.toml").write_text(head + routes)

    @contextmanager
    def running(
        self, routes: str, *, gateway: str = "", environ: dict[str, str] | None = None
    ) -> Iterator[GatewayProcess]:
        self.write(routes, gateway=gateway, environ=environ)
        self.gateway.start()
        self.doforms.target = self.gateway.url
        try:
            yield self.gateway
        finally:
            assert self.gateway.stop() == 0

    def end(self) -> None:
        """End a gateway that a failed test left running."""
        if self.gateway is not None and self.gateway.process is not None and self.gateway.process.poll() is None:
            self.gateway.kill()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        database = sqlite3.connect(self.folder / "effects.db", timeout=10)
        try:
            return database.execute(sql).fetchall()
        finally:
            database.close()

    def stored_write(self, sql: str, values: tuple[Any, ...] = ()) -> None:
        """Change the store as nobody does, for what cannot be waited for."""
        database = sqlite3.connect(self.gateway.store, timeout=10)
        with database:
            database.execute(sql, values)
        database.close()

    def stored(self, sql: str) -> list[tuple[Any, ...]]:
        database = sqlite3.connect(self.gateway.store, timeout=10)
        try:
            return database.execute(sql).fetchall()
        finally:
            database.close()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with made_world(tmp_path) as made:
        yield made
        made.end()


@asynccontextmanager
async def made_world(folder: Path) -> AsyncIterator[World]:
    """Serve a doForms and the destinations, whose files stand in a folder."""
    (folder / "files").mkdir()
    database = sqlite3.connect(folder / "effects.db")
    database.executescript(_EFFECTS)
    database.close()
    doforms = Simulator(headers=KEY, repeat_after=[0.3] * 60)
    for ident in (FORM, OTHER):
        doforms.add_webservice(ident, "secret")
    rest, mail = RestSink(slow=2.0), MailSink(folder / "mail")
    async with doforms.serving(), rest.serve(), mail.serve():
        yield World(folder, doforms, rest, mail)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serve() as made:
        yield made


Make = Callable[..., str]


@pytest.fixture
def route() -> Make:
    """Write a route: ``route(to="service", more='path = "slow"')``."""

    def make(*delivers: str, head: str = "", form: str = "Inspection", name: str = "one") -> str:
        body = "\n".join(f"[[routes.deliver]]\n{deliver}" for deliver in delivers)
        return f'\n[[routes]]\nname = "{name}"\nform = "{form}"\n{head}\n{body}\n'

    return make
