"""A destination that does in each of its methods what its settings say, for tests of what plugins must not do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CODE = '''
import ast
import asyncio
import inspect
import sys
import threading
import time

from gateway import api


class Panic(BaseException):
    """What a library in another language raises."""


class Mute(Exception):
    """Has no text."""

    def __str__(self):
        raise Panic("no text")

    __repr__ = __str__


class WildSettings(api.Settings):
    does: dict[str, str] = {}
    folder: str = ""
    token: api.Secret | None = None
    many: bool = False


class WildOptions(api.Options):
    text: api.Template[str] = ""


def run(self, where, **names):
    """Run what is to be done there; returns what it calls ``result``, or what will return it."""
    code = self.settings.does.get(where, "")
    scope = {**globals(), "self": self, "api": api, "where": where, **names}
    done = eval(compile(code, where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), scope)
    if not inspect.iscoroutine(done):
        return scope.get("result")

    async def awaited():
        await done
        return scope.get("result")

    return awaited()


async def run_async(self, where, **names):
    done = run(self, where, **names)
    return await done if inspect.iscoroutine(done) else done


class Wild(api.Destination[WildSettings, WildOptions]):
    """Does what its settings say."""

    name = "wild"
    Settings = WildSettings
    Options = WildOptions

    def __init__(self, settings, context):
        super().__init__(settings, context)
        run(self, "init")

    def traits(self, options):
        return run(self, "traits") or api.Traits()

    def review(self, options):
        return run(self, "review") or []

    async def open(self):
        await run_async(self, "open")

    async def close(self):
        await run_async(self, "close")

    async def deliver(self, delivery):
        given = await run_async(self, "deliver", delivery=delivery)
        return api.Receipt(summary="took it") if given is None else given

    def preview(self, delivery):
        given = run(self, "preview", delivery=delivery)
        return "shown" if given is None else given

    async def check(self, uses):
        return await run_async(self, "check", uses=uses) or []


@api.hookimpl
def gateway_destinations():
    return [Wild]
'''

_scope: dict[str, Any] = {"__name__": "tests_wild"}
exec(compile(CODE, "wild", "exec", dont_inherit=True), _scope)
Wild: Any = _scope["Wild"]
Panic: type[BaseException] = _scope["Panic"]


def install(folder: Path, *, before: str = "") -> dict[str, str]:
    """Install it as pip would, ``before`` running at its import; returns what to add to the environment."""
    (folder / "gateway_wild.py").write_text(before + CODE)
    info = folder / "doforms_gateway_wild-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: doforms-gateway-wild\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[doforms_gateway]\nwild = gateway_wild\n")
    return {"PYTHONPATH": str(folder)}


def destination(name: str = "wild", more: str = "", **does: str) -> str:
    """Return the table of a destination that does this in its methods."""
    table = ", ".join(f"{where} = {json.dumps(code)}" for where, code in does.items())
    return f'\n[destinations.{name}]\nplugin = "wild"\ndoes = {{ {table} }}\n{more}\n'
