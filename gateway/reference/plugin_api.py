"""The reference of what plugins may use, written from its docstrings: ``python -m gateway.reference.plugin_api``."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

_HEAD = """\
# What plugins may use

Written from the docstrings of `gateway.api` and `gateway.testing` by `make docs`. [plugins.md](plugins.md) shows how a
plugin is made of it. What is not here may change without notice.
"""
_MODULES = ("gateway.api", "gateway.testing")
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def describe_api() -> str:
    """Return the page: each name of both modules with its signature, its fields, its methods and what they say."""
    parts = [_HEAD]
    for module in _MODULES:
        parts.append(f"## `{module}`\n\n{_first(ast.get_docstring(_tree(module)))}\n")
        found = [(name, _definition(module, name)) for name in import_module(module).__all__]
        parts += ["\n".join(_class(one[0])) for _, one in found if isinstance(one[0], ast.ClassDef)]
        others = [_entry(name, one) for name, one in found if not isinstance(one[0], ast.ClassDef)]
        parts.append("\n".join(["### Functions and types\n", *others, ""]))
    return "\n".join(parts)


def _tree(module: str) -> ast.Module:
    return ast.parse(Path(inspect.getfile(import_module(module))).read_text(encoding="utf-8"))


def _definition(module: str, name: str) -> list[ast.stmt]:
    """Return the statement that defines a name, with the text that follows it, in whichever module it stands."""
    body = _tree(module).body
    for number, one in enumerate(body):
        if isinstance(one, ast.ImportFrom) and any(alias.name == name for alias in one.names):
            return _definition(str(one.module), name)
        if name in _defined(one):
            return body[number : number + 2]
    raise LookupError(f"{module} has no {name}")


def _defined(one: ast.stmt) -> list[str]:
    if isinstance(one, ast.ClassDef | _Function):
        return [one.name]
    targets = one.targets if isinstance(one, ast.Assign) else [one.target] if isinstance(one, ast.AnnAssign) else []
    return [each.id for each in targets if isinstance(each, ast.Name)]


def _entry(name: str, statements: list[ast.stmt]) -> str:
    one = statements[0]
    if isinstance(one, _Function):
        return f"- `{_signature(one)}`: {_inline(ast.get_docstring(one))}"
    value = one.value if isinstance(one, ast.Assign | ast.AnnAssign) else None
    about = _text_after(statements, 0) or "The decorator of the hook: `gateway_destinations` returns the classes."
    return f"- `{name} = {ast.unparse(value) if value else ''}`: {_inline(about)}"


def _class(one: ast.ClassDef) -> Iterator[str]:
    bases = ", ".join(map(ast.unparse, one.bases))
    yield f"### `class {one.name}({bases})`\n" if bases else f"### `class {one.name}`\n"
    yield f"{_plain(ast.get_docstring(one))}\n"
    members = [*_fields(one), *_methods(one)]
    if members:
        yield "\n".join(members) + "\n"


def _fields(one: ast.ClassDef) -> Iterator[str]:
    for number, statement in enumerate(one.body):
        names = [name for name in _defined(statement) if not name.startswith("_") and name != "model_config"]
        if not names or isinstance(statement, ast.ClassDef | _Function):
            continue
        about = _text_after(one.body, number)
        written = " ".join(ast.unparse(statement).split())
        yield f"- `{written}`{': ' if about else ''}{_inline(about)}"


def _methods(one: ast.ClassDef) -> Iterator[str]:
    for statement in one.body:
        if not isinstance(statement, _Function) or (statement.name.startswith("_") and statement.name != "__init__"):
            continue
        if any(ast.unparse(mark) == "property" for mark in statement.decorator_list):
            yield f"- `{statement.name}: {ast.unparse(statement.returns or ast.Constant(None))}`: " + _inline(
                ast.get_docstring(statement)
            )
        elif about := _inline(ast.get_docstring(statement)):
            yield f"- `{_signature(statement)}`: {about}"


def _signature(one: _Function) -> str:
    arguments = ast.unparse(one.args)
    arguments = re.sub(r"^self(, )?", "", arguments)
    start = "async " if isinstance(one, ast.AsyncFunctionDef) else ""
    returns = "" if one.returns is None or ast.unparse(one.returns) == "None" else f" -> {ast.unparse(one.returns)}"
    return f"{start}{one.name}({arguments}){returns}"


def _text_after(body: list[ast.stmt], number: int) -> str:
    """Return the text below a field, as a docstring stands below a name."""
    after = body[number + 1] if number + 1 < len(body) else None
    if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
        return inspect.cleandoc(after.value.value)
    return ""


def _first(text: str | None) -> str:
    return _plain((text or "").split("\n\n")[0])


def _plain(text: str | None) -> str:
    """Return a docstring as Markdown."""
    written = (text or "").replace("``", "`")
    written = re.sub(r"^>>> .*(?:\n(?:\.\.\.|>>>).*)*", lambda found: f"```pycon\n{found[0]}\n```", written, flags=re.M)
    return re.sub(r"^(Raises|Returns):$", r"\1:\n", written, flags=re.M)


def _inline(text: str | None) -> str:
    """Return a docstring in one line; what it raises stands behind it."""
    return " ".join((text or "").replace("``", "`").split())


if __name__ == "__main__":
    print(describe_api(), end="")
