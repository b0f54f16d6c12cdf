"""Which attachments a plugin chooses, and what a record says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.api import fault_of_attachment_path, select_attachments, stream_attachment
from gateway.doforms.record import decode_record
from gateway.doforms.record_attachments import find_blobs, safe_filename, with_known
from gateway.models import RecordKind
from gateway.testing import make_attachment

PLACES = ["photo", "safety.photo", "findings[0].photo", "findings[12].photo", "safety.findings[0].sign", "scans[0]"]
PLACES += ["rooms[1].doors[2].photo"]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("photo", ["photo", "safety.photo"]),
        ("safety.photo", ["safety.photo"]),
        ("findings[].photo", ["findings[0].photo", "findings[12].photo"]),
        ("findings.photo", ["findings[0].photo", "findings[12].photo"]),
        ("findings[].sign", ["safety.findings[0].sign"]),
        ("findings.sign", ["safety.findings[0].sign"]),
        ("safety.findings.sign", ["safety.findings[0].sign"]),
        ("rooms[].doors[].photo", ["rooms[1].doors[2].photo"]),
        ("rooms.doors.photo", ["rooms[1].doors[2].photo"]),
        ("rooms.doors[].photo", ["rooms[1].doors[2].photo"]),
        ("doors.photo", []),
        ("scans", ["scans[0]"]),
        ("scans[]", ["scans[0]"]),
        ("*", PLACES),
        ("hoto", []),
        ("sign", []),
    ],
)
def test_a_path_names_questions(path: str, found: list[str], tmp_path: Path) -> None:
    attachments = [make_attachment(tmp_path, place) for place in PLACES]
    assert [one.place for one in select_attachments(attachments, [path])] == found
    assert fault_of_attachment_path(path) is None


@pytest.mark.parametrize("path", ["", "a..b", "a[0].b", "a.", "a*", "[].b"])
def test_what_is_no_path_is_told(path: str) -> None:
    assert "is no path into a record" in str(fault_of_attachment_path(path))


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("record.fields.photo", "Write 'photo'"),
        ("record.tables.findings[].photo", "Write 'findings[].photo'"),
        ("dispatch.fields.photo", "Write 'photo', in a route for whose events that is the dispatch"),
    ],
)
def test_a_path_that_begins_like_a_template_is_told_how_to_begin(path: str, told: str) -> None:
    assert told in str(fault_of_attachment_path(path))


async def test_an_attachment_is_read_in_pieces(tmp_path: Path) -> None:
    one = make_attachment(tmp_path, content=b"x" * 600_000)
    pieces = [piece async for piece in stream_attachment(one)]
    assert (len(pieces), b"".join(pieces)) == (3, b"x" * 600_000)


RAW = b"""{"key": "r1", "fields": [
  {"name": "photo", "data": "blob", "blob": {"key": "p1", "id": "7", "fileName": "a/b.jpg", "type": "image/jpeg"}},
  {"name": "sign", "data": "blob", "blob": {"key": "p2", "type": "signature"}},
  {"name": "safety", "fields": [{"name": "photo", "data": "blob", "blob": {"key": "p3", "fileName": "c.pdf"}}]},
  {"name": "empty", "data": "blob"},
  {"name": "parts", "fields": [{"fields": [{"name": "key", "data": "text", "text": "k"},
                                           {"name": "type", "data": "text", "text": "t"},
                                           {"name": "made", "data": "text", "text": "m"}]}]}]}"""


def test_blobs_are_found_with_what_doforms_says_of_them() -> None:
    found = find_blobs(decode_record(RAW, kind=RecordKind.SUBMISSION))
    assert [(one.key, one.places, one.filename, one.content_type) for one in found] == [
        ("p1", ("photo",), "b.jpg", "image/jpeg"),
        ("p2", ("sign",), "sign", None),
        ("p3", ("safety.photo",), "c.pdf", "application/pdf"),
    ]


def test_a_flattened_record_has_its_blobs_too() -> None:
    rows = b'"rows": [{"pic": {"key": "p2", "fileName": "b.jpg"}}]'
    raw = b'{"key": "r1", "photo": {"key": "p1", "fileName": "a.jpg"}, ' + rows + b"}"
    found = find_blobs(decode_record(raw, kind=RecordKind.SUBMISSION))
    assert [(one.key, one.places) for one in found] == [("p1", ("photo",)), ("p2", ("rows[0].pic",))]


@pytest.mark.parametrize(
    ("blob", "found"),
    [
        ('{"id": "7", "fileName": "a.jpg"}', [("7", "7", "a.jpg")]),
        ('{"key": "p1", "type": "image/png"}', [("p1", None, "attachment.png")]),
        ('{"key": "p\\u0000", "fileName": "a.jpg"}', []),
        ('{"fileName": "a.jpg"}', []),
        ('{"key": "p1", "id": "7"}', []),
        ('{"key": "p1", "type": "image", "made": 1}', []),
    ],
)
def test_what_has_a_key_or_an_id_and_a_name_or_a_type_alone_is_an_attachment(
    blob: str, found: list[tuple[str, str | None, str]]
) -> None:
    record = decode_record(f'{{"key": "r1", "": {blob}}}'.encode(), kind=RecordKind.SUBMISSION)
    assert [(one.key, one.id, one.filename) for one in find_blobs(record)] == found


def test_what_is_nested_very_deep_is_not_searched_for_attachments() -> None:
    deep = b"[" * 600 + b'{"key": "p9", "fileName": "a.jpg"}' + b"]" * 600
    raw = b'{"key": "r1", "deep": ' + deep + b', "photo": {"key": "p1", "fileName": "a.jpg"}}'
    record = decode_record(raw, kind=RecordKind.SUBMISSION)
    assert [one.key for one in find_blobs(record)] == ["p1"]
    seen = with_known(record, {"p1": {"size": 3}})
    assert seen.fields["photo"]["size"] == 3
    assert seen.fields["deep"][0]


def test_what_is_known_is_seen_beside_what_doforms_says() -> None:
    record = decode_record(RAW, kind=RecordKind.SUBMISSION)
    seen = with_known(record, {"p2": {"sha256": "abc"}})
    assert seen.fields["sign"] == {"key": "p2", "type": "signature", "sha256": "abc"}
    assert seen.paths["sign"]["sha256"] == "abc"
    assert seen.tables["parts"] == record.tables["parts"] == [{"key": "k", "type": "t", "made": "m"}]
    assert seen.raw == record.raw
    assert "sha256" not in record.fields["sign"]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../a.jpg", "a.jpg"),
        ("C:\\x\\b.png", "b.png"),
        ("a\0:b.jpg", "a__b.jpg"),
        ("..", ""),
        (None, ""),
        ("photo\u202egpj.exe", "photo_gpj.exe"),
        ("p" * 146 + ".jpg", "p" * 146 + ".jpg"),
        ("p" * 147 + ".jpg", "p" * 130 + ".jpg"),
        ("p" * 200, "p" * 150),
        ("p." + "j" * 200, "p." + "j" * 19),
    ],
)
def test_a_file_name_leads_nowhere(name: str | None, safe: str) -> None:
    assert safe_filename(name) == safe


def test_a_key_that_no_index_could_hold_names_no_attachment() -> None:
    raw = '{"key": "r1", "photo": {"key": "%s", "fileName": "a.jpg"}}'
    found = [
        find_blobs(decode_record((raw % key).encode(), kind=RecordKind.SUBMISSION))
        for key in ("k" * 512, "k" * 513, "\N{GRINNING FACE}" * 256, "\N{GRINNING FACE}" * 257)
    ]
    assert [len(one) for one in found] == [1, 0, 1, 0]
