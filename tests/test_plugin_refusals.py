"""Plugins that cannot be used: each is marked with its package and the way out, and refused where it is used."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from gateway.config.load import load
from gateway.destinations.context import make_context
from gateway.destinations.registry import load_registry
from gateway.errors import RoutesFileError

NUMBERS = itertools.count()
CLASS = """
from gateway import api

class Lamp(api.Destination):
    name = "{name}"

    async def deliver(self, delivery):
        return api.Receipt(summary="lit")
"""
HOOK = """
@api.hookimpl
def gateway_destinations():
    return [Lamp]
"""


class Site:
    """A folder with packages as pip installs them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, package: str, code: str, *, entry: str = "lamp", module: str | None = None) -> None:
        module = module or f"gateway_lamp_{next(NUMBERS)}"
        (self.folder / f"{module}.py").write_text(code)
        info = self.folder / f"{package}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[doforms_gateway]\n{entry} = {module}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.syspath_prepend(tmp_path)
    return Site(tmp_path)


BUILT_IN = {"database", "rest", "email", "file"}
ROUTES = """
[destinations.signal]
plugin = "{plugin}"
"""


def load_routes(site: Site, plugin: str) -> str:
    """Load a routes file with a destination of this plugin; returns what is wrong with it."""
    file = site.folder / "routes.toml"
    file.write_text(ROUTES.format(plugin=plugin))
    with pytest.raises(RoutesFileError) as raised:
        load(file, load_registry(), make_context=make_context)
    [problem] = raised.value.problems
    assert problem.where == "destinations.signal.plugin"
    return problem.found


def refusal(site: Site, code: str, *, named: str = "lamp", others: set[str] = BUILT_IN) -> str:
    """Install a package that cannot be used; returns why: as it is marked, and as a destination of it is told."""
    site.install("acme-lamp", code)
    registry = load_registry()
    assert set(registry.names()) == others, "it stops no other"
    [marked] = [one for one in registry.plugins() if one.problem]
    assert "acme-lamp 1.2" in str(marked.problem)
    assert registry.get(named) is None
    assert str(marked.problem).rstrip(".") in load_routes(site, named)
    return str(marked.problem)


def test_a_plugin_that_fits_is_there_beside_the_others(site: Site) -> None:
    site.install("acme-lamp", CLASS.format(name="lamp") + HOOK)
    assert {"lamp", "rest", "file"} <= set(load_registry().names())


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import no_such_module", "cannot be imported from gateway_lamp_"),
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        ("class Panic(BaseException): ...\nraise Panic('in Rust')", "Panic: in Rust"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("import asyncio\nraise asyncio.CancelledError", "CancelledError"),
        ("class Mute(Exception):\n    def __str__(self): raise SystemExit\nraise Mute", "Mute"),
        ("raise BaseExceptionGroup('two', [KeyboardInterrupt(), ValueError('no')])", "ValueError: no"),
        ("raise RuntimeError('x' * 10_000_000)", "RuntimeError: … (10000000 characters)"),
        ("def gateway_destinations(): return []", "mark gateway_destinations with @hookimpl"),
        (
            "from gateway import api\n@api.hookimpl\ndef gateway_destination(): return []",
            "does not fit the hook `gateway_destinations()`: unknown hook 'gateway_destination'. Mend",
        ),
        (
            "from gateway import api\n@api.hookimpl\ndef gateway_destinations(config): return []",
            "does not fit the hook `gateway_destinations()`: Argument(s) {'config'}",
        ),
        ("from gateway import api\n@api.hookimpl\ndef gateway_destinations(): 1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_module_that_cannot_be_asked_is_refused(site: Site, code: str, told: str) -> None:
    assert told in refusal(site, code)


@pytest.mark.parametrize("answer", ["None", "Lamp", "'Lamp'", "[dict]", "[Lamp.name]", "5"])
def test_whatever_else_the_hook_returns_is_refused(site: Site, answer: str) -> None:
    code = CLASS.format(name="lamp") + HOOK.replace("[Lamp]", answer)
    assert "from gateway_destinations(); it must return a list of subclasses" in refusal(site, code)


@pytest.mark.filterwarnings("error")
def test_a_hook_that_is_async_is_refused(site: Site) -> None:
    code = CLASS.format(name="lamp") + HOOK.replace("def ", "async def ")
    assert "it must return a list of subclasses" in refusal(site, code)


def test_a_hook_may_yield_its_destinations(site: Site) -> None:
    site.install("acme-lamp", CLASS.format(name="lamp") + HOOK.replace("return [Lamp]", "yield Lamp"))
    assert load_registry().get("lamp") is not None


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("def deliver(self, delivery): ...", "deliver() must be written with `async def`, not `def`"),
        ("async def deliver(self): ...", "deliver(self) must take (self, delivery)"),
        ("async def deliver(self, delivery, more): ...", "deliver(self, delivery, more) must take (self, delivery)"),
        ("async def deliver_many(self): ...", "deliver_many(self) must take (self, deliveries)"),
        ("async def deliver(self, delivery): yield", "deliver() must be written with `async def`"),
        ("deliver = api.Destination.deliver", "it has no deliver()"),
        ("async def preview(self, delivery): ...", "preview() must be written with `def`, not `async def`"),
        ("async def traits(self, options): ...", "traits() must be written with `def`"),
        ("def check(self, uses): ...", "check() must be written with `async def`"),
        ("def open(self): ...", "open() must be written with `async def`"),
        ("def __init__(self, settings): ...", "__init__(self, settings) must take (self, settings, context)"),
        ("api_version = 2", "is made for version 2 of the plugin interface, this gateway has 1"),
        ("name = ''", "has no name"),
        ("name = 5", "has no name"),
        ("class Settings: ...", "its Settings must subclass gateway.api.Settings"),
    ],
)
def test_a_class_that_cannot_be_called_as_the_gateway_does_is_refused(site: Site, method: str, told: str) -> None:
    code = CLASS.format(name="lamp") + f"\n    {method}\n" + HOOK
    assert told in refusal(site, code)


