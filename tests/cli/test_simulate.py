"""``gateway simulate``: what it refuses, and that it takes the options its help shows."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from gateway.cli.simulate import given
from gateway.cli.simulate.given import webservices_for
from gateway.cli.simulate.told import counts, tell
from gateway.doforms.simulator import SCENARIOS, Answer, Request, Simulator
from tests.cli.conftest import Run
from tests.support.tcp import unused_port


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--target", "127.0.0.1:8080"], "'127.0.0.1:8080' is no http or https URL"),
        (["--header", "secret"], "'secret' is not NAME: VALUE"),
        (["--header", ": secret"], "': secret' is not NAME: VALUE"),
        (["--header", "X-Key: env:NOT_SET_AT_ALL"], "the environment variable NOT_SET_AT_ALL is not set"),
        (["--header", "X-Key: file:/nowhere/key"], "/nowhere/key cannot be read"),
        (["--webservice", "a$$1=env:NOT_SET_AT_ALL:Form"], "the environment variable NOT_SET_AT_ALL is not set"),
        (["--webservice", "acme$$1"], "'acme$$1' is neither ID=PASSWORD nor ID=PASSWORD:FORM"),
        (["--webservice", "=secret"], "'=secret' is neither ID=PASSWORD nor ID=PASSWORD:FORM"),
        (["--every", "often"], "'often' is no duration such as 500ms, 5s or 1m"),
        (["--every", "0s"], "'0s' is no duration such as 500ms, 5s or 1m"),
        (["--count", "0"], "greater than or equal to 1"),
        (["--port", "70000"], "less than or equal to 65535"),
        (["--records", "0"], "greater than or equal to 1"),
        (["--scenario", "brust"], "there is no scenario 'brust'; did you mean 'burst'? Known: plain, ordinary-day"),
        (["--scenario", "?"], "there is no scenario '?'; Known: plain"),
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


def test_the_help_lists_every_scenario(run: Run) -> None:
    words = run("simulate", "--help").words
    for scenario in SCENARIOS.values():
        assert f"{scenario.name}: {scenario.story}"[:60] in words


def test_without_web_services_there_is_one_for_each_form_of_the_scenario() -> None:
    assert webservices_for(None) == [("acme$$1234$$Published$$5678", "trial-word", "Site inspection")]
    for scenario in SCENARIOS.values():
        made = webservices_for(scenario)
        assert [form for _, _, form in made] == [form.name for form in scenario.forms]
        assert len({ident for ident, _, _ in made}) == len(made)


def test_each_thing_that_happens_is_a_line_and_counts_are_one(capsys: pytest.CaptureFixture[str]) -> None:
    simulator = Simulator()
    simulator.add_webservice("w", "x")
    seen = simulator.compose("w", "create", key="k1")
    lost = simulator.compose("w", "create", key="k2")
    lost.lost = True
    tell("sent", seen)
    seen.hear(Answer(503, b"", 0.012))
    tell("answered", seen)
    tell("sent", seen)
    seen.hear(Answer(200, b"", 0.005))
    tell("answered", seen)
    seen.hear_put("completed")
    tell("put", seen)
    tell("lost", lost)
    assert [line.partition("k")[2] for line in capsys.readouterr().out.splitlines()] == [
        "1 create: sent",
        "1 create: answered 503 empty in 12 ms; doForms believes: new",
        "1 create: sent again, repeat 1",
        "1 create: answered 200 empty in 5 ms; doForms believes: received",
        "1 create: PUT heard after 0.0 s; doForms believes: completed",
        "2 create: lost on its way, never sent",
    ]
    simulator.requests.extend(Request("GET", "/", 429, time.time() - ago, "w") for ago in (0, 61))
    assert counts(simulator).plain == (
        "2 notifications: 1 completed  1 lost  API calls in the last 60 s: 1, 1 of them refused with 429"
    )


def test_it_serves_and_plays_until_it_is_interrupted() -> None:
    command = [
        sys.executable,
        "-u",
        "-m",
        "gateway",
        "simulate",
        "--port",
        "0",
        "--scenario",
        "burst",
        "--records",
        "30",
    ]
    command += ["--seed", "7", "--webservice", "acme$$1$$Published$$2=se:cret:Site inspection"]
    command += ["--target", f"http://127.0.0.1:{unused_port()}/hook"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        api = process.stdout.readline().split('"')[1]
        page = api.removesuffix("api/v2")
        token = {"Authorization": "Bearer acme$$1$$Published$$2:se:cret"}
        while len(httpx.get(f"{api}/submissions", headers=token).json()) < 30:
            time.sleep(0.05)
        limit = httpx.get(f"{page}control/conditions").json()["limit"]
        assert (limit["a_minute"], limit["in_flight"]) == (6000, 4)
        assert "acme$$1$$Published$$2" in httpx.get(page).text
    finally:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert said.endswith("ended\n")
    assert "Web service acme$$1$$Published$$2 for the form 'Site inspection'." in said
    assert f"What doForms believes is shown at {page}\n" in said
    assert "It plays the scenario 'burst', 30 records, seed 7." in said


def test_secrets_of_a_simulation_can_be_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_PASSWORD", "word:with:colons")
    key = tmp_path / "key"
    key.write_text("webhook-secret\n")
    assert given.header(f"X-Key: file:{key}") == ("X-Key", "webhook-secret")
    assert given.webservice("a$$1=env:A_PASSWORD:Site inspection") == ("a$$1", "word:with:colons", "Site inspection")
    assert given.webservice("a$$1=env:A_PASSWORD") == ("a$$1", "word:with:colons", "")
    assert given.webservice("a$$1=plain:Form") == ("a$$1", "plain", "Form")
