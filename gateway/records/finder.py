"""Finds the record behind a notification.

The rungs, one after the other: by the id that was learnt for its key, if one was; by its key; again after a moment; by
the id that a listing of the time around the notification shows beside its key. One integrator found that the key of a
notification could not be used to read its record at all; and a record may take a moment to appear.

Nothing is concluded from a record that is not found, or from a listing in which it is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.calls.client import WebserviceClient
from gateway.doforms.failures import BadKey, Forbidden, Gone, Later, NotARecord, NotFound, Refused
from gateway.doforms.record import DECODED_HERE, decode_aside
from gateway.doforms.synthetic import is_stand_in
from gateway.errors import DoformsError
from gateway.models import Notification, Record, RecordKind
from gateway.records.held import Held, HeldRecords
from gateway.records.listing_search import ListingSearch, windows_of
from gateway.records.unreadable import Unreadable
from gateway.records.verify import judge_listing, prove_password
from gateway.store.store import Store

_NOT_THIS_ONE = (Gone, Refused, NotARecord, Forbidden)
"""What an answer must be to speak of the name that was asked for, not of doForms' state or our password."""


class NoRoom(Exception):
    """So much of large records is held in memory that none may be fetched now."""


class NotYet(Exception):
    """The record could not be read by its names; it is worth while to ask once more after a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A record that is looked for."""

    client: WebserviceClient
    """Calls in the name of its web service."""
    notification: Notification
    kind: RecordKind
    key: str
    learnt: str | None
    """The id that was learnt for the key."""
    again: bool
    """Whether it was looked for before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A record as it came, and which ids it taught."""

    body: bytes
    record: Record
    ids: dict[str, str]
    """Key -> id."""
    held: Held | None = None
    """Counts it as long as it is large and held."""


class RecordFinder:
    """Climbs as far as it must; each call waits for its turn by itself, and between calls nothing is held."""

    def __init__(self, *, store: Store, held: HeldRecords) -> None:
        self._held = held
        self._listings = ListingSearch()
        self.unreadable = Unreadable(store)

    async def stop(self) -> None:
        """Break off the listings that are under way."""
        await self._listings.stop()

    async def find(self, wanted: Wanted) -> Found:
        """Read a record.

        Raises:
            NotYet: not found; ask again after a moment.
            NoRoom: too much of large records is held.
            BadKey: it cannot be asked for by its key.
            NotFound: not found, wherever it was looked for.
            Unauthorised: nothing at all may be read in the web service's name.
            Quota, Later, DoformsError: as the client raises them.
        """
        names = tuple(dict.fromkeys(name for name in (wanted.learnt, wanted.key) if name))
        for name in names:
            try:
                return await self._read(wanted, name)
            except DoformsError as error:
                if not _leads_on(error, wanted):
                    raise
                told = error
        if isinstance(told, BadKey):
            raise told
        if not wanted.again and not isinstance(told, Forbidden):
            raise NotYet(str(told)) from told
        if wanted.kind is not RecordKind.SUBMISSION:
            await self._prove_password(wanted, told)
            raise NotFound(f"{told}; dispatches cannot be looked for in listings") from told
        if is_stand_in(wanted.notification):  # a listing told of it, but not of when it was received
            await self._prove_password(wanted, told)
            raise await self._only_listed(wanted, wanted.learnt, told) from told
        return await self._by_listing(wanted, names, told)

    async def _read(self, wanted: Wanted, name: str) -> Found:
        held: Held | None = None

        async def decode(body: bytes) -> tuple[bytes, Record]:
            nonlocal held
            held = self._held.take(len(body)) if len(body) > DECODED_HERE else None
            record = await decode_aside(body, kind=wanted.kind)  # a 200 with something else in it is not a record
            if not {record.key, record.id} & {wanted.key, name}:
                raise NotARecord(
                    f"doForms answered with another record (key {record.key}, id {record.id}) instead of {name}"
                )
            return body, record

        try:
            body, record = await wanted.client.fetch(wanted.kind, name, take=decode, may=self._look_for_room)
        except DoformsError as error:
            held = None  # the error's trace holds whatever this function does
            if isinstance(error, NotARecord):  # it tells how the body begins, and that can repeat the password
                raise NotARecord(wanted.client.mask.text(str(error)), is_page=error.is_page) from None
            raise
        self.unreadable.was_read(wanted.client.webservice.id)
        return Found(body=body, record=record, ids=_ids(wanted, record), held=held)

    def _look_for_room(self) -> None:
        if not self._held.has_room():
            raise NoRoom

    async def _by_listing(self, wanted: Wanted, tried: tuple[str, ...], told: DoformsError) -> Found:
        try:
            listed = await self._listings.look(wanted.client, wanted.notification, wanted.key)
        except DoformsError as error:
            unknown = self.unreadable.was_unknown(wanted.client.webservice.id) if isinstance(error, Gone) else 0
            raise judge_listing(told, error, listings_unknown=unknown) from told
        self.unreadable.was_listed(wanted.client.webservice.id)
        if not listed:
            where = " and ".join(str(window) for window in windows_of(wanted.notification))
            raise NotFound(f"{told}; nor is it among the records that doForms lists as received from {where}") from told
        id_ = listed[wanted.key]
        if id_ is not None and id_ not in tried:
            try:
                return await self._read(wanted, id_)
            except DoformsError as error:
                if not _leads_on(error, wanted):
                    raise
                told = error
        raise await self._only_listed(wanted, id_, told) from told

    async def _only_listed(self, wanted: Wanted, id_: str | None, told: DoformsError) -> NotFound:
        await self.unreadable.was_only_listed(wanted.client.webservice, wanted.key, told)
        return NotFound(f"doForms lists the record {wanted.key} (id {id_}) but does not hand it out: {told}")

    async def _prove_password(self, wanted: Wanted, told: DoformsError) -> None:
        """Let a listing prove that password and address are right; raises what follows if they are not."""
        if isinstance(told, Forbidden) or (isinstance(told, Gone | NotARecord) and told.is_page):
            await prove_password(wanted.client, told, end=wanted.notification.received)


def _leads_on(error: DoformsError, wanted: Wanted) -> bool:
    """Tell whether a refusal leads to the next rung.

    A server's error does when it was met before too: some servers answer so to a name that they cannot read.
    """
    if isinstance(error, Later):
        return wanted.again and error.status is not None and error.status >= 500
    return isinstance(error, _NOT_THIS_ONE)


def _ids(wanted: Wanted, record: Record) -> dict[str, str]:
    if record.id is None:
        return {}
    return {wanted.key: record.id} | ({record.key: record.id} if record.key != record.id else {})
