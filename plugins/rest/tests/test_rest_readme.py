"""The examples and tables of the README, and what it says is not available."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from gateway_rest import Rest

from gateway.testing import ReadmeConformance, load_example, toml_blocks

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text(encoding="utf-8")


class TestReadme(ReadmeConformance):
    destination = Rest
    readme = README


@pytest.mark.parametrize(("section", "model"), [("Settings", Rest.Settings), ("Options", Rest.Options)])
def test_each_table_lists_the_keys_and_no_other(section: str, model: type) -> None:
    [part] = re.findall(rf"^## {section}: .*?(?=^## )", TEXT, re.DOTALL | re.MULTILINE)
    listed = re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)
    assert listed == [info.alias or name for name, info in model.model_fields.items()]


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ('auth = { type = "oauth2", client_id = "a", client_secret = "env:SECRET" }', "destinations.erp.auth"),
        ('cert = "client.pem"', "destinations.erp.cert"),
        ('signing_secret = "key.pem"', "destinations.erp.signing_secret"),
    ],
)
def test_what_is_not_available_is_said_at_the_end_and_refused_at_its_place(line: str, where: str) -> None:
    key = line.partition(" ")[0]
    *_, last = TEXT.split("\n## ")
    assert last.startswith("Not available yet")
    assert f"`{key}" in last
    example = re.sub(r"^auth = .*$", line, toml_blocks(README)[0], flags=re.MULTILINE)
    with pytest.raises(Exception, match=rf"{re.escape(where)}: .*is not available in this version"):
        load_example(example, Rest)
