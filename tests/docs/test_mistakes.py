"""The mistakes that the configuration reference explains are told in the words that it quotes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.destinations.registry import load_registry
from gateway.errors import RoutesFileError
from gateway.testing import make_context
from tests.support.pages import ROOT

PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
TABLE = PAGE.split("## Common mistakes")[1].split("\n#")[0]
QUOTED = [words for _, words in re.findall(r"^\| (`+) ?(.+?) ?\1 \|", TABLE, re.MULTILINE)]

WAREHOUSE = '[destinations.warehouse]\nplugin = "database"\nurl = "sqlite:////data/warehouse.db"\n'
OFFICE = '[destinations.office]\nplugin = "email"\nhost = "mail"\nfrom = "a@example.com"\n'
ROUTE = '[[routes]]\nname = "one"\nform = "Site inspection"\n[[routes.deliver]]\n'
WRONG = {
    "`write` is inside `columns`": f'{WAREHOUSE}{ROUTE}to = "warehouse"\ntable = "t"\n[routes.deliver.columns]\n'
    'site = "{{ record.fields.site }}"\nwrite = "insert"\n',
    "`events` is a key of the route and stands inside a delivery": f'{OFFICE}{ROUTE}to = "office"\nevents = ["create"]',
    "`recipients` is no setting of email": f'{OFFICE}recipients = ["b@example.com"]',
    "is a secret and stands in the file in the clear": f'{OFFICE}username = "a"\npassword = "secret"',
    "fits no form of a declared web service": f'[webservices.a]\nid = "a$$1"\nform = "Other"\n{ROUTE}to = "office"',
    "stands in braces": f'{OFFICE}{ROUTE}to = "office"\nwhen = "{{{{ record.fields.site }}}}"',
    "there is no `record.feilds`": f'{OFFICE}{ROUTE}to = "office"\nrecipients = ["b@example.com"]\n'
    'subject = "{{ record.feilds.site }}"',
    "there is a password inside the URL": '[destinations.w]\nplugin = "database"\nurl = "postgresql://a:b@db/w"',
    "line 2, column 9: invalid value": "[gateway]\nstore = sqlite",
    "the environment variable … is not set": '[gateway]\nstore = "env:NOWHERE"',
}


def test_every_mistake_is_tried() -> None:
    assert sorted(QUOTED) == sorted(WRONG)


@pytest.mark.parametrize(("words", "text"), WRONG.items())
def test_a_mistake_is_told_in_these_words(words: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / "routes.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(RoutesFileError) as caught:
        load(file, load_registry(), make_context=make_context, environ={})
    told = str(caught.value)
    assert re.search(re.escape(words).replace("…", r"\S+"), told), told
