"""``gateway reload``: the running gateway is found and told, and nobody else is."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import SECRETS, Run
from tests.support.gateway_process import GatewayProcess


@pytest.fixture
def gateway(site: Path) -> Iterator[GatewayProcess]:
    made = GatewayProcess(site, environ=SECRETS)
    made.start()
    yield made
    made.stop()


def heard(gateway: GatewayProcess) -> bool:
    for _ in range(200):
        if any(line["event"] == "routes loaded again" for line in gateway.lines()):
            return True
        time.sleep(0.05)
    return False


def test_the_gateway_that_runs_on_the_store_loads_its_file_again(run: Run, gateway: GatewayProcess) -> None:
    assert gateway.process is not None
    told = run("reload", "--routes", gateway.routes)
    assert told.status == 0
    assert f"Process {gateway.process.pid} loads" in told.words
    assert heard(gateway)
    assert gateway.stop() == 0


def test_a_file_with_mistakes_is_refused_before_anybody_is_told(run: Run, gateway: GatewayProcess) -> None:
    gateway.routes.write_text(gateway.routes.read_text().replace('to = "service"', 'to = "servce"'))
    refused = run("reload", "--routes", gateway.routes)
    assert refused.status == 2
    assert "servce" in refused.err
    assert not any("reload" in str(line["event"]) for line in gateway.lines())


def test_where_no_gateway_runs_it_says_so(run: Run, empty: Path) -> None:
    refused = run("reload", "--routes", empty)
    assert (refused.status, "no `gateway serve` runs on the store" in refused.err) == (1, True)


def test_a_process_number_from_inside_a_container_is_not_taken_for_one_of_this_machine(run: Run, empty: Path) -> None:
    lock = empty.with_name("gateway.db.lock")
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write("2")  # no process, or one of the kernel's
        held.flush()
        refused = run("reload", "--routes", empty)
    assert refused.status == 1
    assert "is no gateway of this machine. In a container say `docker kill -s HUP NAME`" in " ".join(
        refused.err.split()
    )
