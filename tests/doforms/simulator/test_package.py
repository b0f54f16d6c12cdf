"""The simulator stands alone."""

from __future__ import annotations

import ast
from pathlib import Path
from sys import stdlib_module_names

from gateway.doforms import simulator as package


def test_it_imports_nothing_of_the_gateway() -> None:
    allowed = {"starlette", "uvicorn", "httpx", "jinja2", "gateway"} | stdlib_module_names
    for file in Path(str(package.__file__)).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert not name.startswith("gateway") or name.startswith("gateway.doforms.simulator"), (file, name)
                top = name.partition(".")[0]
                assert top in allowed, (file, name)
