"""The command ``gateway simulate``."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

import typer
from rich.text import Text

from gateway.cli.output import fail, stdout
from gateway.cli.simulate import given
from gateway.cli.simulate.options import (
    Every,
    Headers,
    Host,
    Lines,
    Port,
    Records,
    ScenarioName,
    Seed,
    Target,
    Webservices,
)
from gateway.cli.simulate.told import tell, tell_counts
from gateway.doforms.simulator import SCENARIOS, Player, Simulator, control_routes, page_routes

_MANY = 1_000_000
"""Seeds that a run chooses from by itself."""

EPILOG = "\n\n".join(["Scenarios:", *(f"[bold]{one.name}[/bold]: {one.story}" for one in SCENARIOS.values())])
"""The list of scenarios that the help ends with."""


def simulate(
    host: Host = "127.0.0.1",
    port: Port = 8900,
    target: Target = "http://127.0.0.1:8080/webhooks/doforms",
    header: Headers = None,
    webservice: Webservices = None,
    scenario: ScenarioName = None,
    records: Records = None,
    every: Every = None,
    seed: Seed = None,
    lines: Lines = None,
) -> None:
    """Simulate doForms until Ctrl-C: its REST API, its notifications, a page to watch, and `/control` for scripts.

    Set `api` of the routes file to the address that is printed. Example, a record every 5 seconds:

        gateway simulate --webservice 'acme$$1$$Published$$2=trial-word:Site inspection' --header 'X-Webhook-Key: key' --every 5s
    """  # noqa: E501  a command to copy stays on one line
    if not target.startswith(("http://", "https://")):
        raise typer.BadParameter(f"{target!r} is no http or https URL", param_hint="--target")
    story = given.scenario(scenario) if scenario else None
    pace = None if every is None else given.seconds(every)
    simulator = Simulator(target=target, headers=dict(given.header(one) for one in header or ()))
    for service in [given.webservice(text) for text in webservice or ()] or given.webservices_for(story):
        simulator.add_webservice(*service)
    player = None
    if story or records or pace:
        number = random.randrange(_MANY) if seed is None else seed  # nosec B311
        player = Player(simulator, story or SCENARIOS["plain"], seed=number, records=records, every=pace)
    _until_interrupted(_Run(simulator, player, host, port, counts=story is not None if lines is None else not lines))


def _until_interrupted(run: _Run) -> None:
    """Run until Ctrl-C; ends the command if its address is taken."""
    try:
        asyncio.run(run.run())
    except KeyboardInterrupt:
        stdout.print("ended")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise fail(f"{run.host}:{run.port} cannot be listened on: {reason}. Choose another with --port") from None


@dataclass(frozen=True, slots=True)
class _Run:
    simulator: Simulator
    player: Player | None
    host: str
    port: int
    counts: bool
    """Whether counts are printed in place of lines."""

    async def run(self) -> None:
        """Serve and play until the process is interrupted."""
        simulator = self.simulator
        if not self.counts:
            simulator.listen(tell)
        about = "" if self.player is None else f"plays {_told(self.player)}"
        routes = [*control_routes(simulator), *page_routes(simulator, about=about)]
        async with simulator.serving(*routes, host=self.host, port=self.port), asyncio.TaskGroup() as tasks:
            self._introduce(about)
            if self.counts:
                tasks.create_task(tell_counts(simulator))
            if self.player is not None:
                await self.player.play()
                stdout.print("Every record has been sent; the API goes on.", soft_wrap=True)
            await asyncio.Event().wait()

    def _introduce(self, about: str) -> None:
        simulator = self.simulator
        address = Text.assemble("doForms is simulated: ", (f'api = "{simulator.api}"', "bold"))
        stdout.print(address, highlight=False, soft_wrap=True)
        stdout.print(f"Notifications go to {simulator.target}. End with Ctrl-C.", markup=False, soft_wrap=True)
        for one in simulator.world.webservices.values():
            form = f" for the form {one.form!r}" if one.form else ""
            stdout.print(f"Web service {one.id}{form}.", markup=False, highlight=False, soft_wrap=True)
        page = simulator.api.removesuffix("api/v2")
        stdout.print(f"What doForms believes is shown at {page}", markup=False, soft_wrap=True)
        if about:
            stdout.print(f"It {about}.", markup=False, highlight=False, soft_wrap=True)


def _told(player: Player) -> str:
    many = "without end" if player.records is None else f"{player.records:,} records"
    return f"the scenario {player.scenario.name!r}, {many}, seed {player.seed}"
