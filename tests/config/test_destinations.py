"""Destinations: the core's own keys, the plugin's settings, and plugins that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import model_validator

from gateway.api import Destination, Finding, Options, Repeatable, Settings, Traits
from gateway.config.load import load
from gateway.destinations.context import make_context
from gateway.destinations.registry import Registry
from gateway.errors import RoutesFileError
from gateway.models import Breaker, Rate, Retry
from tests.support.routes_files import HEAD, route


def test_left_out_every_key_has_its_default(load_text) -> None:
    entry = load_text(HEAD).destinations["table"]
    assert entry.retry == Retry(first=5, factor=3, max=6 * 3600, give_up_after=3 * 86_400, attempts=None)
    assert entry.breaker == Breaker(failures=5, probe_after=30)
    assert (entry.timeout, entry.rate, entry.concurrency, entry.batch) == (30, None, 8, 100)
    assert (entry.expected_latency, entry.enabled, entry.dry_run) == (None, True, False)


def test_every_key_is_read(load_text) -> None:
    keys = """
retry = { first = "1s", attempts = 4 }
timeout = "3s"
rate = "10/s"
concurrency = 2
batch = 7
breaker = { failures = 2 }
expected_latency = "40ms"
enabled = false
dry_run = true
"""
    entry = load_text(HEAD + keys).destinations["service"]
    assert entry.retry == Retry(first=1, attempts=4)
    assert entry.breaker == Breaker(failures=2)
    assert (entry.timeout, entry.rate, entry.concurrency, entry.batch) == (3, Rate(count=10, per=1), 2, 7)
    assert (entry.expected_latency, entry.enabled, entry.dry_run) == (0.04, False, True)


def test_a_delivery_merges_its_retry_over_that_of_its_destination(load_text) -> None:
    deliver = 'to = "service"\npath = "x"\ntimeout = "9s"\nretry = { factor = 2 }'
    text = HEAD + 'retry = { first = "1s", attempts = 4 }\ndry_run = true\n' + route(deliver)
    [spec] = load_text(text).routes[0].deliveries
    assert spec.retry == Retry(first=1, attempts=4, factor=2)
    assert (spec.timeout, spec.dry_run) == (9, True)


@pytest.mark.parametrize(
    ("text", "where", "found", "remedy"),
    [
        ('[destinations.x]\nplugin = "databse"', "destinations.x.plugin", '"databse"', "Did you mean `database`?"),
        (
            '[destinations.x]\nplugin = "telegraph"',
            "destinations.x.plugin",
            '"telegraph"',
            "needs its package installed beside",
        ),
        ('[destinations.x]\nurl = "y"', "destinations.x.plugin", "`plugin` is missing", "Add `plugin`"),
        (HEAD + 'ulr = "x"', "destinations.service.ulr", "`ulr` is no key of this table", "Did you mean `url`?"),
        (HEAD + 'path = "x"', "destinations.service.path", "`path` is no setting of rest", "[[routes.deliver]]"),
        (HEAD + 'rate = "fast"', "destinations.service.rate", '"fast" is no rate', '"10/s"'),
        (HEAD + "concurrency = 0", "destinations.service.concurrency", "0: ", "Change it"),
        (HEAD + "retry = { factor = 0.5 }", "destinations.service.retry.factor", "0.5: ", "Change it"),
        (HEAD + "breaker = { faliures = 1 }", "destinations.service.breaker.faliures", "no key", "`failures`"),
        (HEAD + 'auth = { type = "bearer" }', "destinations.service.auth.token", "`token` is missing", "Add `token`"),
    ],
)
def test_a_wrong_key_or_value_is_told(problems, text: str, where: str, found: str, remedy: str) -> None:
    [problem] = problems(text)
    assert problem.where == where
    assert found in problem.found
    assert remedy in problem.remedy


class Fine(Destination[Any, Any]):
    name = "fine"


class FailsToStart(Fine):
    def __init__(self, settings: Any, context: Any) -> None:
        raise RuntimeError("the lamp is broken")


class FailsOverOptions(Fine):
    def traits(self, options: Any) -> Any:
        raise RuntimeError("what is this?")


class Raises(Fine):
    def __init__(self, settings: Any, context: Any) -> None:
        raise KeyError("colour")


class FailingSettings(Fine):
    class Settings(Settings):
        @model_validator(mode="after")
        def _fails(self) -> Any:
            raise KeyError("colour")


def judging(**answers: Any) -> type[Fine]:
    class Judging(Fine):
        def traits(self, options: Any) -> Any:
            given = answers.get("traits", {})
            return Traits(**given) if isinstance(given, dict) else given

        def review(self, options: Any) -> Any:
            return answers.get("review", ())

    return Judging


class ClashingSettings(Fine):
    class Settings(Settings):
        host: str = ""
        rate: int = 0
        timeout: int = 0


class ClashingOptions(Fine):
    class Options(Options):
        priority: int = 0
        when_: str = ""
        order: str = ""


TEXT = '[destinations.lamp]\nplugin = "fine"\n' + route('to = "lamp"')


def load_with(folder: Path, *plugins: type[Destination[Any, Any]], text: str = TEXT) -> Any:
    (folder / "routes.toml").write_text(text)
    return load(folder / "routes.toml", Registry.of(*plugins), make_context=make_context, environ={})


@pytest.mark.parametrize(
    ("plugin", "clashes"),
    [(ClashingSettings, ["Settings.rate", "Settings.timeout"]), (ClashingOptions, ["Options.order"])],
)
def test_a_plugin_with_a_field_named_like_a_core_key_is_refused(
    tmp_path: Path, plugin: Any, clashes: list[str]
) -> None:
    with pytest.raises(RoutesFileError) as raised:
        load_with(tmp_path, plugin)
    [problem] = raised.value.problems
    assert problem.where == "destinations.lamp.plugin"
    assert f"like keys of the gateway: {', '.join(clashes)}. Rename them" in problem.found


def test_a_plugin_with_clashing_fields_that_no_destination_uses_stops_nothing(tmp_path: Path) -> None:
    assert load_with(tmp_path, ClashingOptions, text="").destinations == {}


@pytest.mark.parametrize(
    ("plugin", "where", "found"),
    [
        (FailsToStart, "destinations.lamp", "plugin fine cannot work with these settings: the lamp is broken"),
        (
            FailsOverOptions,
            "routes[one].deliver[0]",
            "plugin fine failed over these options: RuntimeError: what is this?",
        ),
        (
            FailingSettings,
            "destinations.lamp",
            "tests.config.test_destinations.FailingSettings.Settings failed over this table: KeyError: 'colour'",
        ),
        (Raises, "destinations.lamp", "plugin fine cannot work with these settings: KeyError: 'colour'"),
    ],
)
def test_a_plugin_that_raises_hides_no_other_mistake(
    problems, tmp_path: Path, plugin: Any, where: str, found: str
) -> None:
    with pytest.raises(Exception, match="retension") as raised:
        load_with(tmp_path, plugin, text=TEXT + "[gateway]\nretension = 1\n")
    assert found in [problem.found for problem in raised.value.problems if problem.where == where]


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ({"traits": None}, "traits() returned None instead of gateway.api.Traits"),
        ({"traits": [1]}, "traits() returned list [1] instead of gateway.api.Traits"),
        ({"traits": {"repeatable": "maybe"}}, "'maybe' is not a valid Repeatable"),
        ({"traits": {"expected_latency": "soon"}}, "expected_latency is 'soon' instead of seconds, such as 0.5"),
        ({"traits": {"needs": frozenset({"attachment"})}}, "needs names 'attachment'; it is a frozenset of any of"),
        ({"traits": {"needs": "record"}}, "needs names record; it is a frozenset of any of"),
        ({"review": None}, "review() returned None instead of a list of gateway.api.Finding"),
        ({"review": ["wrong"]}, "review() found str 'wrong' instead of a gateway.api.Finding"),
        ({"review": [Finding(where=None, found="x", remedy="y")]}, "where, found and remedy must be texts"),
        ({"review": (1 / 0 for _ in "x")}, "ZeroDivisionError: division by zero"),
    ],
)
def test_a_plugin_that_answers_with_something_else_is_told(tmp_path: Path, answers: dict[str, Any], found: str) -> None:
    with pytest.raises(RoutesFileError) as raised:
        load_with(tmp_path, judging(**answers))
    [told] = [problem for problem in raised.value.problems if problem.where == "routes[one].deliver[0]"]
    assert "plugin fine failed over these options: " in told.found
    assert found in told.found


def test_repeatable_may_be_written_as_a_text_and_no_means_no(tmp_path: Path) -> None:
    assert Traits(repeatable="no").repeatable is Repeatable.NO
