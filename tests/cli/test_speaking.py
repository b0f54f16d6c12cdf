"""What plugins print and log in a command: never on standard output, never with a secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import wild

TOKEN = "tok-3f9c1a77e2b4"
ROUTES = """
[webhook]
headers = {{ X-Webhook-Key = ["env:WEBHOOK_KEY"] }}
[webservices.one]
id = "acme$$1"
form = "Form"
{destination}
[[routes]]
name = "one"
form = "Form"
[[routes.deliver]]
to = "wild"
"""
ENVIRON = {"WEBHOOK_KEY": "webhook-secret", "TOKEN": TOKEN}
SECRET = "self.settings.token.get_secret_value()"
LOUD = {
    "print": f"print({SECRET})",
    "print in parts": f"print('token', {SECRET}, 5)",
    "print without an end": f"print({SECRET}, end='')",
    "write": f"sys.stdout.write({SECRET})",
    "context": f"self.context.log.error('lit', token={SECRET})",
    "context, text": f"self.context.log.warning({SECRET})",
    "standard": f"import logging; logging.getLogger('lamp').error('token %s', {SECRET})",
    "root": f"import logging; logging.error({SECRET})",
    "structlog": f"import structlog; structlog.get_logger().error({SECRET})",
    "warning": f"import warnings; warnings.warn({SECRET})",
    "handler of its own": "import logging; logging.basicConfig(stream=sys.stdout, force=True); "
    f"logging.error({SECRET})",
    "thread": f"t = threading.Thread(target=print, args=({SECRET},)); t.start(); t.join()",
    "program": "import subprocess; subprocess.run(['echo', 'from a program'])",
    "file descriptor": "import os; os.write(1, b'from below')",
}
WHERE = ["init", "traits", "review", "open", "check", "close"]
NOT_MASKED = {"program", "file descriptor"}


def run(folder: Path, *command: str, before: str = "", **does: str) -> subprocess.CompletedProcess[str]:
    file = folder / "routes.toml"
    file.write_text(ROUTES.format(destination=wild.destination(more='token = "env:TOKEN"', **does)))
    environ = {**os.environ, **ENVIRON, **wild.install(folder, before=before)}
    return subprocess.run(
        [sys.executable, "-m", "gateway", *command, "--routes", str(file), "--json"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=folder,
    )


@pytest.mark.parametrize("how", LOUD)
def test_speech_of_plugins_leaves_json_alone(tmp_path: Path, how: str) -> None:
    ran = run(tmp_path, "check", "--connect", **dict.fromkeys(WHERE, LOUD[how]))
    assert json.loads(ran.stdout) == []
    assert ran.returncode == 0, ran.stderr
    assert TOKEN not in ran.stdout
    if how not in NOT_MASKED:
        assert TOKEN not in ran.stderr
        assert "********" in ran.stderr


def test_speech_at_import_leaves_json_alone(tmp_path: Path) -> None:
    before = "import sys, logging\nprint('hello')\nlogging.basicConfig(stream=sys.stdout)\nlogging.error('at import')\n"
    ran = run(tmp_path, "check", "--connect", before=before, check=LOUD["root"])
    assert json.loads(ran.stdout) == []
    assert ("hello" in ran.stderr, TOKEN in ran.stderr) == (True, False)


def test_speech_of_a_preview_leaves_json_alone(tmp_path: Path) -> None:
    payload = tmp_path / "payload.json"
    payload.write_text(json.dumps({"key": "n1", "webserviceId": "acme$$1", "submissionKey": "s1", "event": "create"}))
    ran = run(tmp_path, "explain", str(payload), preview=LOUD["print"] + "; result = " + SECRET)
    assert json.loads(ran.stdout)["deliveries"][0]["preview"] == "********"
    assert TOKEN not in ran.stderr


@pytest.mark.parametrize("command", [("plugins",), ("destinations", "list"), ("webservices", "list")])
def test_every_command_that_loads_plugins_keeps_them_quiet(tmp_path: Path, command: tuple[str, ...]) -> None:
    from gateway.cli import main

    environ = wild.install(tmp_path, before="print('hello')\n")
    file = tmp_path / "routes.toml"
    file.write_text(ROUTES.format(destination=wild.destination(review="print('reviewed')")))
    with pytest.raises(SystemExit):
        main(["migrate", "--routes", str(file)])
    arguments = command if command == ("plugins",) else (*command, "--routes", str(file))
    ran = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments, "--json"],
        env={**os.environ, **ENVIRON, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert json.loads(ran.stdout)
    assert "hello" in ran.stderr


ENDLESS = {
    "review": "\nwhile True: time.sleep(1)",
    "traits": "\nwhile True: pass",
    "init": "\nwhile True: time.sleep(1)",
    "preview": "\nwhile True: time.sleep(1)",
    "check": "\nwhile True: time.sleep(1)",
    "open": "\nwhile True:\n    try: await asyncio.sleep(600)\n    except BaseException: pass",
    "close": "await self.context.in_thread(time.sleep, 600)",
}


@pytest.mark.parametrize("where", ENDLESS)
def test_endless_calls_are_given_up_and_told(tmp_path: Path, where: str) -> None:
    payload = tmp_path / "payload.json"
    payload.write_text(json.dumps({"key": "n1", "webserviceId": "acme$$1", "submissionKey": "s1", "event": "create"}))
    command = ("explain", str(payload)) if where == "preview" else ("check", "--connect")
    ran = run(tmp_path, *command, **{where: ENDLESS[where]})
    told = json.dumps(json.loads(ran.stdout))
    assert "had no end within 10 s" in told or "goes on though its time is over" in told
    assert "wild" in told
