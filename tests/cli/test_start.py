"""What a command imports before it does anything: a person at a terminal waits for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"aiohttp", "alembic", "httpx", "jinja2", "sqlalchemy", "uvicorn"}
"""Packages that take long to import."""


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        ("--version", set()),
        ("--help", set()),
        ("notifications list --help", {"jinja2", "sqlalchemy"}),
        ("deliveries list --help", {"jinja2", "sqlalchemy"}),
        ("alarms --help", {"jinja2", "sqlalchemy"}),
        ("quarantine list --help", {"jinja2", "sqlalchemy"}),
        ("store check --help", {"jinja2", "sqlalchemy"}),
    ],
)
def test_a_quick_command_imports_no_heavy_package_that_it_does_not_need(command: str, needed: set[str]) -> None:
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gateway", *command.split()],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    imported = {line.rpartition("|")[2].strip() for line in told.splitlines()}
    assert "gateway.cli" in imported
    assert imported & HEAVY == needed
