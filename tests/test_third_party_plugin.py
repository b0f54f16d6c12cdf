"""A plugin written from ``docs/plugins.md`` alone, installed by pip, is listed, validated, tested and used."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.doforms.simulator import Simulator
from tests.support.gateway_process import GatewayProcess

ROOT = Path(__file__).parent.parent
DOCS = (ROOT / "docs" / "plugins.md").read_text()
FILES = re.findall(r"```(?:toml|python)\n# file: (\S+)\n(.*?)```", DOCS, re.DOTALL)

ROUTES = """
[webhook]
headers = {{ X-Key = ["env:KEY"] }}
{doforms}
[webservices.one]
id = "acme$$1"
password = "env:KEY"
form = "Lamp form"
[destinations.signal]
plugin = "lamp"
log = "{folder}/lamp.log"
[[routes]]
name = "lamps"
form = "Lamp form"
[[routes.deliver]]
to = "signal"
colour = "{colour}"
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the package into a scratch folder and install it beside it, away from this environment's packages."""
    folder = tmp_path_factory.mktemp("lamp")
    for name, text in FILES:
        path = folder / "package" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    install = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--target", str(folder / "site")]
    subprocess.run([sys.executable, "-m", "pip", *install, str(folder / "package")], check=True)
    return folder


def environ(site: Path) -> dict[str, str]:
    path = os.pathsep.join([str(site / "site"), str(ROOT)])
    return {"PYTHONPATH": path, "KEY": "secret-key", "COLUMNS": "200"}


def run(site: Path, *command: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, **environ(site)}
    return subprocess.run(
        [sys.executable, *command], env=variables, capture_output=True, text=True, cwd=site, check=False
    )


def routes(site: Path, colour: str, *, doforms: str = "") -> str:
    file = site / "routes.toml"
    file.write_text(ROUTES.format(folder=site, colour=colour, doforms=doforms))
    return str(file)


def test_it_is_listed(site: Path) -> None:
    listed = json.loads(run(site, "-m", "gateway", "plugins", "--json").stdout)
    [lamp] = [one for one in listed if one["name"] == "lamp"]
    assert lamp["package"] == "doforms-gateway-lamp"
    assert (lamp["settings"], lamp["options"]) == (["log", "token"], ["colour", "level"])


def test_its_options_are_validated(site: Path) -> None:
    assert run(site, "-m", "gateway", "check", "--routes", routes(site, "red")).returncode == 0
    refused = run(site, "-m", "gateway", "check", "--routes", routes(site, "infrared"))
    assert refused.returncode == 2
    assert "nobody sees infrared" in refused.stderr


def test_it_shows_what_it_would_send(site: Path) -> None:
    payload = site / "payload.json"
    payload.write_text(json.dumps({"key": "n1", "webserviceId": "acme$$1", "submissionKey": "s1", "event": "create"}))
    record = site / "record.json"
    colour = {"name": "colour", "data": "text", "text": "green"}
    record.write_text(json.dumps({"key": "s1", "id": "1", "fields": [colour]}))
    file = routes(site, "{{ record.fields.colour }}")
    explained = run(site, "-m", "gateway", "explain", str(payload), "--record", str(record), "--routes", file)
    assert explained.returncode == 0, explained.stderr
    assert "lamp: green at 100 %" in explained.stdout


async def test_it_delivers_in_a_running_gateway(site: Path) -> None:
    doforms = Simulator(headers={"X-Key": "secret-key"})
    doforms.add_webservice("acme$$1", "secret-key", "Lamp form")
    async with doforms.serving():
        api = f'[doforms]\napi = "{doforms.api}"'
        file = routes(site, "{{ record.fields.colour }}", doforms=api)
        gateway = GatewayProcess(Path(file), environ=environ(site))
        gateway.start()
        try:
            doforms.target = gateway.url
            seen = await doforms.create("acme$$1", {"colour": "green"})
            await doforms.until(lambda: seen.belief == "completed")
        finally:
            assert gateway.stop() == 0
    assert "green" in (site / "lamp.log").read_text()


@pytest.fixture(scope="module")
def package(site: Path) -> Path:
    return site / "package"


def test_its_own_tests_pass_as_printed_in_a_fresh_environment(package: Path) -> None:
    [commands] = re.findall(r"```sh\n(python3 -m venv .*?)```", DOCS, re.DOTALL)
    commands = commands.replace("python3", sys.executable).replace("doforms-gateway", str(ROOT))
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON"))}
    variables |= {"PIP_CONSTRAINT": str(ROOT / "constraints.txt"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    ran = subprocess.run(
        ["sh", "-e", "-c", commands], cwd=package, env=variables, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout
    assert not re.search(r"warning|failed|skipped", ran.stdout.splitlines()[-1])


def test_its_types_are_right_for_mypy(package: Path, site: Path) -> None:
    options = ["--strict", "--namespace-packages", "--explicit-package-bases", "--cache-dir", str(site / "mypy")]
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "--config-file", os.devnull, "gateway_lamp", "tests"],
        cwd=package,
        env={**os.environ, "MYPYPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_its_types_are_right_for_pyright(package: Path) -> None:
    settings = {"pythonVersion": "3.11", "typeCheckingMode": "strict", "include": ["gateway_lamp", "tests"]}
    (package / "pyrightconfig.json").write_text(json.dumps(settings))
    program = Path(sys.executable).with_name("basedpyright")
    checked = subprocess.run(
        [program, "--pythonpath", sys.executable], cwd=package, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
