from __future__ import annotations

import sys

from tests.store.schemas import DIALECTS, ddl, file

for revision in sys.argv[1:]:
    for dialect in DIALECTS:
        file(revision, dialect).write_text(ddl(revision, dialect))
