"""The command line on a store as a gateway leaves it behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main
from gateway.errors import Misfit
from gateway.models import DeliveryState, Event, FetchState, Mode, Outcome, RecordKind, ReportState
from gateway.store.engine.connect import open_database
from gateway.store.engine.migrate import migrate
from gateway.store.engine.transaction_time import SECOND, now
from gateway.store.operator import quarantine
from gateway.store.operator.quarantine import NewEntry
from gateway.store.store import Store
from gateway.store.work import alarms, fetches, inbox, outbox, records
from gateway.store.work.queue import Begin, Due, Settlement
from tests.support.keeping import keep, notification

ROUTES = """
[webhook]
headers = { X-Webhook-Key = ["env:WEBHOOK_KEY"] }
[webservices.inspection]
id = "acme$$1$$Published$$2"
password = "env:DOFORMS_PASSWORD"
form = "Site inspection"
project = "Safety"
[destinations.folder]
plugin = "file"
root = "files"
[destinations.service]
plugin = "rest"
url = "https://service.example.com"
auth = { type = "bearer", token = "env:TOKEN" }
[[routes]]
name = "inspections"
form = "Site inspection"
events = ["create", "update", "delete"]
[[routes.deliver]]
to = "folder"
filename = "{{ record.key }}.json"
[[routes.deliver]]
to = "service"
when = "record.fields.risk == 'High'"
required = false
path = "inspections/{{ record.fields.site }}"
json = { site = "{{ record.fields.site }}" }
[[routes]]
name = "statuses"
events = ["status"]
[[routes.deliver]]
to = "folder"
filename = "{{ notification.key }}.txt"
format = "text"
text = "{{ record.fields.state }}"
"""
SECRETS = {"WEBHOOK_KEY": "hook-secret", "DOFORMS_PASSWORD": "doforms-secret", "TOKEN": "token-secret"}
LONG_KEY = "ag5zfm15ZG9mb3Jtcy1ocmRyEgsSBUZvcm0YgICA"
RECORD = b'{"key": "r1", "id": "17", "fields": [{"name": "site", "data": "text", "text": "Dock 4"}]}'


@dataclass(frozen=True)
class Ran:
    """What a command printed and how it ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def words(self) -> str:
        """What was printed, without the layout."""
        return " ".join(self.out.split())


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the real command line in this process."""

    def ran(*arguments: str | Path) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Ran(ended.value.code or 0, out, err)  # type: ignore[arg-type]

    return ran


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a routes file whose store is not there yet."""
    file = tmp_path / "routes.toml"
    file.write_text(ROUTES)
    return file


@pytest.fixture
def empty(site: Path) -> Path:
    """Return a routes file with an empty store."""
    database = open_database(f"sqlite:///{site.with_name('gateway.db')}")
    migrate(database)
    database.close()
    return site


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a routes file whose store holds a bit of everything."""
    return make_filled(request, tmp_path_factory.mktemp("filled"))


def make_filled(request: pytest.FixtureRequest, folder: Path) -> Path:
    """Return a routes file in this folder, with a filled store of the kind that the fixture's parameter names."""
    file = folder / "routes.toml"
    url = f"sqlite:///{file.with_name('gateway.db')}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql").make_database()
    file.write_text(f'[gateway]\nstore = "{url}"\n{ROUTES}')
    asyncio.run(_fill(Store(url)))
    return file


async def _fill(store: Store) -> None:
    await store.open()
    await _delivered(store)
    await _in_doubt(store)
    await _waiting(store)
    await _unmatched(store)
    await _quarantined(store)
    await store.close()


async def _kept(store: Store, key: str, **more: Any) -> int:
    """Keep a notification with a delivery to the folder and one to the service that does not count."""
    of = {name: more.pop(name) for name in ("record", "event", "webservice_id", "created") if name in more}
    given = {"form": "Site inspection", "project": "Safety", "to": ("folder", "service")}
    return (await store.submit(keep(notification(key, **of), **(given | more)))).id


async def _attempts(store: Store) -> list[Due]:
    """Claim what is due and note that it is sent."""
    claimed = sorted(await store.claim({"folder": 9, "service": 9}), key=lambda due: due.destination)
    begins = [Begin(due=due, attempt_id=due.id, rendered=b'{"filename":"r1.json"}') for due in claimed]
    assert all(await store.begin(begins))
    return claimed