def test_every_breach_of_a_class_is_told_at_once(site: Site) -> None:
    more = "\n    def open(self): ...\n    def close(self): ...\n"
    told = refusal(site, CLASS.format(name="lamp") + more + HOOK)
    assert ("open()" in told, "close()" in told) == (True, True)


def test_methods_that_fit_in_another_way_are_taken(site: Site) -> None:
    more = dedent(
        """
        import functools

        def traced(method):
            @functools.wraps(method)
            def wrapper(*args, **more):
                return method(*args, **more)
            return wrapper

        class Traced(Lamp):
            name = "traced"

            def __init__(self, *args):
                super().__init__(*args)

            @traced
            async def deliver(self, one, colour="red"):
                return await super().deliver(one)
        """
    )
    site.install("acme-lamp", CLASS.format(name="lamp") + more + HOOK.replace("Lamp", "Lamp, Traced"))
    assert {"lamp", "traced"} <= set(load_registry().names())


def test_a_name_that_a_built_in_destination_has_is_refused_with_both_packages(site: Site) -> None:
    told = refusal(site, CLASS.format(name="rest") + HOOK, named="rest", others=BUILT_IN - {"rest"})
    assert "named 'rest'" in told
    assert "doforms-gateway-rest" in told


def test_two_destinations_of_one_package_with_one_name_are_refused_without_uninstalling(site: Site) -> None:
    told = refusal(site, CLASS.format(name="lamp") + HOOK.replace("[Lamp]", "[Lamp, Lamp]"))
    assert "Give each class a name of its own" in told


def test_two_packages_with_one_entry_point_name_are_refused_with_both(site: Site) -> None:
    site.install("other-lamp", CLASS.format(name="other") + HOOK)
    told = refusal(site, CLASS.format(name="lamp") + HOOK)
    assert "Two packages have a plugin named 'lamp'" in told
    assert "other-lamp 1.2" in told


def test_one_module_under_two_entry_points_is_refused_with_both(site: Site) -> None:
    module = f"gateway_lamp_{next(NUMBERS)}"
    code = CLASS.format(name="lamp") + HOOK
    site.install("acme-lamp", code, entry="a", module=module)
    site.install("other-lamp", code, entry="b", module=module)
    registry = load_registry()
    assert set(registry.names()) == {*BUILT_IN, "lamp"}
    [marked] = [one for one in registry.plugins() if one.problem]
    assert "'b' of other-lamp 1.2 is the same module as the plugin 'a'" in str(marked.problem)
    assert module in sys.modules


def test_a_broken_class_with_the_name_of_a_built_in_one_leaves_that_alone(site: Site) -> None:
    site.install("acme-lamp", CLASS.format(name="rest") + "\n    api_version = 9\n" + HOOK)
    registry = load_registry()
    assert set(registry.names()) == BUILT_IN
    assert [one.name for one in registry.plugins() if one.problem] == ["rest"]


def test_two_broken_packages_are_both_told_where_an_unknown_plugin_is_named(site: Site) -> None:
    site.install("acme-lamp", "1 / 0")
    site.install("other-lamp", "import no_such_module", entry="other")
    told = load_routes(site, "signal-lamp")
    assert ("acme-lamp 1.2" in told, "other-lamp 1.2" in told) == (True, True)
