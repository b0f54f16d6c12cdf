"""Several real gateway processes on one PostgreSQL store, and a doForms that sends to all of them."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

from gateway.cli.demo.sinks import MailSink, RestSink
from gateway.doforms.simulator import Seen, Simulator
from tests.end_to_end.conftest import FORM, HEAD, KEY, OTHER
from tests.support.gateway_process import GatewayProcess
from tests.support.postgresql import Server

LEASE = 3.0

EFFECTS = """
CREATE TABLE plain (id bigserial PRIMARY KEY, record text, event text, delivery_key text UNIQUE);
CREATE TABLE audit (id bigserial PRIMARY KEY, record text, event text, delivery_key text UNIQUE);
"""


class Spread(Simulator):
    """A doForms that takes turns between targets, as a load balancer in front of several gateways does."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.targets: Sequence[str] = ()
        self._turns = itertools.count()

    def _url(self, path: str) -> str:
        return self.targets[next(self._turns) % len(self.targets)] + path


@dataclass
class Several:
    """Gateways, the store that they share, and what they deliver to (a second database on the same server)."""

    folder: Path
    server: Server
    doforms: Spread
    rest: RestSink
    mail: MailSink
    store: str
    effects: str
    gateways: list[GatewayProcess] = field(default_factory=list)

    def write(self, routes: str, count: int = 2, *, gateway: str = "") -> None:
        """Write the same routes file for each gateway."""
        lines = f'store = "{self.store}"\nlease = "{LEASE}s"\n{gateway}'
        for number in range(count):
            folder = self.folder / f"gateway-{number}"
            folder.mkdir()
            text = HEAD.format(
                api=self.doforms.api, folder=self.folder, rest=self.rest.url, mail=self.mail.port, gateway=lines
            ).replace(f"sqlite:///{self.folder}/effects.db", self.effects)
            (folder / "routes.toml").write_text(text + routes)
            environ = {"WEBHOOK_KEY": "correct", "DOFORMS_PASSWORD": "secret"}
            self.gateways.append(GatewayProcess(folder / "routes.toml", environ=environ))

    async def start(self) -> None:
        """Start them all at once, on a store that is still empty."""
        await asyncio.gather(*(asyncio.to_thread(gateway.start) for gateway in self.gateways))
        self.send_to(*self.gateways)

    def send_to(self, *gateways: GatewayProcess) -> None:
        """Have doForms send to these in turn."""
        self.doforms.targets = [gateway.url for gateway in gateways]

    async def stop(self) -> None:
        """Stop those that run, all at once, and look that they end well.

        Meanwhile doForms goes on answering: else the end of what they tell it would be waited for.
        """
        running = [one for one in self.gateways if one.process is not None and one.process.poll() is None]
        for gateway in running:
            gateway.tell(signal.SIGCONT)
        assert set(await asyncio.gather(*(asyncio.to_thread(one.stop) for one in running))) <= {0}

    def end(self) -> None:
        """End what a failed test left running."""
        for gateway in self.gateways:
            if gateway.process is not None and gateway.process.poll() is None:
                gateway.kill()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the database that is delivered to."""
        return _rows(self.effects, sql)

    def stored(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the store."""
        return _rows(self.store, sql)

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of all logs that tell of this."""
        return [line for gateway in self.gateways for line in gateway.lines() if event in line.get("event", "")]

    async def send(self, count: int, *, records: int, form: str = FORM) -> list[Seen]:
        """Send so many notifications, those of one record one after the other; returns them when all are answered."""

        async def one_record(number: int) -> list[Seen]:
            key = f"r{number}" if form == FORM else f"o{number}"
            self.doforms.world.put(form, key, {"score": number})
            sent = []
            for _ in range(count // records):
                seen = self.doforms.compose(form, "update", submission_key=key)
                for _ in range(100):  # the next try goes to the next gateway
                    if not (await self.doforms.send(seen)).repeats:
                        break
                    await asyncio.sleep(0.3)
                sent.append(seen)
            return sent

        return [seen for each in await asyncio.gather(*map(one_record, range(records))) for seen in each]


def _rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        return connection.execute(sql.encode()).fetchall()


@asynccontextmanager
async def several_gateways(
    folder: Path, server: Server, *, repeat_after: Sequence[float] = ()
) -> AsyncIterator[Several]:
    """Make everything but the gateways, which `Several.write` and `start` make."""
    effects = server.make_database(migrated=False)
    with psycopg.connect(make_url(effects).set(drivername="postgresql").render_as_string()) as connection:
        connection.execute(EFFECTS)
    doforms = Spread(headers=KEY, repeat_after=repeat_after)
    for ident in (FORM, OTHER):
        doforms.add_webservice(ident, "secret")
    rest, mail = RestSink(slow=2.0), MailSink(folder / "mail")
    async with AsyncExitStack() as stack:
        for each in (doforms.serving(), rest.serve(), mail.serve()):
            await stack.enter_async_context(each)
        made = Several(folder, server, doforms, rest, mail, store=server.make_database(migrated=False), effects=effects)
        stack.callback(made.end)
        yield made
