"""The routes file of the conservation test, and what it makes of each notification."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LEASE = 1.0
"""Seconds; short, so that a process can be stopped for longer."""
SILENCE = 2.0
"""Seconds in which the database must answer, else a gateway gives the connection up; short as well."""

PASSWORD = "secret"
HEADERS = {"X-Webhook-Key": "correct"}
ENVIRON = {"WEBHOOK_KEY": "correct", "DOFORMS_PASSWORD": PASSWORD}


@dataclass(frozen=True, slots=True)
class Form:
    """A form of the load, and the deliveries (route, delivery name) that each of its notifications makes."""

    name: str
    webservice_id: str
    records: int
    makes: tuple[tuple[str, str], ...]

    @property
    def matched(self) -> bool:
        """Whether a route is there for it."""
        return bool(self.makes)


FORMS = {
    form.name: form
    for form in (
        Form("inspection", "acme$$1$$Published$$1", 8, (("inspections", "entries"), ("inspections", "service"))),
        Form("order", "acme$$1$$Published$$2", 8, (("orders", "state"), ("orders", "strictly"), ("orders", "folder"))),
        Form("note", "acme$$1$$Published$$3", 8, (("notes", "plain"), ("notes", "loosely"))),
        Form("bane", "acme$$1$$Published$$5", 4, (("banes", "killer"),)),
        Form("stray", "acme$$1$$Published$$4", 1, ()),
        Form("stranger", "other$$1$$Published$$1", 1, ()),
    )
}
"""``stray`` is declared but no route takes it; ``stranger`` is not in the file at all."""

ATTEMPTS = 3
"""Of a delivery to ``killer``, where the deadly record is."""

REFUSED = "x"
"""Last letter of the key of a notification that the service refuses for good."""
SKIPPED = "s"
"""Last letter of the key of a notification for which ``when`` is false at ``loosely``."""

_RETRY = '{ first = "100ms", factor = 2, max = "600ms" }'
_LIMITS = f'retry = {_RETRY}\nbreaker = {{ failures = 5, probe_after = "300ms" }}\ntimeout = "2s"'
_COLUMNS = '{ record = "{{ record.key }}", notification = "{{ notification.key }}", seq = "{{ record.fields.seq }}" }'

_INSPECTIONS = f"""
[[routes]]
name = "inspections"
form = "inspection"
mode = "immediate"
[[routes.deliver]]
to = "table"
name = "entries"
table = "entries"
delivery_key = "delivery_key"
columns = {_COLUMNS}
[[routes.deliver]]
to = "service"
path = "service"
json = {_COLUMNS}
"""
_ORDERS = f"""
[[routes]]
name = "orders"
form = "order"
mode = "delayed"
[[routes.deliver]]
to = "table"
name = "state"
table = "state"
write = "upsert"
key = ["record"]
guard = "number"
columns = {_COLUMNS}
[[routes.deliver]]
to = "service"
name = "strictly"
path = "strictly"
order = "strict"
json = {_COLUMNS}
[[routes.deliver]]
to = "folder"
required = false
filename = "orders.jsonl"
format = "jsonl"
columns = {_COLUMNS}
"""
_NOTES = f"""
[[routes]]
name = "notes"
form = "note"
mode = "delayed"
[[routes.deliver]]
to = "table"
name = "plain"
table = "plain"
columns = {_COLUMNS}
[[routes.deliver]]
to = "service"
name = "loosely"
path = "loosely"
order = "none"
when = "notification.key[-1] != '{SKIPPED}'"
json = {_COLUMNS}
"""

_BANES = f"""
[[routes]]
name = "banes"
form = "bane"
mode = "delayed"
[[routes.deliver]]
to = "killer"
path = "killer"
json = {_COLUMNS}
"""


def text(*, store: str, api: str, effects: str, service: str, folder: str) -> str:
    """Return the routes file."""
    given = _settings(store, api), _webservices(), _destinations(effects, service, folder)
    return "".join((*given, _INSPECTIONS, _ORDERS, _NOTES, _BANES))


def _settings(store: str, api: str) -> str:
    return f"""
[gateway]
store = "{store}"
lease = "{LEASE:g}s"
answer_within = "1s"
shutdown_grace = "1s"
min_free_disk = "1MB"
[doforms]
api = "{api}"
expected_fetch = "10ms"
requests_per_minute = 60000
max_in_flight = 8
fetch_retry = {_RETRY}
report_retry = {_RETRY}
[webhook]
headers = {{ X-Webhook-Key = ["env:WEBHOOK_KEY"] }}
"""


def _webservices() -> str:
    return "".join(
        f'[webservices.{form.name}]\nid = "{form.webservice_id}"\npassword = "env:DOFORMS_PASSWORD"\n'
        f'form = "{form.name}"\n'
        for form in FORMS.values()
        if form.name != "stranger"
    )


def _destinations(effects: str, service: str, folder: str) -> str:
    return f"""
[destinations.table]
plugin = "database"
url = "{effects}"
{_LIMITS}
[destinations.service]
plugin = "rest"
url = "{service}"
concurrency = 4
{_LIMITS}
[destinations.killer]
plugin = "rest"
url = "{service}"
headers = {{ X-Gateway = "env:GATEWAY_NUMBER" }}
{_LIMITS.replace(_RETRY, _RETRY.replace(" }", f", attempts = {ATTEMPTS} }}"))}
[destinations.folder]
plugin = "file"
root = "{folder}"
{_LIMITS}
"""


def other_settings(text: str) -> str:
    """Return the file with other limits, so that a reload makes the destinations anew."""
    return text.replace("concurrency = 4", "concurrency = 3").replace('timeout = "2s"', 'timeout = "1900ms"')


def with_a_rest(text: str) -> str:
    """Return the file with the tables switched off, so that their deliveries wait."""
    return text.replace("[destinations.table]\n", "[destinations.table]\nenabled = false\n")


def with_a_mistake(text: str) -> str:
    """Return the file with something that is refused."""
    return text.replace("concurrency = 4", "concurrrency = 4")


def replace_text(file: Path, text: str) -> None:
    """Write a file so that whoever reads it finds the old text or the new one."""
    aside = file.with_suffix(".new")
    aside.write_text(text)
    aside.replace(file)
