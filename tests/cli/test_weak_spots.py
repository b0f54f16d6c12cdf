"""Secrets that are easy to come by: `gateway check` warns of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gateway.cli.weak_spots import WeakSpot, weak_spots
from gateway.config.load import load
from gateway.destinations.context import make_context
from gateway.destinations.registry import load_registry

LONG = {"KEY": "webhook-secret", "PASSWORD": "doforms-secret", "TOKEN": "a-long-token"}
ROUTES = """
[gateway]
store = "sqlite:///{folder}/gateway.db"
spool = "{folder}/gateway.spool"
[doforms]
api = "{api}"
[webhook]
headers = {{ X-Key = ["{key}"] }}
[webservices.one]
id = "acme$$1"
password = "env:PASSWORD"
form = "Form"
[destinations.service]
plugin = "rest"
url = "{url}"
{auth}
"""
BEARER = 'auth = { type = "bearer", token = "env:TOKEN" }'


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may enter, as the one of a test is not."""
    with TemporaryDirectory() as made:
        path = Path(made)
        path.chmod(0o755)
        yield path


def found(
    folder: Path,
    *,
    environ: Mapping[str, str] = LONG,
    secrets: bool = True,
    **texts: str,
) -> list[WeakSpot]:
    given = {"api": "https://doforms.test/v2", "key": "env:KEY", "url": "https://service.test", "auth": BEARER}
    file = folder / "routes.toml"
    file.write_text(ROUTES.format(folder=folder, **(given | texts)))
    loaded = load(file, load_registry(), make_context=make_context, environ=environ, secrets=secrets)
    return list(weak_spots(loaded))


def test_what_is_strong_is_not_warned_of(folder: Path) -> None:
    assert found(folder) == []


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("KEY", "webhook.headers.x-key"),
        ("PASSWORD", "webservices.one.password"),
        ("TOKEN", "destinations.service.auth.token"),
    ],
)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "has 1 character:"),
        ("word", "has 4 characters:"),
        ("1234567", "has 7 characters:"),
        ("aaaaaaaaaaaa", "one character over and over"),
    ],
)
def test_secret_that_can_be_guessed_is_warned_of_without_telling_it(
    folder: Path, name: str, where: str, text: str, said: str
) -> None:
    [spot] = found(folder, environ={**LONG, name: text})
    assert spot.where == where
    assert said in spot.found
    assert text not in spot.found.replace("can", "").replace("character", "") or len(text) == 1


def test_secret_that_was_not_looked_up_is_not_judged(folder: Path) -> None:
    assert found(folder, environ={}, secrets=False) == []


@pytest.mark.parametrize("host", ["service.test", "10.1.2.3", "[2001:db8::1]", "localhost.example.com"])
def test_credentials_in_the_clear_are_warned_of(folder: Path, host: str) -> None:
    spots = found(folder, url=f"http://{host}/in", api=f"http://{host}/v2")
    assert {one.where for one in spots} == {"destinations.service.url", "accounts.acme.api or doforms.api"}
    assert all("in the clear" in one.found and "https" in one.remedy for one in spots)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.4.5", "[::1]", "localhost", "doforms.localhost"])
def test_credentials_to_this_machine_are_not_warned_of(folder: Path, host: str) -> None:
    assert found(folder, url=f"http://{host}:8080/in", api=f"http://{host}:8900/v2") == []


def test_url_without_credentials_may_be_in_the_clear(folder: Path) -> None:
    assert found(folder, url="http://service.test/in", auth="") == []


@pytest.mark.parametrize(
    ("mode", "who"),
    [(0o600, None), (0o400, None), (0o640, "its group"), (0o644, "everybody on this machine"), (0o604, "everybody")],
)
def test_secret_file_that_others_may_read_is_warned_of(folder: Path, mode: int, who: str | None) -> None:
    secret = folder / "secret"
    secret.write_text("a-long-secret")
    secret.chmod(mode)
    spots = found(folder, key="file:secret")
    if who is None:
        assert spots == []
    else:
        [spot] = spots
        assert spot.where == "webhook.headers.X-Key[0]"
        assert spot.found.startswith(who)
        assert f"chmod 600 {secret}" in spot.remedy


def test_secret_file_in_a_folder_that_nobody_else_enters_is_safe(folder: Path) -> None:
    folder.chmod(0o700)
    (folder / "secret").write_text("a-long-secret")
    (folder / "secret").chmod(0o644)
    assert found(folder, key="file:secret") == []


@pytest.mark.parametrize("name", ["gateway.db", "gateway.db-wal"])
def test_store_that_others_may_read_is_warned_of(folder: Path, name: str) -> None:
    (folder / "gateway.db").touch(0o600)
    (folder / name).touch()
    (folder / name).chmod(0o644)
    [spot] = found(folder)
    assert (spot.where, str(folder / name) in spot.found) == ("gateway.store", True)


def test_spool_that_others_may_read_is_warned_of(folder: Path) -> None:
    (folder / "gateway.spool").mkdir()
    (folder / "gateway.spool").chmod(0o755)
    [spot] = found(folder)
    assert (spot.where, "chmod 700" in spot.remedy) == ("gateway.spool", True)


def test_routes_file_that_everybody_may_change_is_warned_of(folder: Path) -> None:
    (folder / "routes.toml").touch()
    (folder / "routes.toml").chmod(0o666)
    [spot] = found(folder)
    assert "everybody may change the routes file" in spot.found
