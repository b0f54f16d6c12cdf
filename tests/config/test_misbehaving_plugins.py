"""Plugins that misbehave while a routes file is loaded: each is a problem in its place, beside all others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import field_validator

from gateway.api import Destination, Options, Settings, Template
from gateway.config.load import load
from gateway.destinations.context import make_context
from gateway.destinations.registry import Registry
from gateway.errors import Problem, RoutesFileError
from tests.support import wild
from tests.support.sink import Sink
from tests.support.wild import Panic

ROUTES = """
[webservices.one]
id = "acme$$1"
form = "Form"
[destinations.good]
plugin = "sink"
colour = "red"
{destination}
[[routes]]
name = "route"
form = "Form"
[[routes.deliver]]
to = "good"
[[routes.deliver]]
to = "wild"
"""
FAULTS = {
    "raise Panic('in Rust')": "Panic: in Rust",
    "raise KeyboardInterrupt": "KeyboardInterrupt",
    "sys.exit(3)": "SystemExit: 3",
    "raise GeneratorExit": "GeneratorExit",
    "raise StopIteration(1)": "StopIteration: 1",
    "raise asyncio.CancelledError": "CancelledError",
    "raise Mute": "(its text cannot be read: Panic)",
    "raise BaseExceptionGroup('two', [Panic('a'), KeyError('b')])": "Panic: a; KeyError: 'b'",
    "raise KeyError('x' * 10_000_000)": "characters)",
}


def problems(folder: Path, destination: str, *classes: type[Destination[Any, Any]]) -> list[Problem]:
    file = folder / "routes.toml"
    file.write_text(ROUTES.format(destination=destination))
    registry = Registry.of(Sink, *(classes or (wild.Wild,)))
    with pytest.raises(RoutesFileError) as raised:
        load(file, registry, make_context=make_context, environ={})
    found = list(raised.value.problems)
    assert [one.where for one in found].count("destinations.good.colour") == 1, "the mistake beside it is told too"
    return [one for one in found if one.where != "destinations.good.colour"]


@pytest.mark.parametrize("code", FAULTS)
@pytest.mark.parametrize(
    ("where", "place"),
    [("init", "destinations.wild"), ("traits", "routes[route].deliver[1]"), ("review", "routes[route].deliver[1]")],
)
def test_fault_is_a_problem_in_its_place(tmp_path: Path, where: str, place: str, code: str) -> None:
    [problem] = problems(tmp_path, wild.destination(**{where: code}))
    assert problem.where == place
    assert FAULTS[code] in problem.found
    assert len(problem.found) < 25_000


ANSWERS = {
    "result = 5": "review() returned int 5 instead of a list",
    "result = 'text'": "review() returned str 'text' instead of a list",
    "result = [Mute()]": "review() found Mute instead of a gateway.api.Finding",
    "result = [api.Finding(where=1, found='a', remedy='b')]": "in which where, found and remedy must be texts",
    "result = (1 / 0 for _ in range(3))": "ZeroDivisionError",
}


@pytest.mark.parametrize("code", ANSWERS)
def test_answer_of_another_kind_is_a_problem_in_its_place(tmp_path: Path, code: str) -> None:
    [problem] = problems(tmp_path, wild.destination(review=code))
    assert ANSWERS[code] in problem.found


def test_findings_without_an_end_are_bounded(tmp_path: Path) -> None:
    code = (
        "import itertools; "
        "result = (api.Finding(where='text', found=f'wrong {n}', remedy='mend it') for n in itertools.count())"
    )
    assert len(problems(tmp_path, wild.destination(review=code))) == 1000


@pytest.mark.parametrize("fault", [Panic("in Rust"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_validator_that_raises_what_ends_a_process_is_a_problem(tmp_path: Path, fault: BaseException) -> None:
    class WildSettings(Settings):
        host: str = "there"

        @field_validator("host")
        @classmethod
        def check(cls, value: str) -> str:
            raise fault

    class WildOptions(Options):
        text: Template[str] = ""

    class Validating(Sink):
        name = "wild"

    Validating.Settings = WildSettings
    Validating.Options = WildOptions
    [problem] = problems(tmp_path, '[destinations.wild]\nplugin = "wild"\nhost = "here"\n', Validating)
    assert problem.where == "destinations.wild"
    assert type(fault).__name__ in problem.found