def _settlement(due: Due, state: DeliveryState, **more: Any) -> Settlement:
    return Settlement(due=due, attempt_id=due.id, state=state, **more)


async def _delivered(store: Store) -> None:
    created = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    id_ = await _kept(store, "delivered", mode=Mode.IMMEDIATE, fetch=True, created=created)
    kept = (await store.read(lambda c: records.load(c, [id_])))[id_]
    await store.write(lambda c: records.pin(c, kept, {RecordKind.SUBMISSION: RECORD}))
    folder, service = await _attempts(store)
    receipt = json.dumps({"summary": "files/r1.json (88 bytes)", "details": {"size": 88}})
    await store.settle(
        [
            _settlement(folder, DeliveryState.DELIVERED, receipt=receipt),
            _settlement(service, DeliveryState.SKIPPED, reason="its `when` is false for this record"),
        ]
    )
    await store.write(lambda c: inbox.mark_answered(c, id_, Outcome.COMPLETED))
    assert (await store.submit(keep(notification("delivered")))).repeat


async def _in_doubt(store: Store) -> None:
    await _kept(store, "doubtful", record="r2", event=Event.UPDATE)
    for number in (1, 2):
        folder, service = await _attempts(store)
        again = {"result": "unavailable", "reason": "the disk is full", "due_at": now()}
        dead = {"result": "uncertain", "reason": "in doubt: no answer within its time limit of 30 s", "doubt": True}
        await store.settle([_settlement(service, DeliveryState.PENDING, **again)])
        ended = _settlement(folder, DeliveryState.DEAD, **dead) if number == 2 else None
        await store.settle([ended or _settlement(folder, DeliveryState.PENDING, **again)])
    _, service = [None, *await _attempts(store)]
    assert service is not None
    await store.settle([_settlement(service, DeliveryState.DELIVERED, receipt='{"summary": "200", "details": {}}')])
    (report,) = await store.write(lambda c: outbox.claim_reports(c, most=1, token="t", lease=60.0))
    await store.write(
        lambda c: outbox.settle_report(c, report, state=ReportState.REFUSED, reason="doForms answered 400: no")
    )
    await store.write(lambda c: alarms.raise_alarm(c, "outcome not reported", "doubtful", "doForms answered 400: no"))


async def _waiting(store: Store) -> None:
    id_ = await _kept(store, "waiting", record=LONG_KEY, fetch=True)
    claimed = await store.claim({"folder": 9, "service": 9})
    reason = "the record could not be fetched: doForms answered 503 for the submission: <html>Try [later]</html>"
    due = now() + 3600 * SECOND
    await store.settle(
        [
            Settlement(due=one, attempt_id=None, state=DeliveryState.PENDING, due_at=due, counted=False, reason=reason)
            for one in claimed
        ]
    )
    await store.write(lambda c: fetches.note_failed(c, id_, state=FetchState.DUE, reason=reason, spent=SECOND))


async def _unmatched(store: Store) -> None:
    for webservice in ("stranger$$1", "stranger$$2"):
        why = "its web service is not in the routes file"
        await _kept(
            store,
            "unmatched",
            webservice_id=webservice,
            webservice=None,
            form=None,
            project=None,
            matched=False,
            reason=why,
            alarm=f"notification unmatched of {webservice}: {why}",
            to=(),
        )
    await store.write(lambda c: alarms.raise_alarm(c, "unmatched", "acme$$9", "no route"))
    await store.write(lambda c: alarms.clear_alarm(c, "unmatched", "acme$$9"))


async def _quarantined(store: Store) -> None:
    for reason, code, body in (
        ("the body is not UTF-8 text", Misfit.ENCODING, b"\x1b[2J\xff not [json]"),
        ("`key` is missing", Misfit.IDENTIFIER, b"{}"),
    ):
        entry = NewEntry(path="/webhooks/doforms/added", client="192.0.2.7", reason=reason, body=body, code=code)
        await store.write(lambda c, entry=entry: quarantine.add(c, entry))
