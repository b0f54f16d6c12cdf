"""Writing below fsspec URLs."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from gateway_file import File
from gateway_file.options import FileOptions

from gateway.api import Delivery, Misconfigured, Unavailable, Uncertain

Make = Callable[..., Delivery[FileOptions]]
Folder = Callable[..., File]


class _Moved(MemoryFileSystem):  # type: ignore[misc]
    """A file system on which files grow slowly, as over sftp; not one that the plugin knows to be atomic."""

    protocol = "moved"
    store: dict[str, Any] = {}  # noqa: RUF012 - as in fsspec
    pseudo_dirs = [""]  # noqa: RUF012


class _Failing(_Moved):
    protocol = "failing"

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        raise self.storage_options["error"]


fsspec.register_implementation("moved", _Moved)
fsspec.register_implementation("failing", _Failing)


@pytest.fixture(params=["memory", "moved"])
def url(request: pytest.FixtureRequest) -> str:
    return f"{request.param}://{uuid.uuid4().hex}"


def below(url: str) -> dict[str, bytes]:
    filesystem, path = fsspec.core.url_to_fs(url)
    return {name.removeprefix(f"{path}/"): filesystem.cat_file(name) for name in filesystem.find(path)}


async def test_a_file_is_written_below_the_url(url: str, folder: Folder, delivery: Make) -> None:
    receipt = await folder(root=url).deliver(delivery(filename="2026/a.txt", format="text", text="hello"))
    assert below(url) == {"2026/a.txt": b"hello"}
    assert receipt.details["path"] == f"{url}/2026/a.txt"
    assert receipt.details["size"] == 5


async def test_what_is_there_is_replaced_left_or_numbered(url: str, folder: Folder, delivery: Make) -> None:
    destination = folder(root=url)
    for text, exists in (("1", "replace"), ("2", "replace"), ("3", "skip"), ("4", "number"), ("5", "number")):
        await destination.deliver(delivery(filename="a.txt", format="text", text=text, exists=exists))
    assert below(url) == {"a.txt": b"2", "a-2.txt": b"4", "a-3.txt": b"5"}


class _FailingAtTheEnd(_Moved):
    protocol = "failing-at-the-end"

    def mv(self, path1: str, path2: str, **kwargs: Any) -> None:
        raise self.storage_options["error"]


class _FailingAtOnce(_Failing):
    protocol = "r2"  # known to be an object store: what is sent shows at once


fsspec.register_implementation("r2", _FailingAtOnce)
fsspec.register_implementation("failing-at-the-end", _FailingAtTheEnd)


@pytest.mark.parametrize(
    ("url", "error", "meaning"),
    [
        ("failing://x", PermissionError("no"), Misconfigured),
        ("failing://x", OSError("reset"), Unavailable),
        ("failing://x", KeyError("x"), Unavailable),
        ("failing-at-the-end://x", PermissionError("no"), Misconfigured),
        ("failing-at-the-end://x", OSError("reset"), Uncertain),
        ("r2://x", OSError("reset"), Uncertain),
    ],
)
async def test_failure_is_uncertain_only_where_something_may_show(
    url: str, error: Exception, meaning: type[Exception], folder: Folder, delivery: Make
) -> None:
    with pytest.raises(meaning):
        await folder(root=url, credentials={"error": error}).deliver(delivery())


async def test_check_looks_at_the_root(url: str, folder: Folder, delivery: Make) -> None:
    destination = folder(root=url)
    [finding] = await destination.check([])
    assert url in finding.found
    await destination.deliver(delivery())
    assert await destination.check([]) == []


@pytest.mark.parametrize(("url", "message"), [("s4://bucket", "Protocol not known"), ("smb://host/in", "smbprotocol")])
def test_a_url_that_cannot_be_opened_here_is_refused_at_start(url: str, message: str, folder: Folder) -> None:
    with pytest.raises(ValueError, match=message):
        folder(root=url)
