"""``routes.example.toml``: it is right, uses everything, and would send what it says."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.testing import CliRunner

from gateway.cli import app
from gateway.cli.loading import load_routes
from gateway.config.merge import TOP
from gateway.config.schema import (
    AccountTable,
    DeliveryTable,
    DestinationTable,
    DoformsTable,
    GatewayTable,
    RetryTable,
    RouteTable,
    WebhookTable,
    WebserviceTable,
)
from gateway.config.validate import keys_of, models_in
from gateway.destinations.registry import load_registry
from gateway.explain import explain
from gateway.models import Event
from gateway.testing import make_notification, make_record
from tests.support.pages import ROOT

FILE = ROOT / "routes.example.toml"
TREE = tomllib.loads(FILE.read_text(encoding="utf-8"))
DELIVERIES = [delivery for route in TREE["routes"] for delivery in route["deliver"]]
LEFT_OUT = {
    "cert",  # these two are refused in this version
    "signing_secret",
    "store_password",  # of a PostgreSQL store; the example keeps its store in a file
}
BUILT_IN = ("database", "email", "file", "rest")


def keys_in(model: type[BaseModel], tables: Any) -> Iterator[str]:
    """Yield the keys of a model, and of the models in it, that occur in a table or in any of a list of tables."""
    for table in tables if isinstance(tables, list) else [tables]:
        for key in keys_of(model).keys() & (table.keys() if isinstance(table, Mapping) else set()):
            yield key
            for inner in inside(keys_of(model)[key]):
                yield from (f"{key}.{below}" for below in keys_in(inner, table[key]))


def all_keys(model: type[BaseModel]) -> Iterator[str]:
    for key, info in keys_of(model).items():
        yield key
        for inner in inside(info):
            yield from (f"{key}.{below}" for below in all_keys(inner))


def inside(info: FieldInfo) -> Iterator[type[BaseModel]]:
    """Yield the models in a field, but for retries: they need not be whole at each place."""
    return (model for model in models_in(info.annotation) if model is not RetryTable)


def uses() -> Iterator[Any]:
    shared = list(TREE["shared"].values())
    destinations = TREE["destinations"]
    for name, model, tables in (
        ("retry", RetryTable, [one["retry"] for one in (*destinations.values(), *DELIVERIES) if "retry" in one]),
        ("gateway", GatewayTable, TREE["gateway"]),
        ("doforms", DoformsTable, TREE["doforms"]),
        ("webhook", WebhookTable, TREE["webhook"]),
        ("accounts", AccountTable, list(TREE["accounts"].values())),
        ("webservices", WebserviceTable, list(TREE["webservices"].values())),
        ("destinations", DestinationTable, list(destinations.values())),
        ("routes", RouteTable, [*TREE["routes"], *shared]),
        ("deliveries", DeliveryTable, [*DELIVERIES, *shared]),
    ):
        yield pytest.param(model, tables, id=name)
    for name in BUILT_IN:
        plugin = load_registry().get(name)
        assert plugin is not None
        own = {key: table for key, table in destinations.items() if table["plugin"] == name}
        yield pytest.param(plugin.Settings, list(own.values()), id=f"{name}-settings")
        yield pytest.param(plugin.Options, [one for one in DELIVERIES if one["to"] in own], id=f"{name}-options")


def test_it_is_right() -> None:
    checked = CliRunner().invoke(app, ["check", "--no-secrets", "--routes", str(FILE)])
    assert checked.exception is None, checked.exception


def test_it_has_every_table() -> None:
    assert set(TREE) == set(TOP)


@pytest.mark.parametrize(("model", "tables"), list(uses()))
def test_it_uses_every_key(model: type[BaseModel], tables: Any) -> None:
    found = set(keys_in(model, tables))
    assert {key for key in all_keys(model) if not LEFT_OUT & set(key.split(".")) and key not in found} == set()


@pytest.mark.parametrize("event", Event)
def test_nothing_of_it_would_be_dead(event: Event) -> None:
    routes = load_routes(FILE, secrets=False)
    record = make_record(site="Dock 4", risk="High", number=7, follow_up="yes", findings=[{"finding": "Loose rail"}])
    for ident in routes.webservices:
        notification = replace(make_notification(event), webservice_id=ident)
        explained = explain(routes, notification, record)
        assert {one.result for one in explained.deliveries} <= {"sent", "skipped", "dry run"}
