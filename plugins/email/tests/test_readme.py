"""The examples and tables of the README."""

from __future__ import annotations

from pathlib import Path

from gateway_email import Email

from gateway.testing import ReadmeConformance


class TestReadme(ReadmeConformance):
    destination = Email
    readme = Path(__file__).parent.parent / "README.md"
