"""The calls to doForms' REST API, and what their answers mean."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from urllib.parse import quote, urlencode

import httpx
from pydantic import SecretStr

from gateway.doforms import download
from gateway.doforms.download import Downloaded, Target, Wanted
from gateway.doforms.failures import (
    Forbidden,
    Gone,
    Later,
    NoAnswer,
    NotAnAttachment,
    NotARecord,
    Quota,
    Refused,
    TooLarge,
    Unauthorised,
)
from gateway.doforms.listing import MOST, ListedRecord, decode_listing
from gateway.doforms.record import DECODED_HERE, decode_record
from gateway.http import excerpt, retry_after
from gateway.models import Outcome, RecordKind

LARGEST_RECORD = 64 * 1024 * 1024
"""Bytes; forms of tens of megabytes exist."""
WITHIN = 120.0
"""Seconds for a whole call: a server that sends a byte now and then must not hold a slot of the account for ever."""
_MOST_HOPS = 5
_LOOKED_AT = 2048
_CLOCKS = timedelta(minutes=15)
"""How far doForms' clock may be behind ours."""
_WHO = "Look whether the web service's id and password are right"
_QUOTA = re.compile(rb"(daily web ?service quota exceeded|over quota|quota exceeded)", re.IGNORECASE)
_PLACES = {RecordKind.SUBMISSION: "submissions", RecordKind.DISPATCH: "dispatches"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Where a web service's API is, and how it says who it is."""

    api: str
    webservice_id: str
    password: SecretStr

    @property
    def headers(self) -> dict[bytes, bytes]:
        """Return the static token: id and password joined by a colon, raw; not every password is ASCII."""
        return {b"Authorization": f"Bearer {self.webservice_id}:{self.password.get_secret_value()}".encode()}


class DoformsClient:
    """Calls doForms; each call is made once, repeating is the caller's business."""

    def __init__(self, *, http: httpx.AsyncClient, within: float = WITHIN, largest: int = LARGEST_RECORD) -> None:
        self._http = http
        self._within = within
        self._largest = largest

    async def fetch(self, credentials: Credentials, kind: RecordKind, key: str) -> bytes:
        """Return the JSON of a record as it came, asked for by its key or its id.

        Raises:
            Gone, Unauthorised, Quota, NotARecord, Later: see `gateway.doforms.failures`.
        """
        answer = await self._call(credentials, "GET", f"{_PLACES[kind]}/{quote(key, safe='')}")
        if not answer.is_success:
            raise _failure(answer, f"the {kind} {key}")
        if b'"fields"' not in answer.content and _is_over_quota(answer) and not _is_record(answer.content, kind, key):
            raise _quota(answer)
        if not answer.content.strip():
            raise NotARecord("doForms answered 200 with an empty body instead of a record")
        return answer.content

    async def list_submissions(
        self, credentials: Credentials, begin: datetime, end: datetime, *, skip: int = 0, limit: int = MOST
    ) -> list[ListedRecord]:
        """Return the submissions that doForms received from ``begin`` to before ``end`` (aware), at most ``limit``.

        A listing shorter than it should be has been seen: nothing may be concluded from a record that is missing in it.

        Raises:
            Gone, Refused, Unauthorised, Quota, NotAListing, Later: see `gateway.doforms.failures`.
        """
        window = {"receiveTimeBegin": _moment(begin), "receiveTimeEnd": _moment(end), "limit": limit, "skip": skip}
        answer = await self._call(credentials, "GET", f"submissions?{urlencode(window)}")
        if not answer.is_success:
            raise _failure(answer, f"the submissions received from {_moment(begin)} to {_moment(end)}")
        if not answer.content.lstrip().startswith(b"[") and _is_over_quota(answer):
            raise _quota(answer)
        return decode_listing(answer.content)

    async def report(self, credentials: Credentials, key: str, outcome: Outcome) -> None:
        """Tell the outcome of a notification; any 2xx means that it was heard, unless it speaks of the quota.

        Raises:
            Gone, Refused, Unauthorised, Quota, Later: see `gateway.doforms.failures`.
        """
        path = f"notifications/{quote(key, safe='')}"
        answer = await self._call(credentials, "PUT", path, json={"status": outcome.value})
        if not answer.is_success:
            raise _failure(answer, f"the notification {key}")
        if _is_over_quota(answer):
            raise _quota(answer)

    async def download(self, credentials: Credentials, path: str, target: Target, wanted: Wanted) -> Downloaded:
        """Download what is missing of an attachment; what has come stays in the target, however the call ends.

        Raises:
            Gone, Refused, Unauthorised, Quota, NotAnAttachment, Unwanted, Later: see `gateway.doforms.failures`.
        """
        url = f"{credentials.api.rstrip('/')}/{path}"
        headers = {**credentials.headers, **download.headers_for(target)}
        try:
            async with asyncio.timeout(download.WITHIN), self._followed(url, headers) as answer:
                if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                    await target.expect(None, None, afresh=True)
                    raise Later("doForms does not know the part of the attachment that is still missing")
                if not answer.is_success:
                    raise _failure(await self._read(answer), f"the attachment at {path}")
                return await download.receive(answer, target, wanted)
        except NotAnAttachment as error:
            if _QUOTA.search(error.body):
                raise _quota(httpx.Response(httpx.codes.OK, content=error.body)) from error
            raise
        except TimeoutError:
            raise Later(f"the attachment did not come within {download.WITHIN:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Later(f"GET {url} failed: {_told(error)}") from error

    @asynccontextmanager
    async def _followed(self, url: str, headers: Mapping[bytes, bytes]) -> AsyncIterator[httpx.Response]:
        """Yield the answer where a download leads: files may lie with another service. Only these calls follow."""
        place, sent = httpx.URL(url), dict(headers)
        for _ in range(_MOST_HOPS):
            async with self._http.stream("GET", place, headers=sent) as answer:
                if not answer.has_redirect_location:
                    yield answer
                    return
                following = place.join(answer.headers["location"])
            if following.scheme not in ("https", place.scheme):
                raise Refused(f"GET {url} leads from {place.scheme} to {following.scheme}, which is not followed")
            if (following.scheme, following.host, following.port) != (place.scheme, place.host, place.port):
                sent.pop(b"Authorization", None)  # the password is for doForms alone
            place = following
        raise Refused(f"GET {url} leads on and on")

    async def _call(
        self, credentials: Credentials, method: str, path: str, *, json: dict[str, str] | None = None
    ) -> httpx.Response:
        url = f"{credentials.api.rstrip('/')}/{path}"
        try:
            async with (
                asyncio.timeout(self._within),
                self._http.stream(method, url, json=json, headers=credentials.headers) as answer,
            ):
                return await self._read(answer)
        except TimeoutError:
            raise NoAnswer(f"{method} {url} was not answered within {self._within:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoAnswer(f"{method} {url} failed: {_told(error)}") from error

    async def _read(self, answer: httpx.Response) -> httpx.Response:
        body = bytearray()
        async for chunk in answer.aiter_bytes():
            body += chunk
            if len(body) > self._largest:
                raise NotARecord(f"doForms answered with more than {self._largest} bytes; so many are not read")
        headers = {name: value for name in ("retry-after", "date") if (value := answer.headers.get(name))}
        return httpx.Response(answer.status_code, headers=headers, content=bytes(body))


def _moment(moment: datetime) -> str:
    """Write a time as doForms wants it: ISO 8601 with its offset."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _told(error: Exception) -> str:
    """Tell what went wrong; the type is told only for want of words: this transport names many alike."""
    return " ".join(str(error).split()) or type(error).__name__


def _failure(answer: httpx.Response, what: str) -> Exception:
    if _is_over_quota(answer):
        return _quota(answer)
    status = answer.status_code
    text = f"doForms answered {status} for {what}{excerpt(answer)}"
    if status == httpx.codes.UNAUTHORIZED:
        return Unauthorised(f"{text}. {_WHO}")
    if status == httpx.codes.FORBIDDEN:
        return Forbidden(text, _WHO)
    if status in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
        return Gone(text)
    if status in (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY):
        return Refused(text)
    return Later(text, retry_after=retry_after(answer), status=status)


def _is_record(body: bytes, kind: RecordKind, key: str) -> bool:
    """Tell whether a body that speaks of a quota is a flattened record, one of whose answers does."""
    if len(body) > DECODED_HERE:  # nobody needs so many words to speak of a quota
        return True
    try:
        record = decode_record(body, kind=kind)
    except (NotARecord, TooLarge):
        return False
    return key in (record.key, record.id)


def _is_over_quota(answer: httpx.Response) -> bool:
    return _QUOTA.search(answer.content[:_LOOKED_AT]) is not None


def _quota(answer: httpx.Response) -> Quota:
    text = f"doForms says that today's calls are used up{excerpt(answer)}"
    return Quota(text, until=quota_ends(datetime.now(UTC)))


def quota_ends(moment: datetime) -> datetime:
    """Return until when the calls of a day are used up if doForms says so at this moment: the next midnight, UTC.

    Right after midnight it may still speak of the day before. Then it is asked again soon: by the next midnight a whole
    day would be lost.
    """
    midnight = datetime.combine(moment.astimezone(UTC).date(), time(), UTC)
    return midnight + (_CLOCKS if moment < midnight + _CLOCKS else timedelta(days=1))
