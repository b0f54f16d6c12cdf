from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.support.postgresql import Server

os.environ.pop("COLUMNS", None)  # of the terminal that the tests run in: what is printed is not to depend on it
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job; what it starts would not hear Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server; `make_database` gives each test a database of its own."""
    server = Server()
    yield server
    server.end()
