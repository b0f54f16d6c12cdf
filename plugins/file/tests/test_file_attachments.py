"""Attachments beside the file of their record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest
from gateway_file import File
from gateway_file.attachments import named
from gateway_file.options import Exists, FileOptions, FileSettings

from gateway.api import Delivery, Unavailable, Uncertain
from gateway.testing import make_attachment, make_context

Make = Callable[..., Delivery[FileOptions]]
Folder = Callable[..., File]


def with_photos(delivery: Delivery[FileOptions], folder: Path, *places: str, **more: Any) -> Delivery[FileOptions]:
    attachments = (make_attachment(folder, place, place.encode(), **more) for place in places)
    return replace(delivery, attachments=tuple(attachments))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def names(delivery: Delivery[FileOptions]) -> list[str]:
    return [name for name, _ in named(delivery)]


async def test_they_are_in_a_folder_beside_the_file(folder: Folder, delivery: Make, root: Path, tmp_path: Path) -> None:
    one = with_photos(delivery(filename="in/17.json"), tmp_path, "photo", "findings[0].photo")
    receipt = await folder().deliver(one)
    assert (root / "in" / "17-attachments" / "photo.jpg").read_bytes() == b"photo"
    assert (root / "in" / "17-attachments" / "findings-1-photo.jpg").read_bytes() == b"findings[0].photo"
    assert receipt.summary.endswith(f", 2 attachments in {root / 'in' / '17-attachments'}")
    assert (receipt.details["attachments"], receipt.details["written"]) == (2, True)


@pytest.mark.parametrize("exists", ["replace", "number"])
async def test_where_one_is_not_there_whole_nothing_is_written(
    folder: Folder, delivery: Make, root: Path, tmp_path: Path, exists: str
) -> None:
    one = with_photos(delivery(filename="17.json", exists=exists), tmp_path, "photo", "sign")
    one.attachments[1].path.write_bytes(b"half")
    one.attachments[0].path.unlink()
    with pytest.raises(Unavailable, match=r"photo: .* cannot be read"):
        await folder().deliver(one)
    assert names_in(root) == []


class Losing(File):
    """Loses each photo just before it is written."""

    async def _write(self, relative: str, content: bytes | Path, exists: Exists) -> str | None:
        if isinstance(content, Path):
            await self.context.in_thread(content.unlink)
        return await super()._write(relative, content, exists)


@pytest.mark.parametrize(
    ("exists", "expected", "left"), [("replace", Unavailable, []), ("number", Uncertain, ["17.json"])]
)
async def test_a_numbered_file_whose_photos_are_lost_meanwhile_is_in_doubt_and_not_written_once_more(
    delivery: Make, root: Path, tmp_path: Path, exists: str, expected: type[Exception], left: list[str]
) -> None:
    losing = Losing(FileSettings(root=str(root)), make_context("folder"))
    with pytest.raises(expected, match="No such file"):
        await losing.deliver(with_photos(delivery(filename="17.json", exists=exists), tmp_path, "photo"))
    assert [name for name in names_in(root) if name.endswith(".json")] == left


async def test_a_repeat_writes_the_same_names(folder: Folder, delivery: Make, root: Path, tmp_path: Path) -> None:
    one = with_photos(delivery(), tmp_path, "photo", "a[0].b", "a-1.b")
    for _ in range(2):
        await folder().deliver(one)
    found = names_in(root / "a-attachments")
    assert found == ["a-1-b-2.jpg", "a-1-b.jpg", "photo.jpg"]


async def test_records_that_share_a_file_have_folders_of_their_own(
    folder: Folder, delivery: Make, root: Path, tmp_path: Path
) -> None:
    await folder().deliver(with_photos(delivery(filename="log.jsonl", format="jsonl"), tmp_path, "photo"))
    assert (root / "log-attachments" / "s1" / "photo.jpg").read_bytes() == b"photo"


async def test_numbered_files_keep_their_attachments_apart(
    folder: Folder, delivery: Make, root: Path, tmp_path: Path
) -> None:
    for key in ("one", "two"):
        await folder().deliver(with_photos(delivery(key=key, exists="number"), tmp_path, "photo"))
    assert names_in(root) == ["a-2-attachments", "a-2.json", "a-attachments", "a.json"]


@pytest.mark.parametrize("place", ["../../etc/passwd", "a/b", "..", "con", "photo\0"])
def test_no_name_of_one_leads_out_of_its_folder(delivery: Make, tmp_path: Path, place: str) -> None:
    one = with_photos(delivery(), tmp_path, place, filename="x.jpg")
    [name] = names(one)
    assert "/" not in name
    assert not name.startswith(".")


def test_a_name_without_an_ending_gets_that_of_its_type(delivery: Make, tmp_path: Path) -> None:
    assert names(with_photos(delivery(), tmp_path, "sign", filename="blob", content_type="image/png")) == ["sign.png"]


@pytest.mark.parametrize("exists", ["replace", "skip"])
async def test_they_are_written_to_urls_too(folder: Folder, delivery: Make, tmp_path: Path, exists: str) -> None:
    root = f"memory://{tmp_path.name}"
    one = with_photos(delivery(filename="in/17.json", exists=exists), tmp_path, "photo")
    for _ in range(2):
        await folder(root=root).deliver(one)
    files, _ = fsspec.url_to_fs(root)
    assert files.cat_file(f"/{tmp_path.name}/in/17-attachments/photo.jpg") == b"photo"


def test_the_preview_names_them(folder: Folder, delivery: Make, root: Path, tmp_path: Path) -> None:
    shown = folder().preview(with_photos(delivery(), tmp_path, "photo"))
    assert f"{root}/a-attachments/photo.jpg" in shown
