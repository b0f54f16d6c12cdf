"""``gateway simulate``: a doForms on this machine to try a routes file against."""

from __future__ import annotations

import asyncio
import itertools
import random
import re
from typing import Annotated

import typer
from rich.text import Text

from gateway.cli.output import COLOURS, fail, stdout
from gateway.doforms.simulator import Seen, Simulator, control_routes

_WEBSERVICE = "acme$$1234$$Published$$5678=secret"
_SITES = ("North pier", "Dock 4", "Warehouse 12", "Old mill")
_PEOPLE = ("Ada", "Grace", "Edsger", "Barbara")
_RISKS = ("Low", "Medium", "High")
_UNITS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|)")


def simulate(
    host: Annotated[str, typer.Option(help="Address of the REST API.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the REST API; 0 takes a free one.")] = 8900,
    target: Annotated[
        str, typer.Option(help="The gateway's webhook.", metavar="URL")
    ] = "http://127.0.0.1:8080/webhooks/doforms",
    header: Annotated[
        list[str] | None,
        typer.Option(help='A secret header, such as "X-Webhook-Key: secret"; can be repeated.', metavar="NAME: VALUE"),
    ] = None,
    webservice: Annotated[
        list[str] | None,
        typer.Option(
            help="A web service that exists; can be repeated. Ids hold `$`: put single quotes around it. The form's "
            f"name follows the last colon and may be left out. None given: {_WEBSERVICE}",
            metavar="ID=PASSWORD:FORM",
        ),
    ] = None,
    every: Annotated[
        str | None,
        typer.Option(
            help="Add a made-up record so often, such as 500ms, 5s or 1m. Left out: none.", metavar="DURATION"
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="Add so many made-up records, then only serve. Left out: no end.")
    ] = None,
) -> None:
    """Simulate doForms until Ctrl-C: its REST API, its notifications, and `/control` for scripts.

    Set `api` of the routes file to the address that is printed. Example, a record every 5 seconds:

        gateway simulate --webservice 'acme$$1$$Published$$2=secret:Site inspection' --header 'X-Webhook-Key: key' --every 5s
    """  # noqa: E501  a command to copy stays on one line
    if not target.startswith(("http://", "https://")):
        raise typer.BadParameter(f"{target!r} is no http or https URL", param_hint="--target")
    if every is None and count is not None:
        every = "5s"
    wait = None if every is None else _seconds(every)
    simulator = Simulator(target=target, headers=dict(_header(one) for one in header or ()))
    for text in webservice or [_WEBSERVICE]:
        simulator.add_webservice(*_webservice(text))
    simulator.listen(_print)
    try:
        asyncio.run(_run(simulator, host, port, wait, count))
    except KeyboardInterrupt:
        stdout.print("ended")
    except OSError as error:
        raise fail(
            f"{host}:{port} cannot be listened on: {error.strerror or error}. Choose another with --port"
        ) from None


def _header(text: str) -> tuple[str, str]:
    name, found, value = text.partition(":")
    if not found or not name.strip():
        raise typer.BadParameter(f"{text!r} is not NAME: VALUE", param_hint="--header")
    return name.strip(), value.strip()


def _webservice(text: str) -> tuple[str, str, str]:
    ident, _, rest = text.partition("=")
    password, _, form = rest.rpartition(":") if ":" in rest else (rest, "", "")
    if not ident or not password:
        raise typer.BadParameter(f"{text!r} is neither ID=PASSWORD nor ID=PASSWORD:FORM", param_hint="--webservice")
    return ident, password, form


def _seconds(text: str) -> float:
    found = _DURATION.fullmatch(text.strip())
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if seconds <= 0:
        raise typer.BadParameter(f"{text!r} is no duration such as 500ms, 5s or 1m", param_hint="--every")
    return seconds


async def _run(simulator: Simulator, host: str, port: int, every: float | None, count: int | None) -> None:
    async with simulator.serving(*control_routes(simulator), host=host, port=port):
        stdout.print(
            Text.assemble("doForms is simulated: ", (f'api = "{simulator.api}"', "bold")),
            highlight=False,
            soft_wrap=True,
        )
        stdout.print(f"Notifications go to {simulator.target}. End with Ctrl-C.", markup=False, soft_wrap=True)
        if every is not None:
            await _send(simulator, every, count)
        await asyncio.Event().wait()


async def _send(simulator: Simulator, every: float, count: int | None) -> None:
    """Keep the pace whatever the answers take: doForms does not wait for one notification to send the next."""
    async with asyncio.TaskGroup() as sending:
        for number in itertools.count(1):
            ident = random.choice(list(simulator.world.webservices))
            sending.create_task(simulator.create(ident, _made_up()))
            if number == count:
                return
            await asyncio.sleep(every)


def _print(what: str, seen: Seen) -> None:
    line = Text.assemble((seen.key, "bold"), f" {seen.event}: ")
    if what == "sent":
        line.append(f"sent again, repeat {len(seen.answers)}" if seen.answers else "sent")
    elif what == "put":
        line.append(f"PUT heard after {seen.reports[-1].seconds:.1f} s")
    else:
        answer = seen.answers[-1]
        body = " ".join(answer.body[:200].decode(errors="replace").split()) or "empty"
        line.append(answer.error or f"answered {answer.status} {body}")
        line.append(f" in {answer.seconds * 1000:.0f} ms")
    if what != "sent":
        line.append("; doForms believes: ").append(seen.belief, COLOURS.get(seen.belief, ""))
    stdout.print(line, soft_wrap=True)


def _made_up() -> dict[str, object]:
    return {
        "site": random.choice(_SITES),
        "inspector": random.choice(_PEOPLE),
        "risk": random.choice(_RISKS),
        "score": random.randint(1, 100),
        "findings": [{"finding": "Loose rail", "photo": None}],
    }
