"""What the routes file says of attachments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.routes_files import HEAD, route

FILE = '[destinations.folder]\nplugin = "file"\nroot = "files"\n'
OFFICE = '[destinations.office]\nplugin = "email"\nhost = "mail"\nfrom = "a@example.com"\n'
ROW = 'to = "table"\ntable = "records"\n'
MAIL = 'to = "office"\nrecipients = ["b@example.com"]\nsubject = "s"\ntext = "t"\n'


@pytest.mark.parametrize(
    ("value", "asked", "required"), [("true", True, False), ('"required"', True, True), ("false", False, False)]
)
def test_a_delivery_asks_for_attachments_and_then_needs_the_record(
    load_text: Any, value: str, asked: bool, required: bool
) -> None:
    text = HEAD + route(ROW + f'columns = {{ id = "{{{{ record.key }}}}" }}\nattachments = {value}')
    [one] = load_text(text).routes[0].deliveries
    assert (one.attachments, one.attachments_required, "record" in one.needs) == (asked, required, asked)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (route(ROW + 'columns = { n = "{{ attachments | length }}" }'), "its templates read attachments"),
        (route(ROW + 'columns = { n = 1 }\nwhen = "attachments"'), "its `when` reads attachments"),
        (OFFICE + route(MAIL + 'attach = ["photo"]'), "its options send attachments"),
        (route(ROW + 'columns = { n = "{{ record.fields.photo.sha256 }}" }'), "its templates read attachments"),
        (route(ROW + 'columns = { n = "{{ record.fields.photo.size }}" }'), "its templates read attachments"),
        (route(ROW + "columns = { n = \"{{ record.paths['a.photo'].sha256 }}\" }"), "its templates read attachments"),
        (route(ROW + 'columns = { n = 1 }\nwhen = "record.fields.photo.sha256"'), "its `when` reads attachments"),
        (
            route(ROW + 'columns = { n = "{% for f in record.tables.findings %}{{ f.photo.sha256 }}{% endfor %}" }'),
            "its templates read attachments",
        ),
    ],
)
def test_what_uses_attachments_must_ask_for_them(problems: Any, text: str, found: str) -> None:
    [problem] = problems(HEAD + text)
    assert problem.where == "routes[one].deliver[0].attachments"
    assert found in problem.found
    assert "attachments = true" in problem.remedy


@pytest.mark.parametrize(
    ("path", "found"),
    [("blobs", "leads to the same place for every attachment"), ("blobs/{kee}", "has {kee} in it")],
)
def test_a_blob_path_that_cannot_be_is_told(problems: Any, path: str, found: str) -> None:
    [problem] = problems(f'[doforms]\nblob_path = "{path}"\n' + HEAD + route())
    assert problem.where == "doforms.blob_path"
    assert found in problem.found


def test_the_spool_is_beside_the_store_unless_it_is_named(load_text: Any, tmp_path: Path) -> None:
    assert load_text(HEAD + route()).spool.name == "gateway.db.spool"
    assert load_text('[gateway]\nspool = "photos"\n' + HEAD + route()).spool.name == "photos"
    shared = '[gateway]\nstore = "postgresql+psycopg://gateway@db/gateway"\n'
    assert load_text(shared + HEAD + route()).spool.name == "routes.toml.spool"


@pytest.mark.parametrize("other", ["submission", "dispatch"])
def test_the_checksum_of_another_record_than_record_is_refused_since_nothing_is_downloaded_for_it(
    problems: Any, other: str
) -> None:
    column = f'columns = {{ n = "{{{{ {other}.fields.photo.sha256 }}}}" }}\nattachments = true'
    [problem] = problems(HEAD + route(ROW + column))
    assert problem.where == "routes[one].deliver[0].columns.n"
    assert f"nothing is downloaded for `{other}` beside it" in problem.found
    assert f"Write `record`, in a route for whose events it is the {other}" in problem.remedy


@pytest.mark.parametrize(
    "template",
    [
        "record.fields.size",
        "record.fields.sha256",
        "record.fields.photo.fileName",
        "submission.fields.photo.key",
        "submission.fields.box['size']",
        "record.fields.box['size']",
        "submission.tables.findings[0].size",
    ],
)
def test_questions_that_are_named_so_ask_for_nothing(load_text: Any, template: str) -> None:
    [one] = load_text(HEAD + route(ROW + f'columns = {{ n = "{{{{ {template} }}}}" }}')).routes[0].deliveries
    assert not one.attachments
