"""Takes requests out of quarantine after a mend, as receiving does, in one commit."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace

from sqlalchemy import Connection

from gateway.config.loaded import Routes
from gateway.doforms.notification import parse_notification
from gateway.errors import NotANotification
from gateway.intake.deliverer import NoDeliverer
from gateway.intake.plan import Planner, account_of
from gateway.models import Mode, Notification
from gateway.routing.active import ActiveRoutes
from gateway.store.engine.ids import ids_of
from gateway.store.operator import quarantine
from gateway.store.operator.actions import ActionResult, Actor
from gateway.store.operator.quarantine import Entry
from gateway.store.work import inbox, late_creates
from gateway.store.work.inbox import Keep
from gateway.web.body import LARGEST_BODY
from gateway.web.paths import EVENT_PATHS, suffix_of
from gateway.web.unpack import codings_of, unpack


class _Refused(Exception):
    """An entry stays in quarantine; the text says why."""


class _NothingPaused:
    """What is paused is seen when the deliveries are due: nothing is sent at once."""

    def reason(self, kind: object, name: str) -> str | None:
        """Tell that it is not paused."""
        return None


def take_in(connection: Connection, numbers: Collection[int], routes: Routes, by: Actor) -> list[ActionResult]:
    """Keep entries as notifications, each as if it had just come, and remove those that were kept from quarantine."""
    active = ActiveRoutes(routes)
    planner = Planner(active=active, worker=NoDeliverer(), pauses=_NothingPaused())
    return [_take_in(connection, number, active, planner, by) for number in sorted(numbers)]


def _take_in(connection: Connection, number: int, active: ActiveRoutes, planner: Planner, by: Actor) -> ActionResult:
    key, done = "", False
    try:
        entry = quarantine.lock(connection, number)
        if entry is None:
            raise _Refused("it is not in quarantine any more")
        notification = _read(entry, active.routes.path)
        key = notification.key
        _check_sender(entry, notification, active)
        text, done = _keep(connection, planner.plan_notification(notification), by), True
        quarantine.remove(connection, [number])
    except _Refused as refused:
        text = str(refused)
    return ActionResult(id=number, notification=key, route=None, destination=None, done=done, text=text)


def _read(entry: Entry, webhook: str) -> Notification:
    if entry.full_size > len(entry.body):
        raise _Refused(
            f"only the first {len(entry.body)} of its {entry.full_size} bytes were kept, because it was no JSON: have "
            "it sent again, or let its record in by `gateway backfill`"
        )
    suffix = suffix_of(entry.path, webhook) or f"/{entry.path.rstrip('/').rpartition('/')[2].lower()}"
    try:
        codings = codings_of([(entry.coding or "").encode("latin-1", "replace")])
        body = asyncio.run(unpack(entry.body, codings, most=LARGEST_BODY))
        return parse_notification(body, path_event=EVENT_PATHS.get(suffix), received=entry.received)
    except NotANotification as error:
        raise _Refused(f"it is still no notification: {error}") from None


def _check_sender(entry: Entry, notification: Notification, active: ActiveRoutes) -> None:
    """Refuse what its sender may not notify for: an account with headers of its own takes only those."""
    webservice = active.webservice(notification.webservice_id)
    account = account_of(notification.webservice_id) if webservice is None else webservice.account
    known = active.routes.accounts.get(account)
    wanted = account if known is not None and known.headers else ""
    if entry.senders is None and any(one.headers for one in active.routes.accounts.values()):
        raise _Refused(
            "whose secret headers it carried was not kept by the gateway that received it: have it sent again"
        )
    if entry.senders is not None and wanted not in entry.senders:
        whose = f"the account {account}, which has headers of its own" if wanted else f"the account {account}"
        raise _Refused(f"it speaks for {whose}, and carried those of somebody else")


def _keep(connection: Connection, decided: Keep, by: Actor) -> str:
    """Keep what was decided, for a worker to find; returns what became of it."""
    item = replace(
        decided,
        mode=Mode.DELAYED,
        reason=f"taken in from quarantine {by}" if decided.matched else decided.reason,
        deliveries=tuple(replace(one, take=False) for one in decided.deliveries),
    )
    (kept,) = late_creates.keep(connection, [item], ids=ids_of(connection), token="", lease=0.0)  # nosec B106
    if kept.repeat:
        return f"a repeat of what was kept before: {kept.outcome or 'open'}"
    if kept.outcome is not None:
        inbox.mark_answered(connection, kept.id, None)
    if not item.matched:
        return f"kept, unmatched: {item.reason}"
    count = len(kept.deliveries)
    return f"kept, {count} {'delivery' if count == 1 else 'deliveries'}"
