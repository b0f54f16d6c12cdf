"""How files are called on disk, as docs/attachments.md shows it."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from gateway_file.attachments import named

from gateway.testing import make_attachment
from tests.support.pages import ROOT

_ROW = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \| `([^`]+)` \|$", re.MULTILINE)


def test_the_names_on_disk_are_those_of_the_page(tmp_path: Path) -> None:
    _, _, table = (ROOT / "docs" / "attachments.md").read_text(encoding="utf-8").partition("| on disk |\n")
    rows = _ROW.findall(table.partition("\n\n")[0])
    assert len(rows) > 3
    attachments = [make_attachment(tmp_path, place, b"x", filename=filename) for place, filename, _ in rows]
    found = named(cast(Any, SimpleNamespace(attachments=attachments)))
    assert [name for name, _ in found] == [name for _, _, name in rows]
