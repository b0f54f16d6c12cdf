"""Columns that are no plain ones: types that SQLite makes up, those of PostgreSQL, and what a database fills itself."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gateway.api import Misconfigured, Receipt, Rejected

THING = {"table": "things", "columns": {"value": "{{ record.fields.value }}"}}
on_sqlite = pytest.mark.parametrize("place", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("place", ["postgresql"], indirect=True)

UUID = "0c1b8a4e-4c4f-4b7e-9c53-0d1b1a5f1a11"
TEXTS = ["Dock 4", UUID, "2026-01-31T08:15:00Z", "12", "-7", "1.5", "a 1", "1_000", "0x10", "", "ä", "1e", "12 Main"]
CHANGED = ["007", "1.50", "+5", " 5", "5 ", "1e3", "12345678901234567890", "5.", ".5", "-0", "1.0"]


@on_sqlite
@pytest.mark.parametrize(
    "declared",
    [
        "STRING",
        "UUID",
        "TIMESTAMPTZ",
        "TIMESTAMP WITH TIME ZONE",
        "CITEXT(5)",
        "INET",
        "POINT",
        "ENUM",
        "x y",
        "string(4)",
    ],
)
async def test_type_unknown_to_sqlite_takes_text(declared: str, place: Any, database: Any, delivery: Any) -> None:
    place.run(f"CREATE TABLE things (value {declared})")
    for value in TEXTS:
        await database.deliver(delivery({"value": value}, **THING))
        assert [str(found) for [found] in place.rows("SELECT value FROM things")] == [value]
        place.run("DELETE FROM things")


@on_sqlite
async def test_text_that_sqlite_would_make_another_number_of_is_refused_with_the_type(
    place: Any, database: Any, delivery: Any, use: Any
) -> None:
    place.run("CREATE TABLE things (value STRING)")
    for value in CHANGED:
        with pytest.raises(Rejected, match=r"things\.value \(STRING\) cannot take .*TEXT column"):
            await database.deliver(delivery({"value": value}, **THING))
    [finding] = await database.check([use(**THING)])
    assert (finding.where, finding.error) == ("columns.value", False)
    assert "declared STRING" in finding.found
    for number in (7, Decimal("1.50"), True, ["a"]):
        await database.deliver(delivery({"value": number}, **THING))
    assert place.rows("SELECT value FROM things") == [(7,), (1.5,), ("true",), ('["a"]',)]


@on_sqlite
@pytest.mark.parametrize(
    ("declared", "value", "kept"),
    [
        ("JSONB", {"a": Decimal("0.10")}, '{"a": 0.10}'),
        ("JSONB", "plain", '"plain"'),
        ("DATETIME(6)", "2026-01-31T08:15:00Z", "2026-01-31 08:15:00.000000"),
        ("TIMESTAMP(3)", "2026-01-31T08:15:00+02:00", "2026-01-31 06:15:00.000000"),
        ("", "007", "007"),
        ("", 5, 5),
        ("", Decimal("1.50"), "1.50"),
        ("BLOB", "x", b"x"),
        ("NVARCHAR(9)", "007", "007"),
        ("CLOB", "1e3", "1e3"),
        ("MONEY", "12.50", 12.5),
        ("NUMBER(9,2)", "12.5", 12.5),
        ("INT8", "1e3", 1000),
        ("UNSIGNED BIG INT", "5", 5),
        ("DOUBLE PRECISION", "0.5", 0.5),
        ("BIT", "yes", 1),
        ("bool", "no", 0),
    ],
)
async def test_declared_types_of_sqlite_are_understood(
    declared: str, value: Any, kept: Any, place: Any, database: Any, delivery: Any
) -> None:
    place.run(f"CREATE TABLE things (value {declared})")
    await database.deliver(delivery({"value": value}, **THING))
    assert place.rows("SELECT value FROM things") == [(kept,)]


@on_postgresql
@pytest.mark.parametrize(
    ("declared", "value", "kept", "wrong"),
    [
        ("percent", "12.5", Decimal("12.5"), ["101", "x", "1_0"]),
        ("percent", Decimal("12.5"), Decimal("12.5"), ["12.55"]),
        ("half", "12.5", Decimal("12.5"), ["12.55", "51"]),
        ("short_text", "abc", "abc", ["abcdef", "", "abcde "]),
        ("mood", "good", "good", ["odd", "GOOD", ""]),
        ("mood[]", ["good", "bad"], "{good,bad}", [["odd"], "good"]),
        ("INTEGER[]", ["1", 2, None], [1, 2, None], [["x"], ["1_0"], 5]),
        ("INT4RANGE", "[1,5)", None, ["1-5", "[5,1]"]),
        ("REAL", "0.1", None, ["0.12345678", "16777217", "1e39"]),
        ("REAL", "16777216", None, []),
        ("MONEY", "12.50", None, ["12.505", "x"]),
        ("TSQUERY", "a & b", None, ["& &"]),
        ("INTERVAL", "2 hours", None, ["soon"]),
        ("UUID", UUID, None, ["{" + UUID + "}", "0c1b8a4e4c4f4b7e9c530d1b1a5f1a_1", "x"]),
        ("NUMERIC", "123456789012345678901234567890.12345", Decimal("123456789012345678901234567890.12345"), ["1_0"]),
        ("JSONB", {"a": "x"}, {"a": "x"}, [{"a": "\0"}]),
        ("TIMESTAMPTZ", "2026-01-31T08:15:00+02:00", None, ["2026-01-31T25:00"]),
    ],
)
async def test_types_of_postgresql_take_what_they_hold_and_refuse_the_rest(
    declared: str, value: Any, kept: Any, wrong: list[Any], place: Any, database: Any, delivery: Any
) -> None:
    place.run(
        "CREATE DOMAIN percent AS NUMERIC(9,1) CHECK (VALUE <= 100)",
        "CREATE DOMAIN half AS percent CHECK (VALUE <= 50)",
        "CREATE DOMAIN short_text AS VARCHAR(5) CHECK (VALUE <> '')",
        "CREATE TYPE mood AS ENUM ('good', 'bad')",
        f"CREATE TABLE things (value {declared})",
    )
    await database.deliver(delivery({"value": value}, **THING))
    [[found]] = place.rows("SELECT value FROM things")
    assert found is not None
    if kept is not None:
        assert found == kept
    for one in wrong:
        with pytest.raises(Rejected):
            await database.deliver(delivery({"value": one}, **THING))
    assert len(place.rows("SELECT value FROM things")) == 1


GENERATED = {
    "postgresql": "id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY, site TEXT, "
    "doubled TEXT GENERATED ALWAYS AS (site || site) STORED",
    "sqlite": "id INTEGER PRIMARY KEY, site TEXT, doubled TEXT GENERATED ALWAYS AS (site || site) VIRTUAL",
    "mariadb": "id INTEGER PRIMARY KEY AUTO_INCREMENT, site VARCHAR(9), "
    "doubled VARCHAR(18) GENERATED ALWAYS AS (concat(site, site)) STORED",
}


async def test_question_that_meets_a_column_the_database_fills_is_left_out_and_named(
    place: Any, database: Any, delivery: Any
) -> None:
    place.run(f"CREATE TABLE things ({GENERATED[place.kind]}, unq VARCHAR(40) UNIQUE)")
    for number, write in enumerate(("insert", "upsert", "mirror", "update"), 1):
        key = {} if write == "insert" else {"key": ["unq"]}
        columns = {"*": True, "unq": "a"}
        made = delivery(
            {"id": 77, "site": "x", "doubled": "no"}, questions={"id", "doubled"}, table="things", write=write,
            columns=columns, **key,
        )  # fmt: skip
        receipt = await database.deliver(made)
        assert receipt.left_out.keys() == {"id", "doubled"}, number
        assert all("fills the column things." in why for why in receipt.left_out.values())
        assert place.rows("SELECT id, site, doubled FROM things") == [(1, "x", "xx")]
    await database.deliver(delivery({}, questions={"id", "site", "doubled"}, table="things", write="upsert",
                                    key=["unq"], columns={"*": True, "unq": "a"}))  # fmt: skip
    assert place.rows("SELECT id, site FROM things") == [(1, None)]


@pytest.mark.parametrize("column", ["doubled", "id"])
async def test_named_column_that_takes_no_value_is_told_by_check_and_reason(
    column: str, place: Any, database: Any, delivery: Any, use: Any
) -> None:
    place.run(f"CREATE TABLE things ({GENERATED[place.kind]})")
    options = {"table": "things", "columns": {"site": "x", column: 5}}
    if column == "id" and place.kind != "postgresql":  # these take one
        assert await database.check([use(**options)]) == []
        assert isinstance(await database.deliver(delivery(**options)), Receipt)
        return
    [finding] = await database.check([use(**options)])
    assert (finding.where, finding.error) == (f"columns.{column}", True)
    assert "takes no value" in finding.found
    with pytest.raises(Misconfigured, match=f"generates the column things.{column}"):
        await database.deliver(delivery(**options))


@on_postgresql
async def test_key_that_the_database_generates_tells_a_row_to_update(
    place: Any, database: Any, delivery: Any, use: Any
) -> None:
    place.run(f"CREATE TABLE things ({GENERATED['postgresql']})", "INSERT INTO things (site) VALUES ('a')")
    options = {"table": "things", "write": "update", "key": ["id"], "columns": {"id": 1, "site": "b"}}
    assert await database.check([use(**options)]) == []
    await database.deliver(delivery(**options))
    assert place.rows("SELECT site FROM things") == [("b",)]


@on_postgresql
@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("ALTER TABLE things ADD CONSTRAINT later UNIQUE (value) DEFERRABLE", "later, which is deferrable"),
        ("ALTER TABLE things ADD CONSTRAINT later UNIQUE (value) DEFERRABLE INITIALLY DEFERRED", "is deferrable"),
        ("CREATE UNIQUE INDEX part ON things (value) WHERE value <> ''", "no unique index on value"),
        ("CREATE UNIQUE INDEX low ON things (lower(value))", "no unique index on value"),
        ("CREATE UNIQUE INDEX of_both ON things (value, site)", "no unique index on value"),
    ],
)
@pytest.mark.parametrize("option", ["key", "delivery_key"])
async def test_index_that_is_of_no_use_is_told_with_the_statement(
    option: str, made: str, said: str, place: Any, database: Any, delivery: Any, use: Any
) -> None:
    place.run("CREATE TABLE things (value TEXT, site TEXT)", made)
    options: dict[str, Any] = {
        "table": "things",
        "columns": {"value": "x", "site": "y"},
        "write": "upsert",
        "key": ["value"],
    }
    if option == "delivery_key":
        options = {"table": "things", "columns": {"site": "y"}, "delivery_key": "value"}
    [finding] = await database.check([use(**options)])
    assert said in finding.found
    with pytest.raises(Misconfigured, match="CREATE UNIQUE INDEX"):
        await database.deliver(delivery(**options))
    place.run(*finding.remedy.removeprefix("Run: ").split("; "))
    assert await database.check([use(**options)]) == []
    assert isinstance(await database.deliver(delivery(**options)), Receipt)


@on_postgresql
async def test_index_that_includes_more_columns_is_of_use(place: Any, database: Any, delivery: Any, use: Any) -> None:
    place.run(
        "CREATE TABLE things (value TEXT, site TEXT)", "CREATE UNIQUE INDEX more ON things (value) INCLUDE (site)"
    )
    options = {"table": "things", "columns": {"value": "x", "site": "y"}, "write": "upsert", "key": ["value"]}
    assert await database.check([use(**options)]) == []
    assert isinstance(await database.deliver(delivery(**options)), Receipt)


@pytest.mark.parametrize("place", ["mariadb"], indirect=True)
async def test_row_of_a_table_without_transactions_is_written_once(place: Any, database: Any, delivery: Any) -> None:
    place.run("CREATE TABLE things (value VARCHAR(9) CHECK (value <> 'bad')) ENGINE = MyISAM")
    made = [delivery({"value": value}, unique=value, **THING) for value in ("a", "b", "bad", "c")]
    results = await database.deliver_many(made)
    assert [type(one) for one in results] == [Receipt, Receipt, Rejected, Receipt]
    assert place.rows("SELECT value FROM things") == [("a",), ("b",), ("c",)]
