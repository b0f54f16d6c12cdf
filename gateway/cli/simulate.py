"""``gateway simulate``: a doForms on this machine to try a routes file against."""

from __future__ import annotations

import asyncio
import random
from typing import Annotated

import typer

from gateway.cli.output import fail, stdout
from gateway.doforms.simulator import Seen, Simulator

_SITES = ("North pier", "Dock 4", "Warehouse 12", "Old mill")
_PEOPLE = ("Ada", "Grace", "Edsger", "Barbara")
_RISKS = ("Low", "Medium", "High")


def simulate(
    target: Annotated[
        str, typer.Option(help="The gateway's webhook.", metavar="URL")
    ] = "http://127.0.0.1:8080/webhooks/doforms",
    header: Annotated[
        list[str] | None, typer.Option(help='A secret header, such as "X-Webhook-Key: secret".', metavar="NAME: VALUE")
    ] = None,
    webservice: Annotated[
        list[str] | None,
        typer.Option(
            help="A web service that exists, as ID=PASSWORD; the id may hold `$`: quote it.", metavar="ID=PASSWORD"
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address of the REST API.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the REST API; 0 takes a free one.")] = 8900,
    count: Annotated[int, typer.Option(min=0, help="Send so many made-up records, then end; 0: until Ctrl-C.")] = 0,
    every: Annotated[float, typer.Option(min=0.01, help="Seconds between two notifications.")] = 5.0,
) -> None:
    """Simulate doForms: its REST API, and a notification of a made-up record every few seconds.

    Set `api` of the routes file to the address that is printed. Example:

        gateway simulate --webservice 'acme$$1$$Published$$2=secret' --header 'X-Webhook-Key: key' --count 3
    """
    headers = dict(_pair(one, ":", "--header") for one in header or ())
    webservices = [_pair(one, "=", "--webservice") for one in webservice or ["acme$$1234$$Published$$5678=secret"]]
    simulator = Simulator(target=target, headers=headers)
    for ident, password in webservices:
        simulator.add_webservice(ident, password)
    try:
        asyncio.run(_run(simulator, host, port, count, every))
    except KeyboardInterrupt:
        stdout.print("ended")
    except OSError as error:
        raise fail(
            f"{host}:{port} cannot be listened on: {error.strerror or error}. Choose another with --port"
        ) from None


def _pair(text: str, sign: str, option: str) -> tuple[str, str]:
    name, found, value = text.partition(sign)
    if not found or not name.strip():
        raise typer.BadParameter(f"{text!r} has no {sign!r}", param_hint=option)
    return name.strip(), value.strip()


async def _run(simulator: Simulator, host: str, port: int, count: int, every: float) -> None:
    async with simulator.serving(host=host, port=port):
        stdout.print(f'doForms is simulated: [bold]api = "{simulator.api}"[/], notifications to {simulator.target}')
        sent: list[Seen] = []
        while not count or len(sent) < count:
            ident = random.choice(list(simulator.world.webservices))
            seen = await simulator.create(ident, _made_up())
            sent.append(seen)
            answer = seen.answers[-1]
            told = answer.error or f"{answer.status} {answer.body.decode(errors='replace')}".strip()
            stdout.print(
                f"{seen.key} create: {told} in {answer.seconds * 1000:.0f} ms; doForms believes: {seen.belief}"
            )
            if not count or len(sent) < count:
                await asyncio.sleep(every)
        await _wait_for_reports(simulator, sent)


async def _wait_for_reports(simulator: Simulator, sent: list[Seen]) -> None:
    try:
        await simulator.until(lambda: all(one.belief in ("completed", "failed") for one in sent), timeout=15)
    except TimeoutError:
        stdout.print("not every outcome was heard within 15 s", style="yellow")
    for one in sent:
        stdout.print(f"{one.key}: {one.belief}{f', heard by {one.heard}' if one.heard else ''}")


def _made_up() -> dict[str, object]:
    return {
        "site": random.choice(_SITES),
        "inspector": random.choice(_PEOPLE),
        "risk": random.choice(_RISKS),
        "score": random.randint(1, 100),
        "findings": [{"finding": "Loose rail", "photo": None}],
    }
