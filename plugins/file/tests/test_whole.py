"""Writing whole files into a real folder."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import resource
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gateway_file import File
from gateway_file.failures import meaning
from gateway_file.options import FileOptions

from gateway.api import Delivery, DeliveryError, Misconfigured, Rejected, Repeatable, Unavailable

Make = Callable[..., Delivery[FileOptions]]
Folder = Callable[..., File]


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())


async def test_a_file_is_written_into_folders_that_are_made(root: Path, folder: Folder, delivery: Make) -> None:
    receipt = await folder().deliver(delivery(filename="2026/01/a.txt", format="text", text="hello"))
    path = root / "2026/01/a.txt"
    assert path.read_bytes() == b"hello"
    assert names(root) == ["2026/01/a.txt"]
    assert receipt.details == {
        "path": str(path),
        "size": 5,
        "sha256": hashlib.sha256(b"hello").hexdigest(),
        "written": True,
    }
    assert receipt.summary.startswith(f"{path} (5 bytes, sha256 2cf24dba5fb0")


async def test_others_may_read_the_file_as_the_umask_says(root: Path, folder: Folder, delivery: Make) -> None:
    old = os.umask(0o027)
    try:
        await folder().deliver(delivery())
    finally:
        os.umask(old)
    assert stat.S_IMODE((root / "a.json").stat().st_mode) == 0o640


async def test_replace_puts_the_new_one_in_its_place(root: Path, folder: Folder, delivery: Make) -> None:
    for text in ("first", "second"):
        await folder().deliver(delivery(filename="a.txt", format="text", text=text))
    assert (root / "a.txt").read_text() == "second"
    assert names(root) == ["a.txt"]


async def test_skip_leaves_what_is_there(root: Path, folder: Folder, delivery: Make) -> None:
    (root / "a.txt").write_text("first")
    receipt = await folder().deliver(delivery(filename="a.txt", format="text", text="second", exists="skip"))
    assert (root / "a.txt").read_text() == "first"
    assert receipt.details["written"] is False
    assert names(root) == ["a.txt"]


async def test_skip_never_overwrites_whoever_comes_first(root: Path, folder: Folder, delivery: Make) -> None:
    destination = folder()
    receipts = await asyncio.gather(
        *(
            destination.deliver(delivery(filename="a.txt", format="text", text=f"{number}", exists="skip"))
            for number in range(50)
        )
    )
    [winner] = [number for number, receipt in enumerate(receipts) if receipt.details["written"]]
    assert (root / "a.txt").read_text() == str(winner)
    assert names(root) == ["a.txt"]


async def test_number_gives_each_a_name_of_its_own(root: Path, folder: Folder, delivery: Make) -> None:
    destination = folder()
    receipts = await asyncio.gather(
        *(
            destination.deliver(delivery(filename="in/a.txt", format="text", text=f"{number}", exists="number"))
            for number in range(30)
        )
    )
    expected = {"a.txt", *(f"a-{number}.txt" for number in range(2, 31))}
    assert set(names(root / "in")) == expected
    paths = {str(receipt.details["path"]) for receipt in receipts}
    assert paths == {str(root / "in" / name) for name in expected}
    assert {(root / "in" / name).read_text() for name in expected} == {str(number) for number in range(30)}


async def test_concurrent_replaces_leave_one_whole_file(root: Path, folder: Folder, delivery: Make) -> None:
    destination = folder()
    await asyncio.gather(
        *(
            destination.deliver(delivery(filename="in/a.txt", format="text", text=f"{number}" * 50_000))
            for number in range(10)
        )
    )
    text = (root / "in/a.txt").read_text()
    assert text == text[0] * 50_000
    assert names(root) == ["in/a.txt"]


async def test_a_missing_root_is_misconfigured_and_not_made(root: Path, folder: Folder, delivery: Make) -> None:
    gone = root / "gone"
    for options in ({}, {"format": "csv", "columns": [{"a": 1}]}):
        with pytest.raises(Misconfigured, match=f"the root {gone} is not there"):
            await folder(root=str(gone)).deliver(delivery(**options))
    assert not gone.exists()


@pytest.mark.parametrize(
    ("number", "error", "whole"),
    [
        (errno.ENOSPC, Unavailable, True),
        (errno.EDQUOT, Unavailable, True),
        (errno.ETIMEDOUT, Unavailable, False),
        (errno.EACCES, Misconfigured, None),
        (errno.EROFS, Misconfigured, None),
        (errno.ENAMETOOLONG, Rejected, None),
        (errno.EISDIR, Rejected, None),
    ],
)
def test_what_an_error_of_the_operating_system_means(
    number: int, error: type[DeliveryError], whole: bool | None
) -> None:
    meant = meaning(OSError(number, os.strerror(number)), "/data/a.json")
    assert type(meant) is error
    assert getattr(meant, "whole", None) is whole
    assert str(meant).startswith(f"/data/a.json: {os.strerror(number)}")


async def test_a_write_that_fails_half_way_leaves_nothing(root: Path, folder: Folder, delivery: Make) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(Unavailable, match="File too large"):
            await folder().deliver(delivery(format="text", text="x" * 5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(root) == []


@pytest.mark.parametrize("options", [{}, {"exists": "skip"}, {"format": "jsonl"}])
async def test_something_in_the_way_is_rejected(
    options: dict[str, Any], root: Path, folder: Folder, delivery: Make
) -> None:
    (root / "file").write_text("x")
    (root / "folder").mkdir()
    with pytest.raises(Rejected):
        await folder().deliver(delivery(filename="file/a.json", **options))
    if options != {"exists": "skip"}:
        with pytest.raises(Rejected):
            await folder().deliver(delivery(filename="folder", **options))
    assert [name for name in names(root) if not name.endswith(".lock")] == ["file"]


async def test_a_link_that_leads_out_of_the_root_is_rejected(
    tmp_path: Path, root: Path, folder: Folder, delivery: Make
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.jsonl").write_text("")
    (root / "link").symlink_to(outside)
    (root / "a.jsonl").symlink_to(outside / "a.jsonl")
    for options in (
        {"filename": "link/a.json"},
        {"filename": "link/deeper/a.json"},
        {"filename": "a.jsonl", "format": "jsonl"},
    ):
        with pytest.raises(Rejected, match="leads out of the root"):
            await folder().deliver(delivery(**options))
    assert names(outside) == ["a.jsonl"]
    assert (outside / "a.jsonl").read_text() == ""


async def test_a_name_that_leaves_the_root_is_rejected(root: Path, folder: Folder, delivery: Make) -> None:
    for filename in ("../a.json", "/tmp/a.json", "a/../../b.json"):
        with pytest.raises(Rejected, match="filename"):
            await folder().deliver(delivery(filename=filename))
    assert names(root.parent) == []


async def test_only_numbered_files_show_a_repeat(folder: Folder, unrendered: Callable[..., FileOptions]) -> None:
    traits = folder().traits
    assert traits(unrendered(exists="number")).repeatable is Repeatable.NO
    for options in ({}, {"exists": "skip"}, {"format": "csv", "columns": {"a": 1}}):
        assert traits(unrendered(**options)).repeatable is Repeatable.YES


async def test_the_record_is_needed_where_no_column_says_what_is_written(
    folder: Folder, unrendered: Callable[..., FileOptions]
) -> None:
    traits = folder().traits
    assert traits(unrendered()).needs == {"record"}
    assert traits(unrendered(format="jsonl")).needs == {"record"}
    assert traits(unrendered(columns={"a": 1})).needs == frozenset()
    assert traits(unrendered(format="text", text="x")).needs == frozenset()
