"""The filter options of lists and bulk actions, declared once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import wraps
from inspect import Parameter
from typing import Any

Command = Callable[..., None]


def choosing(options: Mapping[str, Any]) -> Callable[[Command], Command]:
    """Give a command these options in place of its parameter ``wanted``, a dataclass which is made of them.

    ``options`` are named by the fields of that dataclass, whose defaults are theirs. Typer reads the options of a
    command from its signature, so that is what is written here.
    """

    def around(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        kind = signature.parameters["wanted"].annotation
        defaults = {one.name: one.default for one in fields(kind)}
        chosen = [
            Parameter(name, Parameter.KEYWORD_ONLY, default=defaults[name], annotation=option)
            for name, option in options.items()
        ]

        @wraps(command)
        def run(**given: Any) -> None:
            wanted = kind(**{name: given.pop(name) for name in options})
            command(wanted=wanted, **given)

        own = list(signature.parameters.values())
        place = list(signature.parameters).index("wanted")
        parameters = [*own[:place], *chosen, *own[place + 1 :]]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return run

    return around
