"""Writing to real servers: OpenSSH, FTP and an S3 API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gateway_file import File
from gateway_file.options import FileOptions, FileSettings

from gateway.api import Delivery, DeliveryError, Unavailable
from gateway.testing import make_context, settings
from tests.support.remote_servers import S3, Ftp, RemoteServer, Sftp, running

Make = Callable[..., Delivery[FileOptions]]
Remote = Callable[..., File]
TEXT = {"format": "text", "text": "hello"}
_TRIES = 3


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RemoteServer]]:
    folder = tmp_path_factory.mktemp("servers")
    with running(Sftp(folder / "ssh")) as sftp, running(Ftp(folder / "ftp")) as ftp, running(S3()) as s3:
        yield {"sftp": sftp, "ftp": ftp, "s3": s3}


@pytest.fixture(params=["sftp", "ftp", "s3"])
def server(request: pytest.FixtureRequest, servers: dict[str, RemoteServer]) -> RemoteServer:
    return servers[request.param]


async def delivered(destination: File, delivery: Delivery[FileOptions]) -> int:
    """Deliver as the gateway does, again after a failure; returns how many attempts it took."""
    for attempt in range(1, _TRIES + 1):
        try:
            await destination.deliver(delivery)
        except DeliveryError:
            continue
        return attempt
    raise AssertionError(f"not delivered in {_TRIES} attempts")


@pytest.fixture
def remote() -> Callable[..., File]:
    """Make the destination: ``remote(server)``, ``remote(server, "s3://other/in")``."""

    def make(server: RemoteServer, root: str | None = None) -> File:
        given = settings(FileSettings, root=root or server.url, credentials=server.credentials)
        return File(given, make_context("remote"))

    return make


@pytest.fixture
def destination(server: RemoteServer, remote: Remote) -> File:
    return remote(server)


@pytest.mark.parametrize("exists", ["replace", "skip", "number"])
async def test_file_is_written_to_a_real_server(
    exists: str, server: RemoteServer, destination: File, delivery: Make
) -> None:
    name = f"{exists}/Dock 4 ü.txt"
    for number in (1, 2):
        await destination.deliver(delivery(filename=name, format="text", text=str(number), exists=exists))
    written = {path: body for path, body in server.files().items() if path.startswith(exists)}
    left = {"replace": b"2", "skip": b"1", "number": b"1"}[exists]
    expected = {name: left} | ({f"{exists}/Dock 4 ü-2.txt": b"2"} if exists == "number" else {})
    assert written == expected


async def test_connection_that_the_server_has_ended_is_opened_anew(
    server: RemoteServer, destination: File, delivery: Make
) -> None:
    for number in range(3):
        assert await delivered(destination, delivery(filename=f"anew/{number}.txt", exists="number", **TEXT)) <= 2
        server.drop()
    assert sorted(path for path in server.files() if path.startswith("anew")) == [f"anew/{n}.txt" for n in range(3)]


async def test_two_destinations_on_one_server_have_connections_of_their_own(
    server: RemoteServer, remote: Remote, delivery: Make
) -> None:
    first, second = (remote(server) for _ in range(2))
    await first.deliver(delivery(filename="own/1.txt", **TEXT))
    await second.deliver(delivery(filename="own/2.txt", **TEXT))
    await first.close()
    await second.deliver(delivery(filename="own/3.txt", **TEXT))
    assert sorted(path for path in server.files() if path.startswith("own")) == ["own/1.txt", "own/2.txt", "own/3.txt"]


@pytest.mark.parametrize("exists", ["skip", "number"])
@pytest.mark.parametrize("kind", ["sftp", "ftp", "s3"])
async def test_server_that_refuses_connections_is_unavailable_and_leaves_no_doubt(
    kind: str, exists: str, remote: Remote, delivery: Make, tmp_path: Path
) -> None:
    server: RemoteServer = {"sftp": lambda: Sftp(tmp_path / "s"), "ftp": lambda: Ftp(tmp_path / "f"), "s3": S3}[kind]()
    with running(server):
        destination = remote(server)
        await destination.deliver(delivery(filename="before.txt", exists=exists, **TEXT))
    for _ in range(2):
        with pytest.raises(Unavailable):
            await destination.deliver(delivery(filename="while.txt", exists=exists, **TEXT))
    with running(server):
        assert await delivered(destination, delivery(filename="after.txt", exists=exists, **TEXT)) <= 2
        assert "after.txt" in server.files()


async def test_missing_prefix_of_a_bucket_is_no_fault_and_a_missing_bucket_is_one(
    servers: dict[str, RemoteServer], remote: Remote
) -> None:
    server = servers["s3"]
    for root in ("s3://forms/nothing/below", "s3://forms", "s3://forms/"):
        assert await remote(server, root).check([]) == [], root
    for root in ("s3://nowhere/in", "s3://nowhere"):
        [finding] = await remote(server, root).check([])
        assert "nowhere" in finding.found


async def test_missing_folder_of_a_server_is_a_fault(servers: dict[str, RemoteServer], remote: Remote) -> None:
    for kind in ("sftp", "ftp"):
        server = servers[kind]
        root = f"{server.url.rstrip('/')}/nowhere"
        [finding] = await remote(server, root).check([])
        assert "nowhere" in finding.found


async def test_check_opens_anew_what_the_server_has_ended(server: RemoteServer, destination: File) -> None:
    await destination.check([])
    server.drop()
    await destination.check([])
    assert await destination.check([]) == []
