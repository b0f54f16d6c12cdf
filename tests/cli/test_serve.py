"""``gateway serve``: what it refuses to start with, in words that help, and how it ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import SECRETS
from tests.support.gateway_process import GatewayProcess

LONGEST_REFUSAL = 20.0


def refused(routes: Path, *options: str, **environ: str) -> tuple[int, str]:
    """Start a gateway that must not start; return its exit status and what it said."""
    command = [sys.executable, "-m", "gateway", "serve", "--routes", str(routes), *options]
    ended = subprocess.run(
        command,
        env={**os.environ, **SECRETS, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_REFUSAL,
    )
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stderr


def alive(gateway: GatewayProcess) -> None:
    """Wait for the first answer."""
    assert httpx.get(f"http://127.0.0.1:{gateway.port}/healthz", timeout=10.0).status_code == 200


@pytest.fixture
def gateway(site: Path) -> Iterator[GatewayProcess]:
    made = GatewayProcess(site, environ=SECRETS)
    made.start()
    yield made
    made.stop()


def test_a_second_gateway_on_one_store_is_refused_naming_the_first(gateway: GatewayProcess) -> None:
    assert gateway.process is not None
    status, told = refused(gateway.routes, "--port", "0")
    assert status == 1
    assert f"is in use by another `gateway serve` (process {gateway.process.pid}). Stop that one first" in told


def test_a_port_in_use_is_refused_naming_it_before_the_store_is_touched(site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, told = refused(site, "--port", str(port))
    assert status == 2
    assert f"cannot listen on 127.0.0.1, port {port}: Address already in use. Give another --host or --port" in told
    assert not site.with_name("gateway.db").exists()


def test_without_a_secret_header_it_is_refused_unless_told_so(site: Path) -> None:
    site.write_text(site.read_text().replace('headers = { X-Webhook-Key = ["env:WEBHOOK_KEY"] }', ""))
    status, told = refused(site, "--port", "0")
    assert status == 2
    assert "no secret header is configured, so anybody who finds the URL could send notifications" in told
    assert "or start with --insecure" in told
    insecure = GatewayProcess(site, environ=SECRETS, arguments=("--insecure",))
    insecure.start()
    alive(insecure)
    assert insecure.stop() == 0
    assert any("whoever finds the URL" in str(line["event"]) for line in insecure.lines())


def test_a_bad_routes_file_is_status_2_with_every_problem(site: Path) -> None:
    site.write_text(site.read_text().replace("filename =", "filname =").replace('to = "service"', 'to = "servce"'))
    status, told = refused(site)
    assert status == 2
    assert "filname" in told
    assert "servce" in told
    assert "problems; nothing was changed." in told


def test_a_secret_that_is_not_set_is_status_2(site: Path) -> None:
    status, told = refused(site, TOKEN="")
    assert status == 2
    assert "TOKEN" in told


@pytest.mark.parametrize(
    ("name", "value"), [("GATEWAY_PORT", "many"), ("GATEWAY_LOG_FORMAT", "xml"), ("GATEWAY_INSECURE", "perhaps")]
)
def test_a_wrong_process_setting_is_status_2_naming_its_variable(site: Path, name: str, value: str) -> None:
    status, told = refused(site, **{name: value})
    assert status == 2
    assert name in told
    assert repr(value) in told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--port", "70000"), "--port: Input should be less than or equal to 65535, found 70000"),
        (("--port", "-1"), "--port: Input should be greater than or equal to 0, found -1"),
        (("--port", "many"), "--port"),
        (("--log-level", "loud"), "--log-level: Input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR', found 'loud'"),
        (("--log-format", "xml"), "--log-format"),
        (("--role", "boss"), "--role"),
        (("--host", "no-such-host.invalid"), "cannot listen on no-such-host.invalid, port 8080"),
        (("--host", "300.1.1.1"), "cannot listen on 300.1.1.1, port 8080"),
        (("--host", "::zz"), "cannot listen on ::zz, port 8080"),
        (("--host", "a" * 70), "Give another --host or --port"),
    ],
)
def test_wrong_option_is_status_2_naming_it(site: Path, options: tuple[str, ...], told: str) -> None:
    status, said = refused(site, *options)
    assert status == 2
    assert told in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GATEWAY_PORT", "70000"),
        ("GATEWAY_PORT", "-1"),
        ("GATEWAY_LOG_LEVEL", "loud"),
        ("GATEWAY_ROLE", "boss"),
        ("GATEWAY_HOST", "no-such-host.invalid"),
    ],
)
def test_wrong_variable_is_status_2_with_its_value(site: Path, name: str, value: str) -> None:
    status, said = refused(site, **{name: value})
    assert status == 2
    assert value in said


def test_empty_variables_are_not_set(site: Path) -> None:
    names = ("HOST", "PORT", "ROLE", "LOG_LEVEL", "LOG_FORMAT", "INSECURE", "ROUTES")
    made = GatewayProcess(site, environ=SECRETS | {f"GATEWAY_{name}": "" for name in names})
    made.start()
    alive(made)
    assert made.url.startswith("http://127.0.0.1:")
    assert made.stop() == 0


def test_log_level_may_be_written_in_small_letters(site: Path) -> None:
    made = GatewayProcess(site, environ=SECRETS, arguments=("--log-level", "info"))
    made.start()
    assert made.stop() == 0


def test_it_logs_where_it_listens_and_ends_with_status_0(gateway: GatewayProcess) -> None:
    alive(gateway)
    assert gateway.stop() == 0
    events = [line["event"] for line in gateway.lines()]
    assert events[0] == "listening"
    assert events[-1] == "stopped"


@pytest.mark.parametrize("role", ["receive", "work"])
def test_a_part_of_the_work_needs_a_store_that_processes_can_share(site: Path, role: str) -> None:
    for options, environ in ((("--role", role), {}), ((), {"GATEWAY_ROLE": role})):
        status, told = refused(site, "--port", "0", *options, **environ)
        assert status == 2
        assert f"--role {role} is for a store that several processes share" in told
        assert "put a PostgreSQL URL in [gateway] store" in told
    assert not site.with_name("gateway.db").exists()
