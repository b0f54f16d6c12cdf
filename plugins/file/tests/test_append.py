"""Adding rows to real files."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import resource
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gateway_file import File
from gateway_file.lock import lock_path, locked
from gateway_file.options import FileOptions
from gateway_file.repair import note_addition

from gateway.api import Delivery, Misconfigured, Rejected, Unavailable

Make = Callable[..., Delivery[FileOptions]]
Folder = Callable[..., File]
CSV = {"filename": "all.csv", "format": "csv"}
JSONL = {"filename": "all.jsonl", "format": "jsonl"}
FORMATS = pytest.mark.parametrize("options", [CSV, JSONL], ids=["csv", "jsonl"])


def read(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as lines:
        if path.suffix == ".csv":
            return list(csv.DictReader(lines, strict=True))
        return [json.loads(line) for line in lines]


def rows_of(number: int) -> list[dict[str, Any]]:
    return [{"site": f"Döck {number}\nline two", "note": 'a "quoted", one'}, {"site": "", "note": "second"}]


@FORMATS
async def test_rows_are_added_below_each_other(
    options: dict[str, Any], root: Path, folder: Folder, delivery: Make
) -> None:
    destination, path = folder(), root / options["filename"]
    for number in (1, 2):
        columns = [{"site": f"Dock {number}", "risk": None}]
        receipt = await destination.deliver(delivery(key=f"delivery-{number}", columns=columns, **options))
    rows = read(path)
    assert [row["site"] for row in rows] == ["Dock 1", "Dock 2"]
    assert [row["delivery_key"] for row in rows] == ["delivery-1", "delivery-2"]
    assert list(rows[0])[-1] == "delivery_key"
    size = int(str(receipt.details["size"]))
    assert receipt.details["offset"] == path.stat().st_size - size
    assert path.read_bytes()[-size:].endswith(b"\n")


@FORMATS
async def test_fifty_at_once_are_fifty_whole_rows(
    options: dict[str, Any], root: Path, folder: Folder, delivery: Make
) -> None:
    destinations = [folder(), folder()]
    await asyncio.gather(
        *(
            destinations[number % 2].deliver(
                delivery(key=f"delivery-{number}", columns=rows_of(number), rows=[{}, {}], **options)
            )
            for number in range(50)
        )
    )
    rows = read(root / options["filename"])
    assert len(rows) == 100
    assert {row["delivery_key"] for row in rows} == {f"delivery-{number}" for number in range(50)}
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        assert first["delivery_key"] == second["delivery_key"]


@FORMATS
async def test_a_repeat_adds_nothing(options: dict[str, Any], root: Path, folder: Folder, delivery: Make) -> None:
    one, path = delivery(columns=[{"site": "Dock 4"}], **options), root / options["filename"]
    destination = folder()
    await asyncio.gather(*(destination.deliver(one) for _ in range(20)))
    before = path.read_bytes()
    receipt = await folder().deliver(one)  # as after a restart: nothing is known of the file
    assert path.read_bytes() == before
    assert receipt.details["written"] is False
    assert len(read(path)) == 1


@FORMATS
async def test_a_repeat_is_told_by_what_another_process_has_added(
    options: dict[str, Any], root: Path, folder: Folder, delivery: Make
) -> None:
    here, there = folder(), folder()
    for number, destination in enumerate([here, there, here, there]):
        await destination.deliver(delivery(key=f"delivery-{number}", columns=[{"site": "x"}], **options))
    for number in range(4):
        for destination in (here, there):
            await destination.deliver(delivery(key=f"delivery-{number}", columns=[{"site": "x"}], **options))
    assert [row["delivery_key"] for row in read(root / options["filename"])] == [f"delivery-{n}" for n in range(4)]


@FORMATS
async def test_a_file_that_was_moved_away_begins_anew(
    options: dict[str, Any], root: Path, folder: Folder, delivery: Make
) -> None:
    destination, path = folder(), root / options["filename"]
    one = delivery(columns=[{"site": "x"}], **options)
    await destination.deliver(one)
    path.rename(root / "old")
    await destination.deliver(one)
    assert path.read_bytes() == (root / "old").read_bytes()


def note_of_crash(path: Path, offset: int, data: bytes) -> bytes:
    """Leave the note of an addition that did not end in the lock file; returns the note."""
    with lock_path(path).open("r+b") as lock:
        note_addition(lock.fileno(), offset, data)
    return lock_path(path).read_bytes()


@FORMATS
async def test_whatever_a_crash_leaves_is_mended_and_the_repeat_adds_the_rows_once(
    options: dict[str, Any], root: Path, folder: Folder, delivery: Make
) -> None:
    path = root / options["filename"]
    one, two = (
        delivery(key=f"delivery-{number}", columns=rows_of(number), rows=[{}, {}], **options) for number in (1, 2)
    )
    await folder().deliver(one)
    start = path.stat().st_size
    await folder().deliver(two)
    whole = path.read_bytes()
    note = note_of_crash(path, start, whole[start:])
    for cut in range(start, len(whole) + 1):
        for rest in (b"", b"\0" * (len(whole) - cut)):
            path.write_bytes(whole[:cut] + rest)
            lock_path(path).write_bytes(note)
            await folder().deliver(two)
            assert path.read_bytes() == whole, f"cut at {cut}"


async def test_a_note_that_a_crash_cut_off_is_not_believed(root: Path, folder: Folder, delivery: Make) -> None:
    path = root / "all.csv"
    await folder().deliver(delivery(columns=[{"site": "x"}], **CSV))
    whole = path.read_bytes()
    note = note_of_crash(path, 0, whole)
    for cut in range(len(note)):
        lock_path(path).write_bytes(note[:cut])
        await folder().deliver(delivery(columns=[{"site": "x"}], **CSV))
        assert path.read_bytes() == whole


async def test_torn_header_is_written_anew(root: Path, folder: Folder, delivery: Make) -> None:
    path = root / "all.csv"
    await folder().deliver(delivery(columns=[{"site": "x"}], **CSV))
    whole = path.read_bytes()
    note = note_of_crash(path, 0, whole)
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        lock_path(path).write_bytes(note)
        await folder().deliver(delivery(columns=[{"site": "x"}], **CSV))
        assert path.read_bytes() == whole


@FORMATS
@pytest.mark.parametrize("lost_lock", [False, True])
@pytest.mark.parametrize("cut", [1, 2, 5, 12, 30])
async def test_change_by_others_is_never_taken_for_a_torn_row(
    cut: int, lost_lock: bool, options: dict[str, Any], root: Path, folder: Folder, delivery: Make
) -> None:
    path, destination = root / options["filename"], folder()
    for number in (1, 2):
        await destination.deliver(delivery(key=f"delivery-{number}", columns=[{"site": f"Dock {number}"}], **options))
    left = path.read_bytes()[:-cut]
    path.write_bytes(left)  # as an editor that takes the last line end off, or more
    if lost_lock:
        lock_path(path).unlink()
    await destination.deliver(delivery(key="delivery-3", columns=[{"site": "Dock 3"}], **options))
    text = path.read_bytes()
    assert text.startswith(left.removesuffix(b"\n") + b"\n")
    assert b"delivery-3" in text.splitlines()[-1]
    assert len(text.splitlines()) == len(left.splitlines()) + 1


@FORMATS
async def test_missing_line_end_is_added_also_behind_a_note_of_an_addition_that_ended(
    options: dict[str, Any], root: Path, folder: Folder, delivery: Make
) -> None:
    """A power cut can bring the note back after the addition has ended."""
    path = root / options["filename"]
    await folder().deliver(delivery(columns=rows_of(1), rows=[{}, {}], **options))
    whole = path.read_bytes()
    note_of_crash(path, 0, whole)
    path.write_bytes(whole[:-1])
    await folder().deliver(delivery(key="delivery-2", columns=rows_of(2), rows=[{}, {}], **options))
    assert path.read_bytes().startswith(whole)
    assert len(read(path)) == 4


@pytest.mark.parametrize("other", [b"1,2\n", b"\xff\xfe", b"x" * 100, b"1", b"\n\n", b",\n", b" "])
@FORMATS
async def test_what_others_add_stays(
    other: bytes, options: dict[str, Any], root: Path, folder: Folder, delivery: Make
) -> None:
    path, destination = root / options["filename"], folder()
    await destination.deliver(delivery(columns=[{"site": "x"}], **options))
    with path.open("ab") as file:
        file.write(other)
    before = path.read_bytes()
    await destination.deliver(delivery(key="delivery-2", columns=[{"site": "y"}], **options))
    await destination.deliver(delivery(key="delivery-2", columns=[{"site": "y"}], **options))
    assert path.read_bytes().startswith(before)
    assert path.read_bytes().count(b"delivery-2") == 1


@pytest.mark.parametrize("end", [b'"Dock 9', b'"Dock 9\n', b'Dock 9,"a ""b""', b'"a","b\nc,d\n'])
async def test_file_that_ends_within_a_cell_is_misconfigured_and_stays_as_it_is(
    end: bytes, root: Path, folder: Folder, delivery: Make
) -> None:
    path, destination = root / "all.csv", folder()
    await destination.deliver(delivery(columns=[{"site": "x"}], **CSV))
    with path.open("ab") as file:
        file.write(end)
    before = path.read_bytes()
    two = delivery(key="delivery-2", columns=[{"site": "y"}], **CSV)
    with pytest.raises(Misconfigured, match="ends within a quoted cell"):
        await destination.deliver(two)
    assert path.read_bytes().removesuffix(b"\n") == before.removesuffix(b"\n")
    path.write_bytes(before + b'"\n')
    await destination.deliver(two)
    assert path.read_bytes().endswith(b"y,delivery-2\n")


async def test_rows_are_added_when_a_person_has_sorted_them(root: Path, folder: Folder, delivery: Make) -> None:
    path, destination = root / "all.csv", folder()
    for number in (1, 2, 3):
        await destination.deliver(delivery(key=f"delivery-{number}", columns=[{"site": f"Dock {number}"}], **CSV))
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *reversed(rows)]))
    for number in (3, 4):
        await destination.deliver(delivery(key=f"delivery-{number}", columns=[{"site": f"Dock {number}"}], **CSV))
    assert [row["site"] for row in read(path)] == ["Dock 3", "Dock 2", "Dock 1", "Dock 4"]


@pytest.mark.parametrize(
    "header", ["other,delivery_key\n", "site\n", "delivery_key,site\n", "site,risk,delivery_key\n", "si\n"]
)
async def test_other_columns_are_misconfigured_and_say_what_to_do(
    header: str, root: Path, folder: Folder, delivery: Make
) -> None:
    (root / "all.csv").write_text(header)
    with pytest.raises(Misconfigured, match=r"has the columns .*, but this delivery writes site, delivery_key. Move"):
        await folder().deliver(delivery(columns=[{"site": "x"}], **CSV))
    assert (root / "all.csv").read_text() == header


async def test_a_file_that_was_saved_by_a_spreadsheet_is_added_to(root: Path, folder: Folder, delivery: Make) -> None:
    (root / "all.csv").write_bytes('\ufeffsite,delivery_key\r\n"Döck, 1",delivery-1\r\n'.encode())
    for number in (1, 2):
        await folder().deliver(delivery(key=f"delivery-{number}", columns=[{"site": "x"}], **CSV))
    assert (root / "all.csv").read_bytes().endswith(b"delivery-1\r\nx,delivery-2\n")


async def test_a_repeat_is_told_below_a_cell_of_a_megabyte(root: Path, folder: Folder, delivery: Make) -> None:
    one = delivery(columns=[{"site": "x" * 1_000_000}], **CSV)
    await folder().deliver(one)
    await folder().deliver(one)
    assert (root / "all.csv").stat().st_size < 1_100_000


async def test_no_rows_write_nothing(root: Path, folder: Folder, delivery: Make) -> None:
    receipt = await folder().deliver(delivery(columns=[], rows=[], **CSV))
    assert receipt.details["written"] is False
    assert not (root / "all.csv").exists()
    assert not lock_path(root / "all.csv").exists()


async def test_rows_that_fail_half_way_are_taken_back(root: Path, folder: Folder, delivery: Make) -> None:
    path, destination = root / "all.jsonl", folder()
    await destination.deliver(delivery(columns=[{"site": "x" * 600}], **JSONL))
    before = path.read_bytes()
    big = delivery(key="delivery-2", columns=[{"site": "y" * 600}], **JSONL)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(Unavailable):
            await destination.deliver(big)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    await destination.deliver(big)
    assert len(read(path)) == 2


async def test_a_lock_that_another_process_holds_makes_it_unavailable(
    root: Path, folder: Folder, delivery: Make
) -> None:
    with locked(root / "all.csv", seconds=1), pytest.raises(Unavailable, match="another process holds"):
        await folder().deliver(delivery(columns=[{"site": "x"}], seconds=0.1, **CSV))
    assert not (root / "all.csv").exists()


async def test_two_processes_add_to_one_file(root: Path) -> None:
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        from gateway_file.append import append
        from gateway_file.content import Rows
        from gateway_file.index import Index
        from gateway_file.options import FileFormat
        index = Index()
        for number in range(30):
            for key in (f"{sys.argv[2]}-{number}", f"both-{number}"):
                columns, data = ("a", "delivery_key"), f'"a\\nb",{key}\\n'.encode()
                rows = Rows(key=key, data=data, header=b"a,delivery_key\\n", columns=columns)
                append(Path(sys.argv[1]), "all.csv", rows, FileFormat.CSV, index=index, log=None, seconds=20)
    """)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, str(root), name, env=environment, stderr=subprocess.PIPE
        )
        for name in ("one", "two")
    ]
    for process in processes:
        _, complaint = await process.communicate()
        assert process.returncode == 0, complaint.decode()
    keys = [row["delivery_key"] for row in read(root / "all.csv")]
    assert sorted(keys) == sorted(f"{name}-{number}" for name in ("one", "two", "both") for number in range(30))


async def test_rows_are_not_added_below_a_url(folder: Folder, delivery: Make) -> None:
    with pytest.raises(Rejected, match="this machine only"):
        await folder(root="memory://in").deliver(delivery(**JSONL))


async def test_mark_for_excel_stands_once_at_the_beginning_and_rows_are_added_below_it(
    root: Path, folder: Folder, delivery: Make
) -> None:
    for number in (1, 2, 2):
        columns = [{"größe": f"ü{number}"}]
        await folder().deliver(
            delivery(key=f"delivery-{number}", columns=columns, encoding="utf-8-sig", **CSV),
        )
    expected = "\ufeffgröße,delivery_key\nü1,delivery-1\nü2,delivery-2\n"
    assert (root / "all.csv").read_bytes() == expected.encode()
