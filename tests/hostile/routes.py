"""The routes file of the hostile run: that of the conservation test, with forms whose records are attacks beside it."""

from __future__ import annotations

from tests.crash import routes as crash
from tests.crash.routes import ENVIRON, HEADERS, PASSWORD

__all__ = ["ATTACKED", "ENVIRON", "EXPENSIVE", "HEADERS", "HEAVY_ID", "ODD_ID", "OTHER_ID", "PASSWORD", "PATH", "text"]

PATH = "/webhooks/doforms"
ATTACKED = "attack-"
"""How the keys of notifications begin that are not of the good traffic."""
HEAVY_ID = "acme$$1$$Published$$8"
"""Its records are too large, or their templates cost too much."""
ODD_ID = "acme$$1$$Published$$9"
"""Its deliveries go to a plugin that does what it must not."""
OTHER_ID = "acme$$1$$Published$$10"
"""Declared, so that bodies can name it; nothing good comes from it."""

EXPENSIVE = {
    "reject": "{{ record.fields.a | reject('in', record.fields.b) | list | length }}",
    "nested": "{% for x in record.fields.a %}{% for y in record.fields.b %}{{ x == y }}{% endfor %}{% endfor %}",
    "unique": "{{ (record.fields.a + record.fields.b) | unique | list | length }}",
    "wordwrap": "{{ record.fields.long | wordwrap(72) }}",
    "urlize": "{{ record.fields.long | urlize }}",
    "pprint": "{{ record.fields.a | pprint }}",
    "width": "{{ '%(k)500000000d' | format(k=1) }}",
    "sum": "{{ record.fields.a | sum(start='') }}",
    "replace": "{{ record.fields.long | replace('w', record.fields.long) }}",
    "power": "{{ 9 ** 9 ** 9 }}",
}
"""Templates that cost much, by the kind of record that meets them."""


def text(*, store: str, api: str, effects: str, service: str, folder: str) -> str:
    """Return the routes file."""
    good = crash.text(store=store, api=api, effects=effects, service=service, folder=folder)
    good = good.replace(f", attempts = {crash.ATTEMPTS} }}", " }")  # nobody kills for a record here: none is given up
    good = good.replace(f'lease = "{crash.LEASE:g}s"', 'lease = "10s"').replace('answer_within = "1s"', "")
    return "".join((good, _webservices(), _destinations(service), _heavy(), _ODD))


def _webservices() -> str:
    ids = {"heavy": HEAVY_ID, "odd": ODD_ID, "other": OTHER_ID}
    return "".join(
        f'[webservices.{name}]\nid = "{id_}"\npassword = "env:DOFORMS_PASSWORD"\nform = "{name}"\n'
        for name, id_ in ids.items()
    )


def _destinations(service: str) -> str:
    return f"""
[destinations.aside]
plugin = "rest"
url = "{service}"
retry = {{ first = "1s", attempts = 3 }}
[destinations.faulty]
plugin = "faulty"
timeout = "3s"
concurrency = 4
retry = {{ first = "500ms", attempts = 2 }}
"""


def _heavy() -> str:
    deliveries = (
        f'[[routes.deliver]]\nto = "aside"\nname = "{name}"\npath = "aside"\n'
        f"when = \"record.fields.kind == '{name}'\"\njson = {{ value = '''{template}''' }}\n"
        for name, template in EXPENSIVE.items()
    )
    return '\n[[routes]]\nname = "heavy"\nform = "heavy"\nmode = "immediate"\n' + "".join(deliveries)


_ODD = """
[[routes]]
name = "odd"
form = "odd"
[[routes.deliver]]
to = "faulty"
fault = "{{ record.fields.fault }}"
"""
