"""``gateway simulate``: what it refuses, and that it takes the options its help shows."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys

import httpx
import pytest

from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--target", "127.0.0.1:8080"], "'127.0.0.1:8080' is no http or https URL"),
        (["--header", "secret"], "'secret' is not NAME: VALUE"),
        (["--header", ": secret"], "': secret' is not NAME: VALUE"),
        (["--webservice", "acme$$1"], "'acme$$1' is neither ID=PASSWORD nor ID=PASSWORD:FORM"),
        (["--webservice", "=secret"], "'=secret' is neither ID=PASSWORD nor ID=PASSWORD:FORM"),
        (["--every", "often"], "'often' is no duration such as 500ms, 5s or 1m"),
        (["--every", "0s"], "'0s' is no duration such as 500ms, 5s or 1m"),
        (["--count", "0"], "greater than or equal to 1"),
        (["--port", "70000"], "less than or equal to 65535"),
    ],
)
def test_a_wrong_option_is_status_2_and_says_what_is_right(run: Run, options: list[str], told: str) -> None:
    refused = run("simulate", *options)
    assert (refused.status, refused.out) == (2, "")
    assert told in " ".join(refused.err.replace("│", " ").split())


def test_a_port_in_use_is_told(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = run("simulate", "--port", str(port))
    assert refused.status == 1
    assert f"127.0.0.1:{port} cannot be listened on" in refused.err
    assert "Choose another with --port" in refused.err


def test_it_serves_the_web_service_it_was_given_until_it_is_interrupted() -> None:
    webservice = "acme$$1$$Published$$2=se:cret:Site inspection"
    command = [sys.executable, "-u", "-m", "gateway", "simulate", "--port", "0", "--webservice", webservice]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        api = process.stdout.readline().split('"')[1]
        token = {"Authorization": "Bearer acme$$1$$Published$$2:se:cret"}
        assert httpx.get(f"{api}/submissions", headers=token).json() == []
    finally:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert said.endswith("ended\n")
