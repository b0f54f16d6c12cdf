"""The examples and tables of the README."""

from __future__ import annotations

from pathlib import Path

from gateway_file import File

from gateway.testing import ReadmeConformance


class TestReadme(ReadmeConformance):
    destination = File
    readme = Path(__file__).parent.parent / "README.md"
