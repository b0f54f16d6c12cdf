"""Reading the options of ``gateway simulate``."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

import typer

from gateway.doforms.simulator import FORMS, SCENARIOS, Scenario

PASSWORD = "trial-word"  # nosec B105
_UNITS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_REFERENCE = re.compile(r"(env:[^:]+|file:[^:]+)(?::(.*))?", re.DOTALL)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|)")


def secret(text: str, option: str) -> str:
    """Return the secret behind ``env:NAME`` or ``file:PATH``, or the text: other users of a machine see commands."""
    kind, found, target = text.partition(":")
    if not found or kind not in ("env", "file"):
        return text
    try:
        value = os.environ[target] if kind == "env" else Path(target).read_text(encoding="utf-8")
    except KeyError:
        raise typer.BadParameter(f"the environment variable {target} is not set", param_hint=option) from None
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{target} cannot be read: {error}", param_hint=option) from None
    if not (stripped := value.rstrip("\r\n")):
        raise typer.BadParameter(f"{text} is empty", param_hint=option)
    return stripped


def header(text: str) -> tuple[str, str]:
    """Return the name and the value of a header."""
    name, found, value = text.partition(":")
    if not found or not name.strip():
        raise typer.BadParameter(f"{text!r} is not NAME: VALUE", param_hint="--header")
    return name.strip(), secret(value.strip(), "--header")


def webservice(text: str) -> tuple[str, str, str]:
    """Return the id, the password and the form of a web service."""
    ident, _, rest = text.partition("=")
    if reference := _REFERENCE.fullmatch(rest):
        password, form = secret(reference[1], "--webservice"), reference[2] or ""
    else:
        password, _, form = rest.rpartition(":") if ":" in rest else (rest, "", "")
    if not ident or not password:
        raise typer.BadParameter(f"{text!r} is neither ID=PASSWORD nor ID=PASSWORD:FORM", param_hint="--webservice")
    return ident, password, form


def webservices_for(scenario: Scenario | None) -> list[tuple[str, str, str]]:
    """Return the web services that there are if none is given: one for each form of the scenario."""
    forms = [form.name for form in scenario.forms] if scenario else list(FORMS)[:1]
    return [(f"acme$$1234$$Published$${5678 + list(FORMS).index(form)}", PASSWORD, form) for form in forms]


def seconds(text: str) -> float:
    """Return the length of a duration."""
    found = _DURATION.fullmatch(text.strip())
    length = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if length <= 0:
        raise typer.BadParameter(f"{text!r} is no duration such as 500ms, 5s or 1m", param_hint="--every")
    return length


def scenario(name: str) -> Scenario:
    """Return a scenario by its name."""
    if name not in SCENARIOS:
        [near] = difflib.get_close_matches(name, SCENARIOS, n=1) or [""]
        meant = f"did you mean {near!r}? " if near else ""
        raise typer.BadParameter(
            f"there is no scenario {name!r}; {meant}Known: {', '.join(SCENARIOS)}", param_hint="--scenario"
        )
    return SCENARIOS[name]
