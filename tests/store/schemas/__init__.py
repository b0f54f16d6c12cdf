"""The schema of each release, as SQL: what a store may look like that is upgraded.

``python -m tests.store.schemas 0001`` writes those of a revision, once, when it is released. They never change after
that. (0001 is not released yet, and still follows its migration.)
"""

from __future__ import annotations

import io
from pathlib import Path

from alembic import command
from alembic.config import Config

from gateway.store.engine import schema_version

FOLDER = Path(__file__).parent
DIALECTS = ("sqlite", "postgresql")


def ddl(revision: str, dialect: str) -> str:
    """Return the SQL that makes the schema of a revision, with its mark and number."""
    written = io.StringIO()
    config = Config(output_buffer=written)
    config.set_main_option("script_location", str(schema_version.FOLDER))
    config.attributes["dialect"] = dialect
    command.upgrade(config, revision, sql=True)
    return "\n".join(line for line in written.getvalue().splitlines() if line and not line.startswith("--")) + "\n"


def file(revision: str, dialect: str) -> Path:
    """Return where the schema of a revision stands."""
    return FOLDER / f"{revision}.{dialect}.sql"
