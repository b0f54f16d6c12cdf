"""The calls to doForms' REST API, and what their answers mean."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from urllib.parse import quote, urlencode

import httpx
from pydantic import SecretStr

from gateway.doforms import download
from gateway.doforms.download import Downloaded, Target, Wanted
from gateway.doforms.failures import (
    BadKey,
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
    WrongApi,
    is_page,
)
from gateway.doforms.listing import MOST, ListedRecord, decode_listing
from gateway.doforms.record import DECODED_HERE, decode_record
from gateway.doforms.ways import Ways, failure_elsewhere
from gateway.http import beginning, build_client, excerpt, proxy_status, retry_after
from gateway.models import Outcome, RecordKind

LARGEST_RECORD = 64 * 1024 * 1024
"""Bytes; forms of tens of megabytes exist."""
WITHIN = 120.0
"""Seconds for a whole call: a server that sends a byte now and then must not hold a slot of the account for ever."""
_LOOKED_AT = 2048
_CLOCKS = timedelta(minutes=15)
"""How far doForms' clock may be behind ours."""
_WHO = "Look whether the web service's id and password are right"
_PROXY_LOGIN = "The proxy wants a login: look whether the user and password in `proxy` are right"
_QUOTA = re.compile(rb"(daily web ?service quota exceeded|over quota|quota exceeded)", re.IGNORECASE)
_PLACES = {RecordKind.SUBMISSION: "submissions", RecordKind.DISPATCH: "dispatches"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Where a web service's API is, and how it says who it is."""

    api: str
    webservice_id: str
    password: SecretStr
    notifications: str | None = None
    """URL to which outcomes are PUT, with ``{key}``; None: below ``api``."""
    proxy: SecretStr | str | None = None
    """A proxy's address, or ``"env"`` for those that the environment names."""
    attachment_hosts: Sequence[str] = ()
    """Names or patterns of hosts beside that of ``api`` to which a download may lead."""

    @property
    def headers(self) -> dict[bytes, bytes]:
        """Return the static token: id and password joined by a colon, raw; not every password is ASCII."""
        return {b"Authorization": f"Bearer {self.webservice_id}:{self.password.get_secret_value()}".encode()}


class DoformsClient:
    """Calls doForms; each call is made once, repeating is the caller's business.

    ``make`` makes the clients for what ``http`` does not do: proxies, and places that answers lead to. ``hide`` takes
    secrets out of what answers say.
    """

    def __init__(
        self,
        *,
        http: httpx.AsyncClient,
        within: float = WITHIN,
        largest: int = LARGEST_RECORD,
        make: Callable[..., httpx.AsyncClient] = build_client,
        hide: Callable[[str], str] = str,
    ) -> None:
        self._ways = Ways(http, make)
        self._within = within
        self._largest = largest
        self._hide = hide

    async def aclose(self) -> None:
        """Close the connections that were not made by ``http``."""
        await self._ways.aclose()

    async def fetch(self, credentials: Credentials, kind: RecordKind, key: str) -> bytes:
        """Return the JSON of a record as it came, asked for by its key or its id.

        Raises:
            BadKey, Gone, Unauthorised, Quota, NotARecord, WrongApi, Later: see `gateway.doforms.failures`.
        """
        url = _below(credentials, f"{_PLACES[kind]}/{segment(key)}")
        answer = await self._call(credentials, "GET", url, whole=True)
        if not answer.is_success:
            raise self._failure(answer, f"the {kind} {key}")
        if b'"fields"' not in answer.content and _is_over_quota(answer) and not _is_record(answer.content, kind, key):
            raise self._quota(answer)
        if not answer.content.strip():
            raise NotARecord("doForms answered 200 with an empty body instead of a record")
        return answer.content

    async def list_submissions(
        self, credentials: Credentials, begin: datetime, end: datetime, *, skip: int = 0, limit: int = MOST
    ) -> list[ListedRecord]:
        """Return the submissions that doForms received from ``begin`` to before ``end`` (aware), at most ``limit``.

        A listing shorter than it should be has been seen: nothing may be concluded from a record that is missing in it.

        Raises:
            Gone, Refused, Unauthorised, Quota, NotAListing, WrongApi, Later: see `gateway.doforms.failures`.
        """
        window = {"receiveTimeBegin": _moment(begin), "receiveTimeEnd": _moment(end), "limit": limit, "skip": skip}
        url = _below(credentials, f"submissions?{urlencode(window)}")
        answer = await self._call(credentials, "GET", url, whole=True)
        if not answer.is_success:
            raise self._failure(answer, f"the submissions received from {_moment(begin)} to {_moment(end)}")
        if not answer.content.lstrip().startswith(b"[") and _is_over_quota(answer):
            raise self._quota(answer)
        return decode_listing(answer.content)

    async def report(self, credentials: Credentials, key: str, outcome: Outcome) -> None:
        """Tell the outcome of a notification; any 2xx means that it was heard, unless it speaks of the quota.

        Raises:
            Gone, Refused, Unauthorised, Quota, WrongApi, Later: see `gateway.doforms.failures`.
        """
        below = _below(credentials, "notifications/{key}")
        url = credentials.notifications or below
        answer = await self._call(
            credentials, "PUT", url.replace("{key}", segment(key)), json={"status": outcome.value}
        )
        if not answer.is_success:
            setting = "api" if url == below else "notifications"
            raise self._failure(answer, f"the notification {key}", setting=setting)
        if _is_over_quota(answer):
            raise self._quota(answer)

    async def download(self, credentials: Credentials, path: str, target: Target, wanted: Wanted) -> Downloaded:
        """Download what is missing of an attachment; what has come stays in the target, however the call ends.

        Raises:
            Gone, Refused, Unauthorised, Quota, NotAnAttachment, Unwanted, Later: see `gateway.doforms.failures`.
        """
        url = _below(credentials, path)
        try:
            async with (
                asyncio.timeout(download.WITHIN),
                self._ways.followed(
                    credentials.headers | download.headers_for(target),
                    url,
                    proxy=credentials.proxy,
                    hosts=credentials.attachment_hosts,
                ) as (answer, led),
            ):
                if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                    await target.expect(None, None, afresh=True)
                    raise Later("doForms does not know the part of the attachment that is still missing")
                if 300 <= answer.status_code < 400:
                    text = f"doForms answered {answer.status_code} for the attachment at {path}, and leads nowhere"
                    raise Later(text, status=None if led else answer.status_code)
                if not answer.is_success:
                    failure = self._failure(await _beginning(answer), f"the attachment at {path}")
                    raise failure_elsewhere(failure, answer) if led else failure
                return await download.receive(answer, target, wanted)
        except NotAnAttachment as error:
            if _QUOTA.search(error.body):
                raise self._quota(httpx.Response(httpx.codes.OK, content=error.body)) from error
            raise
        except TimeoutError:
            raise Later(f"the attachment did not come within {download.WITHIN:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Later(f"GET {url} failed: {_told(error)}") from error

    async def _call(
        self,
        credentials: Credentials,
        method: str,
        url: str,
        *,
        json: dict[str, str] | None = None,
        whole: bool = False,
    ) -> httpx.Response:
        """Make a call; ``whole``: of a success all is needed, and not only that it is one."""
        client, status = self._ways.client(credentials.proxy), None
        try:
            async with (
                asyncio.timeout(self._within),
                client.stream(method, url, json=json, headers=credentials.headers) as answer,
            ):
                status = answer.status_code
                return await (self._read(answer) if whole and answer.is_success else _beginning(answer))
        except TimeoutError:
            if status is not None:
                text = f"{method} {url} was answered {status}, but the body had no end within {self._within:g} s"
                raise Later(text, status=status) from None
            raise NoAnswer(f"{method} {url} was not answered within {self._within:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if status is not None:
                text = f"{method} {url} was answered {status}, but the body failed: {_told(error)}"
                raise Later(text, status=status) from error
            if proxy_status(error) == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
                raise WrongApi(f"{method} {url} failed: {_told(error)}. {_PROXY_LOGIN}") from error
            raise NoAnswer(f"{method} {url} failed: {_told(error)}") from error

    async def _read(self, answer: httpx.Response) -> httpx.Response:
        pieces, size = [], 0
        async for piece in answer.aiter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size > self._largest:
                raise NotARecord(f"doForms answered with more than {self._largest} bytes; so many are not read")
        return _rebuilt(answer, b"".join(pieces))

    def _failure(self, answer: httpx.Response, what: str, *, setting: str = "api") -> Exception:
        if _is_over_quota(answer):
            return self._quota(answer)
        status = answer.status_code
        text = f"doForms answered {status} for {what}{excerpt(answer, hide=self._hide)}"
        if 300 <= status < 400:
            location = " ".join(answer.headers.get("location", "nowhere").split())[:300]
            text += f", a redirect to {self._hide(location)!r}, which is not followed: `{setting}` is not its address"
            return WrongApi(f"{text}. Write the one that doForms names", status=status)
        if status == httpx.codes.UNAUTHORIZED:
            return Unauthorised(f"{text}. {_WHO}")
        if status == httpx.codes.FORBIDDEN:
            return Forbidden(text, _WHO)
        if status == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
            return WrongApi(f"a proxy answered 407 for {what}. {_PROXY_LOGIN}", status=status)
        if status in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
            return Gone(text, is_page=is_page(answer.content))
        if status in (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY):
            return Refused(text)
        return Later(text, retry_after=retry_after(answer), status=status)

    def _quota(self, answer: httpx.Response) -> Quota:
        text = f"doForms says that today's calls are used up{excerpt(answer, hide=self._hide)}"
        return Quota(text, until=quota_ends(datetime.now(UTC)))


def _below(credentials: Credentials, path: str) -> str:
    return f"{credentials.api.rstrip('/')}/{path}"


def segment(text: str) -> str:
    """Return a key or id percent-encoded as one segment of a path (RFC 3986, 3.3).

    Raises:
        BadKey: it would not be one: it is empty, or one or two dots, which lead elsewhere even where they are encoded.
    """
    if text.partition(";")[0] in ("", ".", ".."):  # some servers cut a segment there before they look at the dots
        raise BadKey(f"the key {text[:60]!r} cannot be asked for: in an address it would lead elsewhere")
    try:
        return quote(text, safe="$")
    except UnicodeEncodeError:
        raise BadKey(f"the key {text[:60]!r} cannot be asked for: it holds what is no character") from None


async def _beginning(answer: httpx.Response) -> httpx.Response:
    return _rebuilt(answer, await beginning(answer))


def _rebuilt(answer: httpx.Response, content: bytes) -> httpx.Response:
    headers = {name: value for name in ("retry-after", "date", "location") if (value := answer.headers.get(name))}
    return httpx.Response(answer.status_code, headers=headers, content=content)


def _moment(moment: datetime) -> str:
    """Write a time as doForms wants it: ISO 8601 with its offset."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _told(error: Exception) -> str:
    """Tell what went wrong; the type is told only for want of words: this transport names many alike."""
    return " ".join(str(error).split()) or type(error).__name__


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


def quota_ends(moment: datetime) -> datetime:
    """Return until when the calls of a day are used up if doForms says so at this moment: the next midnight, UTC.

    Right after midnight it may still speak of the day before. Then it is asked again soon: by the next midnight a whole
    day would be lost.
    """
    midnight = datetime.combine(moment.astimezone(UTC).date(), time(), UTC)
    return midnight + (_CLOCKS if moment < midnight + _CLOCKS else timedelta(days=1))
