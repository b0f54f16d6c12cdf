"""The gate to doForms: may it be called now, and in whose name, else when.

Everything that can stop a call stands behind it: a web service that is paused, missing or without a password; the
places of those that wait for their account's calls; the account's rate and its calls at once, over all processes that
share the store; the waits after "too many requests", a used-up quota or silence. Whoever may not call now hears
`Deferred`, with the time to look again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.calls.access import NOT_NOW, WebserviceAccess
from gateway.calls.account_limits import Priority
from gateway.calls.bulkhead import AccountBulkheads, CallQueue
from gateway.calls.client import AccountClient, WebserviceClient
from gateway.config.loaded import Webservice
from gateway.doforms.synthetic import is_stand_in
from gateway.models import Notification
from gateway.pauses import Pauses
from gateway.routing.active import ActiveRoutes
from gateway.store.store import Store

_PATIENCE = 1.0
"""Seconds that what came by a notification waits for a place at most, in the capacity of its destination."""


class Gate:
    """Lets calls through that work of the gateway waits for: fetches, downloads and reports, in one process."""

    def __init__(self, *, store: Store, active: ActiveRoutes, client: AccountClient, pauses: Pauses) -> None:
        self._active = active
        self._client = client
        self._access = WebserviceAccess(store=store, active=active, pauses=pauses)
        self._bulkheads = AccountBulkheads(store)

    def look(self, webservice_id: str) -> Webservice:
        """Return the web service if it may call now, without calling; raises Deferred."""
        return self._access.caller(webservice_id)

    @asynccontextmanager
    async def queue(
        self, webservice_id: str, queue: CallQueue, *, of: Notification | None = None
    ) -> AsyncIterator[None]:
        """Hold a place among those of an account that wait for their calls.

        ``of``: the notification that it is held for, if that waits for its turn at a destination.

        Raises:
            Deferred: there is no place.
        """
        webservice = self._active.webservice(webservice_id)
        if webservice is None:
            yield
            return
        backfilled = of is not None and is_stand_in(of)
        patience = 0.0 if of is None or backfilled else _PATIENCE
        account = self._active.account(webservice)
        async with self._bulkheads.hold(account, queue, backfilled=backfilled, patience=patience):
            yield

    @asynccontextmanager
    async def permit(self, webservice_id: str, priority: Priority) -> AsyncIterator[WebserviceClient]:
        """Yield a client that calls in the name of a web service; each of its calls waits for its turn.

        A call that says that none can be made now (`NOT_NOW`) is noted for everybody: its web service is paused, or
        its account waits.

        Raises:
            Deferred: no call can be made now.
        """
        webservice = self._access.caller(webservice_id)
        try:
            yield self._client.of(self._active.account(webservice), webservice, priority)
        except NOT_NOW as error:
            await self._access.put_off(webservice, error)
        await self._access.worked(webservice)


def priority_of(notification: Notification, *, urgent: bool) -> Priority:
    """Return the priority with which a notification's record is fetched; ``urgent``: a request waits for it."""
    if urgent:
        return Priority.IMMEDIATE_FETCH
    return Priority.BACKFILL if is_stand_in(notification) else Priority.FETCH
