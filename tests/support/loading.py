"""Routes files in a scratch folder, loaded with the installed plugins; templates rendered for one record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.config.load import load
from gateway.config.loaded import Routes, Webservice
from gateway.destinations.context import make_context
from gateway.destinations.options import TemplateMark
from gateway.destinations.registry import Registry, load_registry
from gateway.errors import Problem, RoutesFileError
from gateway.templates.scope import build_scope
from gateway.templates.template import template_compiler
from gateway.testing import make_notification, make_record
from tests.support.routes_files import ENVIRON

LoadText = Callable[..., Routes]
Problems = Callable[..., list[Problem]]
Evaluate = Callable[..., Any]


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The plugins that are really installed."""
    return load_registry()


@pytest.fixture
def load_text(tmp_path: Path, registry: Registry) -> LoadText:
    """Write a routes file and load it: ``load_text(text, {"routes.d/a.toml": …}, environ=…, secrets=…)``."""

    def load_it(
        text: str,
        files: Mapping[str, str] | None = None,
        *,
        environ: Mapping[str, str] = ENVIRON,
        secrets: bool = True,
    ) -> Routes:
        for name, content in {"routes.toml": text, **(files or {})}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return load(tmp_path / "routes.toml", registry, make_context=make_context, environ=environ, secrets=secrets)

    return load_it


@pytest.fixture
def problems(load_text: LoadText) -> Problems:
    """Load a routes file that is wrong, and return what is told."""

    def find(*arguments: Any, **options: Any) -> list[Problem]:
        with pytest.raises(RoutesFileError) as raised:
            load_text(*arguments, **options)
        return list(raised.value.problems)

    return find


FIELDS = {
    "site": "Dock 4",
    "score": Decimal("1.10"),
    "long": Decimal("12345678901234567890.123456789"),
    "count": 31,
    "done": True,
    "unanswered": None,
    "items": "an answer named items",
    "values": "an answer named values",
    "tags": ["red", "blue"],
    "evil": '<b>&"',
    "findings": [{"finding": "rust", "score": 1}, {"finding": "leak", "score": None}, {"finding": "dent", "score": 5}],
}


@pytest.fixture
def names() -> dict[str, Any]:
    """What the templates of a delivery see."""
    record = make_record(**FIELDS)
    webservice = Webservice(
        name="site",
        id="acme$$1",
        password=None,
        form="Site inspection",
        project="Safety",
        account="acme",
        vars={"lead": "safety@example.com", "team": {"size": 3}},
    )
    return build_scope(
        notification=make_notification(),
        webservice=webservice,
        route="inspections",
        record=record,
        submission=record,
        dispatch=None,
    )


@pytest.fixture
def evaluate(names: dict[str, Any]) -> Evaluate:
    """Compile a value as the field of a plugin would, and evaluate it: ``evaluate("{{ now }}", str, html=True)``."""

    def run(value: Any, kind: Any = Any, **mark: bool) -> Any:
        node = template_compiler(value, TemplateMark(**mark), kind, lambda literal: literal)
        return node.evaluate(names)  # type: ignore[attr-defined]

    return run
