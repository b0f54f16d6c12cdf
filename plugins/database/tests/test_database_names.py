"""Names of columns: whatever a database takes for one is written to, however it reads as a parameter."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from gateway_database import Database
from gateway_database.options import DatabaseSettings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.api import Event, Receipt
from gateway.testing import make_context, make_record
from gateway.testing import settings as plugin_settings

ODD = [
    "site_1", "site_2", "param_1", "key_site", "c0", "c1", "c0_1", "c1_1", ":x", "%s", "%(site)s", "a%b", "aPb", "a(b",
    "aAb", "a.b", "a:b", "a[b]", "two words", " blank", 'a"b', "a'b", "a`b", "UPPER", "select", "order", "number",
    "delivery_1", "excluded", "ä", "größe", "日本", "ñ", "x" * 63, "?", "$1", "@v", "--", "/*", "1st", "\\",
]  # fmt: skip


def quote(place: Any, name: str) -> str:
    mark = "`" if place.kind == "mariadb" else '"'
    return mark + name.replace(mark, 2 * mark) + mark


def make(place: Any, table: str, names: list[str], *, keyed: bool = True) -> None:
    key = (
        "site VARCHAR(40) PRIMARY KEY, delivery VARCHAR(40) UNIQUE, number BIGINT, " if keyed else "site VARCHAR(40), "
    )
    columns = ", ".join(f"{quote(place, name)} TEXT" for name in names)
    place.run_as_written(f"CREATE TABLE {schema(place)}{table} ({key}{columns})")


def schema(place: Any) -> str:
    return "forms." if place.kind == "postgresql" else ""


def seen(place: Any, table: str) -> list[dict[str, Any]]:
    with place.engine.connect() as connection:
        cursor = connection.connection.cursor()
        cursor.execute(f"SELECT * FROM {schema(place)}{table}")
        names = [one[0] for one in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def as_template(value: str) -> str:
    return f"{{{{ {value!r} }}}}"


OWN = {"site", "delivery", "number"}


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("write", ["insert", "upsert", "update", "mirror"])
async def test_columns_of_any_name_are_written(
    write: str, guarded: bool, place: Any, database: Any, delivery: Any
) -> None:
    names = [name for name in ODD if name not in OWN]
    make(place, "odd", names)
    make(place, "odder", names, keyed=False)
    if write == "update":
        place.run_as_written(f"INSERT INTO {schema(place)}odd (site) VALUES ('s1')")
    more = {"guard": "number"} if guarded and write != "insert" else {}
    options = {
        "table": "odd",
        "write": write,
        "key": [] if write == "insert" else ["site"],
        "delivery_key": "delivery",
        "children": [
            {
                "table": "odder",
                "rows": "[1, 2]",
                "parent": {"site_1": "s1", "%s": "s1"},
                "columns": {name: name for name in names if name not in ("site_1", "%s")},
            }
        ],
        **more,
    }
    for number, end in enumerate(("", "!"), 1):
        if write == "insert" and end:
            continue
        columns = {"site": "s1", **{name: name[:50] + end for name in names}}
        receipt = await database.deliver(delivery(unique=f"d{number}", number=number, columns=columns, **options))
        assert receipt.details["rows"] == 1
        [row] = seen(place, "odd")
        assert {name: row[name] for name in names} == {name: name[:50] + end for name in names}
        assert len(seen(place, "odder")) == 2


async def test_rows_of_any_column_go_together(place: Any, database: Any, delivery: Any) -> None:
    names = [name for name in ODD if name not in OWN]
    make(place, "odd", names)
    for write, key in (("upsert", {"key": ["site"]}), ("insert", {})):
        made = [
            delivery(
                unique=f"{write}{number}",
                table="odd",
                write=write,
                delivery_key="delivery",
                columns={"site": f"{write}{number}", **dict.fromkeys(names, f"{number}")},
                **key,
            )
            for number in range(3)
        ]
        assert [type(one) for one in await database.deliver_many(made)] == [Receipt] * 3
    rows = sorted(seen(place, "odd"), key=lambda row: row["site"])
    assert [[row[name] for name in names] for row in rows] == [[f"{n}"] * len(names) for n in (0, 1, 2, 0, 1, 2)]


async def test_a_key_of_any_name_tells_its_row(place: Any, database: Any, delivery: Any) -> None:
    keys = ["%s", ":x", "site_1"]
    columns = ", ".join(f"{quote(place, name)} VARCHAR(20)" for name in keys)
    unique = ", ".join(quote(place, name) for name in keys)
    statement = f"CREATE TABLE {schema(place)}odd ({columns}, site VARCHAR(20), gone VARCHAR(9), UNIQUE ({unique}))"
    place.run_as_written(statement)
    options = {"table": "odd", "write": "mirror", "key": keys, "on_delete": {"set": {"gone": "x"}}}
    for site in ("a", "b"):
        given = {**dict.fromkeys(keys, "k"), "site": site}
        await database.deliver(delivery(columns=given, **options))
    assert [row["site"] for row in seen(place, "odd")] == ["b"]
    await database.deliver(delivery(columns=given, event=Event.DELETE, **options))
    assert [row["gone"] for row in seen(place, "odd")] == ["x"]
    await database.deliver(delivery(columns=given, event=Event.DELETE, **{**options, "on_delete": "delete"}))
    assert seen(place, "odd") == []


async def test_a_question_of_any_name_finds_its_column(place: Any, database: Any, delivery: Any) -> None:
    names = [name for name in ODD if name not in OWN]
    make(place, "odd", names)
    given = {name: name[:50] for name in names}
    options = {"table": "odd", "write": "upsert", "key": ["site"], "columns": {"*": True, "site": "s1"}}
    receipt = await database.deliver(delivery(record=make_record(**given), **options))
    assert receipt.left_out == {}
    [row] = seen(place, "odd")
    assert {name: row[name] for name in names} == given


names_of_columns = st.text(alphabet="aAb1_ .:%()[]\"'`?$@\\-*/ßé日", min_size=1, max_size=12).filter(
    lambda name: name == name.rstrip() and name != "*"
)
_numbers = itertools.count()


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(names=st.lists(names_of_columns, min_size=1, max_size=6, unique_by=lambda name: name.lower()))
def test_generated_names_are_written_and_read_back(place: Any, delivery: Any, names: list[str]) -> None:
    names = [name for name in names if name not in OWN]
    table = f"made{next(_numbers)}"
    make(place, table, names)

    async def write() -> None:
        database = Database(plugin_settings(DatabaseSettings, **place.settings), make_context("warehouse"))
        for end in ("", "!"):
            columns = {"site": "s1", **{name: name + end for name in names}}
            await database.deliver(delivery(table=table, write="mirror", key=["site"], columns=columns))
            await database.deliver(delivery(table=table, write="update", key=["site"], columns=columns))
        await database.close()

    asyncio.run(write())
    [row] = seen(place, table)
    assert {name: row[name] for name in names} == {name: name + "!" for name in names}
