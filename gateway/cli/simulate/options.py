"""The options of ``gateway simulate`` and their help."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.simulate import given

Host = Annotated[str, typer.Option(help="Address of the REST API and the page.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port of both; 0 takes a free one.")]
Target = Annotated[str, typer.Option(help="The gateway's webhook.", metavar="URL")]
Headers = Annotated[
    list[str] | None,
    typer.Option(
        help='A secret header, such as "X-Webhook-Key: env:WEBHOOK_KEY"; can be repeated. What stands in the command '
        "itself every user of the machine can see: `env:NAME` and `file:PATH` lead to a secret.",
        metavar="NAME: VALUE",
    ),
]
Webservices = Annotated[
    list[str] | None,
    typer.Option(
        help="A web service that exists; can be repeated. Ids hold `$`: put single quotes around it. The form's "
        "name follows the last colon and may be left out. The password can be `env:NAME` or `file:PATH`. None given: "
        f"{given.webservices_for(None)[0][0]}={given.PASSWORD}, or one for each form of the scenario.",
        metavar="ID=PASSWORD:FORM",
    ),
]
ScenarioName = Annotated[
    str | None,
    typer.Option(
        help="Play a story of the list below. Left out: nothing happens by itself, or `plain` if records are asked "
        "for by one of the next two.",
        metavar="NAME",
    ),
]
Records = Annotated[
    int | None,
    typer.Option(
        "--records",
        "--count",
        min=1,
        help="Make so many records, then only serve. Left out: as many as the scenario says; without one, no end.",
    ),
]
Every = Annotated[
    str | None,
    typer.Option(
        help="Make a record so often, such as 500ms, 5s or 1m. Left out: as the scenario says; without one, none.",
        metavar="DURATION",
    ),
]
Seed = Annotated[
    int | None, typer.Option(min=0, help="The same seed makes the same records again. Left out: one by chance.")
]
Lines = Annotated[
    bool | None,
    typer.Option(
        "--lines/--counts",
        help="Print a line for each thing that happens, or counts every 2 s. Left out: counts for a scenario.",
    ),
]
