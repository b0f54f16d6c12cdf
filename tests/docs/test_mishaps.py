"""The mishaps that the docs tell of are played in the tests that they name."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", (ROOT / "docs/protocol.md").read_text())


def test_each_test_that_is_named_exists() -> None:
    assert len(NAMED) >= 10
    missing = [f"{file}::{name}" for file, name in NAMED if f"def {name}(" not in (ROOT / file).read_text()]
    assert missing == []
