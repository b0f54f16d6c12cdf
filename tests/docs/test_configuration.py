"""The configuration reference says what the models say, and its defaults are those that loading gives."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Literal

import pytest

from gateway.config.durations import PositiveDuration, RateText
from gateway.config.loaded import Routes
from gateway.config.schema import BreakerTable
from gateway.config.schema_values import Count, HeaderValues, Names
from gateway.config.validate import keys_of
from gateway.destinations.options import Secret
from gateway.models import Order
from gateway.reference.configuration import TABLES, describe, say_type
from gateway.testing import load_example
from tests.support.pages import ROOT

HEADINGS = {
    "gateway": "[gateway]",
    "doforms": "[doforms]",
    "accounts": "[accounts.NAME]",
    "webhook": "[webhook]",
    "reconcile": "[reconcile]",
    "webservices": "[webservices.NAME]",
    "destinations": "[destinations.NAME]",
    "routes": "[[routes]]",
    "deliver": "[[routes.deliver]]",
    "retry": "retry",
    "breaker": "breaker",
}


def rows(name: str) -> dict[str, list[str]]:
    """Return type, default and meaning by key, as the page shows them."""
    section = describe().split(f"### `{HEADINGS[name]}`\n")[1].split("\n#")[0]
    [table] = [part for part in section.split("\n\n") if part.startswith("| key |")]
    return {key: cells.split(" | ") for key, cells in re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE)}


def defaults(name: str) -> str:
    """Return the defaults of a table as lines of a routes file."""
    return "\n".join(
        f"{key} = {default.strip('`')}" for key, (_, default, _) in rows(name).items() if default.startswith("`")
    )


def test_the_page_in_docs_is_up_to_date() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert page == describe(), "run `make docs`"


@pytest.mark.parametrize("name", TABLES)
def test_every_key_is_there_with_type_and_meaning(name: str) -> None:
    shown = rows(name)
    assert list(shown) == list(keys_of(TABLES[name]))
    assert all(kind and meaning for kind, _, meaning in shown.values())


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (PositiveDuration | None, "duration"),
        (RateText, "rate"),
        (Count, "whole number"),
        (Secret | None, "reference"),
        (dict[str, HeaderValues], "table of references"),
        (Names, "text or list of texts"),
        (list[Order], "list of texts"),
        (Order, '`"record"`, `"strict"` or `"none"`'),
        (Literal["auto", "delayed"], '`"auto"` or `"delayed"`'),
        (BreakerTable, "[table](#breaker)"),
        (dict[str, Any], "table"),
    ],
)
def test_a_type_is_said_in_words_of_toml(kind: Any, words: str) -> None:
    assert say_type(kind) == words


def loaded(*, shown: bool) -> Routes:
    """Load a routes file that leaves everything out, or writes every default that the page shows."""

    def of(name: str) -> str:
        return defaults(name) if shown else ""

    return load_example(
        f"""
[gateway]
{of("gateway")}
[doforms]
{of("doforms")}
[webhook]
{of("webhook")}
[destinations.folder]
plugin = "file"
root = "records"
{of("destinations")}
[[routes]]
name = "one"
form = "Site inspection"
{of("routes")}
[[routes.deliver]]
to = "folder"
filename = "a.json"
{of("deliver")}
"""
    )


def comparable(routes: Routes) -> Any:
    [destination], [route] = routes.destinations.values(), routes.routes
    [delivery] = route.deliveries
    return (
        replace(
            routes,
            file=None,
            store=routes.store.rpartition("/")[2],
            spool=routes.spool.name,
            destinations={},
            routes=(),
        ),
        replace(destination, instance=None),
        replace(route, deliveries=()),
        replace(delivery, options=None),
    )


def test_the_defaults_are_those_that_loading_gives() -> None:
    assert comparable(loaded(shown=True)) == comparable(loaded(shown=False))


def test_the_defaults_of_retries_are_those_of_a_destination() -> None:
    keys = defaults("retry").replace("\n", ", ")
    assert rows("destinations")["retry"][1] == f"`{{ {keys} }}`"
