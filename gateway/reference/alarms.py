"""The table of alarms in the page for whoever is on call: ``python -m gateway.reference.alarms docs/on-call.md``."""

from __future__ import annotations

import sys
from pathlib import Path

from gateway.alarms.kinds import table

BEGIN, END = "<!-- The table is written by `make docs`. -->\n\n", "\n<!-- -->\n"


def with_table(page: str) -> str:
    """Return a page with the table of alarms between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        file = Path(name)
        file.write_text(with_table(file.read_text(encoding="utf-8")), encoding="utf-8")
