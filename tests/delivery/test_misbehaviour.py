"""Plugins that misbehave in a running gateway: each harms its own delivery alone, and is told with its reason."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from gateway.app import running
from gateway.cli.output import as_data
from gateway.config.load import load
from gateway.destinations.context import make_context
from gateway.destinations.registry import Registry
from gateway.doforms.simulator import Simulator
from gateway.log import Mask
from gateway.store.engine.connect import open_database
from gateway.store.operator.queries import find_deliveries
from gateway.store.operator.views import DeliveryFilter, DeliverySummary
from gateway.web.server import serving
from tests.support import wild
from tests.support.keeping import WEBSERVICE
from tests.support.sink import Sink

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEAD = """
[doforms]
api = "{api}"
requests_per_minute = 60000
[webservices.inspection]
id = "{webservice}"
password = "env:PASSWORD"
form = "Inspection"
[destinations.good]
plugin = "sink"
[[routes]]
name = "route"
form = "Inspection"
{deliveries}
"""
TO = '[[routes.deliver]]\nto = "{name}"\nrequired = false\n{more}\n'
BUG = "in doubt: a bug of the plugin wild: "
HUGE = "'x' * 50_000_000"

RAISES = {
    "raise Panic('in Rust')": "Panic: in Rust",
    "raise KeyboardInterrupt": "KeyboardInterrupt",
    "raise KeyboardInterrupt('by hand')": "KeyboardInterrupt: by hand",
    "sys.exit(3)": "SystemExit: 3",
    "raise SystemExit": "SystemExit",
    "raise GeneratorExit": "GeneratorExit",
    "raise StopIteration": "RuntimeError: coroutine raised StopIteration",
    "raise StopAsyncIteration": "StopAsyncIteration",
    "raise asyncio.CancelledError": "CancelledError",
    "raise asyncio.CancelledError('stray')": "CancelledError: stray",
    "asyncio.current_task().cancel(); await asyncio.sleep(5)": "it cancelled the task in which the gateway called it",
    "f = asyncio.Future(); f.cancel(); await f": "CancelledError",
    "raise Mute": r"Mute: \(its text cannot be read: Panic\)",
    f"raise ValueError({HUGE})": r"ValueError: … \(50000000 characters\)",
    "raise MemoryError": "MemoryError",
    "raise RecursionError": "RecursionError",
    "\ndef deeper(): deeper()\ndeeper()": "RecursionError: maximum recursion depth exceeded",
    "raise ExceptionGroup('two', [ValueError('a'), KeyError('b')])": "two .*: ValueError: a; KeyError: 'b'",
    "raise BaseExceptionGroup('two', [KeyboardInterrupt(), Panic('b')])": "KeyboardInterrupt; Panic: b",
    "raise ExceptionGroup('many', [ValueError(str(n)) for n in range(1000)])": r"many \(1000 sub-exceptions\)",
    "await self.context.in_thread(sys.exit, 3)": "SystemExit: 3",
    "await self.context.in_thread(next, iter(()))": "StopIteration",
    "await self.context.in_thread(eval, 'int(\"x\")')": "ValueError: invalid literal",
    "\ndef boom(): raise Panic('in a thread')\nawait self.context.in_thread(boom)": "Panic: in a thread",
    "\ndef boom(): raise asyncio.CancelledError\nawait self.context.in_thread(boom)": "CancelledError",
    "\ndef boom(): raise KeyboardInterrupt\nawait asyncio.to_thread(boom)": "KeyboardInterrupt",
    "\nasync def boom(): raise Panic('in a task')\nawait asyncio.create_task(boom())": "Panic: in a task",
    "\nasync def boom(): raise Panic('one')\nasync with asyncio.TaskGroup() as g: g.create_task(boom())": "Panic: one",
    "async with asyncio.timeout(0): await asyncio.sleep(5)": "TimeoutError",
    "await asyncio.wait_for(asyncio.sleep(5), 0)": "TimeoutError",
    "raise ValueError('\\ud800 \\x00 \\u202e')": "ValueError: ",
    "raise ValueError": "ValueError",
    "raise type('', (Exception,), {})('nameless')": "nameless",
    "raise 5": "TypeError: exceptions must derive from BaseException",
    "await 5": "TypeError: object int can't be used in 'await' expression",
}

RETURNS = {
    "result = 5": "it returned int 5 instead of a receipt",
    "result = True": "it returned bool True instead of a receipt",
    "result = Mute()": "Mute: (its text cannot be read: Panic)",
    f"result = {HUGE}": "it returned str … ",
    "result = api.Receipt": "it returned type",
    "result = ValueError('returned')": "ValueError: returned",
    "result = type('Evil', (), {'__class__': property(lambda self: 1 / 0)})()": "ZeroDivisionError",
    "result = api.to_json": "it returned function",
}

RECEIPTS = {
    "summary='\\ud800'": {"summary": "?"},
    "summary='a\\x00b'": {"summary": "a\N{REPLACEMENT CHARACTER}b"},
    "summary='a', details={'n': float('nan')}": {"details": {"n": None}},
    "summary='a', details={'n': [float('inf'), float('-inf')]}": {"details": {"n": [None, None]}},
    "summary='a', details={'\\udcff': '\\udcff'}": {"details": {"?": "?"}},
    "summary='a', details={1: 2, None: 3, ('t', 1): 4}": {"details": {"1": 2, "None": 3, "('t', 1)": 4}},
    "summary='a', details={'b': b'bytes \\xff'}": {"details": {"b": "bytes \N{REPLACEMENT CHARACTER}"}},
    "summary='a', details={'o': Mute()}": {"details": {"o": "(its text cannot be read: Panic)"}},
    "summary='a', details={Mute(): 1}": {"details": {"(its text cannot be read: Panic)": 1}},
    "summary='a', details={'i': 10**5000}": {"details": {"i": "a number of 16610 bits"}},
    "summary='a', details={'s': {1}}": {"details": {"s": [1]}},
    f"summary='a', details={{'h': {HUGE}}}": {"details": {"h": "… (50000000 characters)"}},
    f"summary={HUGE}": {"summary": "… (50000000 characters)"},
    "summary='a', details={str(n): n for n in range(10**6)}": {"details": {"cut": "the receipt was over 4 kB"}},
    "summary=None": {},
    "summary=5": {},
    "summary='a', details=5": {},
    "summary='a', details=[1]": {},
    "summary='a', left_out=5": {},
    "summary='a', left_out={'\\ud800': Mute()}": {"summary": "a"},
    "summary='a', left_out={1: 2}": {"summary": "a"},
    "summary=type('S', (str,), {'__str__': lambda s: 1 / 0})('odd')": {
        "summary": "(its text cannot be read: ZeroDivisionError)"
    },
}
DEEP = {
    "loop = {}; loop['it'] = loop; result = api.Receipt(summary='a', details=loop)": "a",
    "loop = []; loop.append(loop); result = api.Receipt(summary='a', details={'l': loop})": "a",
    "deep = 1\nfor _ in range(5000): deep = [deep]\nresult = api.Receipt(summary='a', details={'d': deep})": "a",
}

TOLD = {
    "raise api.Rejected(Mute())": r"\(its text cannot be read: Panic\)",
    f"raise api.Rejected({HUGE})": r"… \(50000000 characters\)",
    "raise api.Rejected('\\ud800\\x00')": r"\?\N{REPLACEMENT CHARACTER}",
    "raise api.Rejected": "Rejected",
    "raise api.Rejected('')": "Rejected",
    "raise type('Own', (api.Rejected,), {'__init__': lambda self: None})()": "Own",
}
WISHES = [
    "float('nan')",
    "float('inf')",
    "-5",
    "'soon'",
    "10**400",
    "Mute()",
    "[1]",
    "True",
]
PREVIEWS = {
    "raise Panic('no preview')": "Panic: no preview",
    "raise KeyboardInterrupt": "KeyboardInterrupt",
    "raise asyncio.CancelledError": "CancelledError",
    "result = 5": "preview\\(\\) returned int 5 instead of a text",
    f"raise ValueError({HUGE})": r"… \(50000000 characters\)",
}
CHANGES = {
    "delivery.options.__dict__.clear()": "took it",
    "self.settings.__dict__['does'] = 5": "took it",
    "import logging; logging.disable(logging.CRITICAL); logging.disable(logging.NOTSET)": "took it",
    "self.context.log = None": "took it",
    "asyncio.get_running_loop().call_soon(lambda: 1 / 0)": "took it",
    "asyncio.create_task(self.nothing()) if hasattr(self, 'nothing') else None": "took it",
    "asyncio.get_running_loop().set_exception_handler(None)": "took it",
    "import gc; gc.collect()": "took it",
    "import random; random.seed(1)": "took it",
    "import structlog; structlog.contextvars.bind_contextvars(notification='forged')": "took it",
}

Case = tuple[str, str]


def cases() -> dict[str, Case]:
    """Return what each destination does: by its name the code, and more of its delivery."""
    found: dict[str, Case] = {}
    receipts = [f"result = api.Receipt({given})" for given in RECEIPTS]
    wishes = [f"raise api.Unavailable('busy', retry_after={wish})" for wish in WISHES]
    for kind, codes in (
        ("raises", RAISES),
        ("returns", RETURNS),
        ("receipt", receipts),
        ("deep", DEEP),
        ("told", TOLD),
        ("wish", wishes),
        ("change", CHANGES),
        ("preview", PREVIEWS),
    ):
        found |= {f"{kind}-{number}": (code, kind) for number, code in enumerate(codes)}
    return found


CASES = cases()
NAMES = {code: name for name, (code, kind) in CASES.items() if kind != "preview"}


@dataclass(frozen=True)
class Became:
    """What became of one notification to all of them."""

    deliveries: dict[str, DeliverySummary]
    logged: list[Any]
    seen: str


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def became(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Became]:
    folder = tmp_path_factory.mktemp("misbehaviour")
    doforms = Simulator()
    doforms.add_webservice(WEBSERVICE, "secret")
    tables, deliveries = "", TO.format(name="good", more="").replace("required = false", "")
    for name, (code, kind) in CASES.items():
        where = "preview" if kind == "preview" else "deliver"
        retry = 'retry = { attempts = 2, first = "10ms", max = "20ms" }'
        tables += wild.destination(name, more=retry, **{where: code})
        deliveries += TO.format(name=name, more="dry_run = true" if kind == "preview" else "")
    async with doforms.serving():
        file = folder / "routes.toml"
        text = HEAD.format(api=doforms.api, webservice=WEBSERVICE, deliveries=deliveries) + tables
        file.write_text(text)
        registry = Registry.of(Sink, wild.Wild)
        routes = load(file, registry, make_context=make_context, environ={"PASSWORD": "password"})
        with capture_logs() as logged:
            async with running(routes, mask=Mask()) as application, serving(application) as url:
                doforms.target = f"{url}/webhooks/doforms"
                seen = await doforms.create(WEBSERVICE, {"site": "Dock"}, key="r1")
                await doforms.until(lambda: seen.belief == "completed", timeout=60)
                await doforms.until(lambda: not pending(routes.store), timeout=60)
    yield Became({one.destination: one for one in kept(routes.store)}, logged, seen.belief)


def kept(store: str) -> list[DeliverySummary]:
    database = open_database(store)
    try:
        with database.read() as connection:
            return list(find_deliveries(connection, DeliveryFilter(limit=1000)))
    finally:
        database.close()


def pending(store: str) -> list[str]:
    return [one.destination for one in kept(store) if one.state == "pending"]


async def test_good_delivery_beside_them_arrives(became: Became) -> None:
    assert (became.seen, became.deliveries["good"].state) == ("completed", "delivered")


@pytest.mark.parametrize("code", RAISES)
async def test_whatever_is_raised_is_a_bug_of_the_plugin(became: Became, code: str) -> None:
    one = became.deliveries[NAMES[code]]
    assert one.state == "dead"
    assert re.match(f"{re.escape(BUG)}.*{RAISES[code]}", str(one.reason), re.DOTALL), one.reason
    assert len(str(one.reason)) <= 4000


@pytest.mark.parametrize("code", RETURNS)
async def test_whatever_else_is_returned_is_a_bug_of_the_plugin(became: Became, code: str) -> None:
    one = became.deliveries[NAMES[code]]
    assert one.state == "dead"
    assert str(one.reason).startswith(BUG + RETURNS[code])


@pytest.mark.parametrize("given", RECEIPTS)
async def test_receipt_is_kept_as_far_as_it_goes(became: Became, given: str) -> None:
    one = became.deliveries[NAMES[f"result = api.Receipt({given})"]]
    assert one.state == "delivered"
    assert one.receipt is not None
    if RECEIPTS[given]:
        assert {**one.receipt, **RECEIPTS[given]} == one.receipt
    else:
        assert "its receipt cannot be kept" in one.receipt["summary"]


@pytest.mark.parametrize("code", DEEP)
async def test_receipt_without_a_bottom_is_kept(became: Became, code: str) -> None:
    one = became.deliveries[NAMES[code]]
    assert one.state == "delivered"
    assert one.receipt is not None
    assert one.receipt["summary"] == "a"


@pytest.mark.parametrize("code", TOLD)
async def test_rejection_with_an_odd_text_is_a_rejection(became: Became, code: str) -> None:
    one = became.deliveries[NAMES[code]]
    assert one.state == "dead"
    assert re.fullmatch(TOLD[code], str(one.reason)), one.reason


@pytest.mark.parametrize("wish", WISHES)
async def test_wish_that_is_no_time_is_passed_over(became: Became, wish: str) -> None:
    one = became.deliveries[NAMES[f"raise api.Unavailable('busy', retry_after={wish})"]]
    assert one.reason == "given up after 2 attempts: busy"


@pytest.mark.parametrize("code", CHANGES)
async def test_what_it_changes_stays_its_own(became: Became, code: str) -> None:
    one = became.deliveries[NAMES[code]]
    assert (one.state, one.receipt and one.receipt["summary"]) == ("delivered", CHANGES[code])


@pytest.mark.parametrize("code", PREVIEWS)
async def test_preview_that_fails_ends_its_dry_run(became: Became, code: str) -> None:
    name = next(name for name, case in CASES.items() if case == (code, "preview"))
    one = became.deliveries[name]
    assert one.state == "dead"
    assert re.search(f"a bug of the plugin wild: .*{PREVIEWS[code]}", str(one.reason)), one.reason


async def test_lists_of_them_are_json(became: Became) -> None:
    text = json.dumps(as_data(list(became.deliveries.values())), ensure_ascii=False, default=str, allow_nan=False)
    assert text.encode("utf-8")


async def test_log_names_the_plugin_and_is_short(became: Became) -> None:
    bugs = [line for line in became.logged if "a bug of the plugin" in line["event"]]
    assert len(bugs) >= len(RAISES) + len(RETURNS)
    assert {line["plugin"] for line in bugs} == {"wild"}
    assert max(len(str(line)) for line in became.logged) < 500_000
    assert [line for line in became.logged if "broke off" in line["event"]] == []


async def test_log_of_the_gateway_is_not_forged(became: Became) -> None:
    assert not any(line.get("notification") == "forged" for line in became.logged)
