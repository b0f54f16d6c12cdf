"""What a reload leaves as it is: a destination keeps its instance as long as it connects as before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.config.load import load
from gateway.config.loaded import Routes
from gateway.destinations.context import make_context
from gateway.destinations.options import Settings
from gateway.destinations.registry import Registry
from gateway.routing.reuse import reuse_instances
from tests.support.sink import Sink

FILE = """
[destinations.one]
plugin = "safe"
url = "https://one.example.com"
password = "env:PASSWORD"
[destinations.two]
plugin = "safe"
url = "https://two.example.com"
"""


class Safe(Sink):
    """Has settings."""

    name = "safe"

    class Settings(Settings):
        url: str
        password: SecretStr | None = None


def loaded(folder: Path, text: str = FILE, environ: Mapping[str, str] | None = None) -> Routes:
    file = folder / "routes.toml"
    file.write_text(text)
    return load(file, Registry.of(Safe), make_context=make_context, environ=environ or {"PASSWORD": "open-sesame"})


def test_the_same_file_keeps_every_instance(tmp_path: Path) -> None:
    old = loaded(tmp_path)
    plan = reuse_instances(loaded(tmp_path), old)
    assert (plan.kept, plan.opened, plan.closed) == (("one", "two"), (), ())
    for name, entry in old.destinations.items():
        assert plan.routes.destinations[name].instance is entry.instance


@pytest.mark.parametrize(
    ("was", "becomes"),
    [("https://one", "https://uno"), ('password = "env:PASSWORD"', "")],
    ids=["another address", "no password any more"],
)
def test_one_whose_settings_have_changed_is_opened_anew_and_the_old_one_closed(
    tmp_path: Path, was: str, becomes: str
) -> None:
    old = loaded(tmp_path)
    plan = reuse_instances(loaded(tmp_path, FILE.replace(was, becomes)), old)
    assert (plan.kept, plan.opened, plan.closed) == (("two",), ("one",), ("one",))
    assert plan.routes.destinations["one"].instance is not old.destinations["one"].instance


def test_a_secret_that_has_another_value_is_a_change(tmp_path: Path) -> None:
    old = loaded(tmp_path)
    assert reuse_instances(loaded(tmp_path, environ={"PASSWORD": "abracadabra"}), old).opened == ("one",)


def test_limits_and_retries_change_in_place(tmp_path: Path) -> None:
    old = loaded(tmp_path)
    limits = 'plugin = "safe"\nconcurrency = 3\nrate = "5/s"\nretry = { first = "1s" }\nenabled = false'
    plan = reuse_instances(loaded(tmp_path, FILE.replace('plugin = "safe"', limits, 1)), old)
    assert plan.opened == ()
    entry = plan.routes.destinations["one"]
    assert (entry.concurrency, entry.enabled, entry.instance) == (3, False, old.destinations["one"].instance)


def test_one_that_is_new_is_opened_and_one_that_is_gone_is_closed(tmp_path: Path) -> None:
    plan = reuse_instances(loaded(tmp_path, FILE.replace("destinations.two", "destinations.three")), loaded(tmp_path))
    assert (plan.kept, plan.opened, plan.closed) == (("one",), ("three",), ("two",))


def test_one_that_is_to_be_made_afresh_is_though_its_settings_are_the_same(tmp_path: Path) -> None:
    plan = reuse_instances(loaded(tmp_path), loaded(tmp_path), afresh=["two"])
    assert (plan.kept, plan.opened, plan.closed) == (("one",), ("two",), ("two",))
