"""How a call to doForms can fail, by what follows from it.

DoformsError
|-- Later          not now: network, 429, 5xx, an answer that makes no sense
|   |-- WrongApi   what answers is not doForms' API: it leads elsewhere, or knows none of its paths
|   |-- NoAnswer   none came: the network, or a time-out
|   `-- Paused     no call was made: none may be made for the account for some time
|-- Gone           doForms does not know the thing (404, 410)
|-- Refused        doForms will never take it (400, 422)
|   |-- BadKey     it was not asked for: its key cannot stand in an address
|   `-- Misled     a download leads to where it is not followed
|-- Unauthorised   the web service's id and password are not accepted (401)
|   `-- Forbidden  they are, or not, but this thing is not for them (403)
|-- Quota          the web service's calls for today are used up
|-- NotARecord     a success that holds no record, or another one
|-- TooLarge       a record that is beyond what the gateway takes apart
|-- NotAListing    a success that holds no listing
|-- NotFound       a record that could not be read, wherever it was looked for
|-- NotAnAttachment  a success that holds something else than the photo or file
`-- Unwanted       an attachment that the settings refuse, however often it is downloaded
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx

from gateway.errors import DoformsError


def is_page(body: bytes) -> bool:
    """Tell whether an answer is a page for people, such as one to log in by: an API answers with JSON."""
    return body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


class Later(DoformsError):
    """The call may work later; ``retry_after`` is the wait in seconds that doForms asked for, ``status`` its status."""

    def __init__(self, text: str, *, retry_after: float | None = None, status: int | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after
        self.status = status

    @property
    def too_many(self) -> bool:
        """Whether it says nothing about what was asked for: there were too many calls, so that it spends no attempt."""
        return self.status == httpx.codes.TOO_MANY_REQUESTS


class NoAnswer(Later):
    """The call was not answered."""


class WrongApi(Later):
    """What answers is not doForms' API, whatever is asked for: a person must put ``api`` right."""


class Paused(Later):
    """No call is made for an account for ``retry_after`` seconds more; ``why`` is what doForms did before."""

    def __init__(self, why: str, *, retry_after: float) -> None:
        until = datetime.now(UTC) + timedelta(seconds=retry_after)
        super().__init__(f"{why}: no calls until {until:%Y-%m-%d %H:%M:%S} UTC", retry_after=retry_after)


class Gone(DoformsError):
    """doForms does not know what was asked for (404, 410); ``is_page``: a page for people says so."""

    def __init__(self, text: str, *, is_page: bool = False) -> None:
        super().__init__(text)
        self.is_page = is_page


class Refused(DoformsError):
    """doForms will not take this call however often it is made (400, 422)."""


class BadKey(Refused):
    """Nothing was asked for, because a key would lead elsewhere than to one thing: it never will be."""


class Misled(Refused):
    """A download leads to where the settings do not let it go: however often it is asked for."""


class Unauthorised(DoformsError):
    """The web service's id and password are not accepted (401)."""


class Forbidden(Unauthorised):
    """The web service may not have what was asked for (403): it alone, or anything; another call can tell which."""

    @property
    def said(self) -> str:
        """What doForms answered."""
        return str(self.args[0])

    def __str__(self) -> str:
        return ". ".join(map(str, self.args))


class Quota(DoformsError):
    """The daily quota of the web service is used up until ``until`` (aware, UTC)."""

    def __init__(self, text: str, *, until: datetime) -> None:
        super().__init__(text)
        self.until = until


class NotARecord(DoformsError):
    """A body that holds no record, whatever the status said; ``is_page``: it is a page for people."""

    def __init__(self, text: str, *, is_page: bool = False) -> None:
        super().__init__(text)
        self.is_page = is_page


class TooLarge(DoformsError):
    """A record that holds more than the gateway takes apart; fetching it again would not make it smaller."""


class NotAListing(DoformsError):
    """A body that holds no listing of records, whatever the status said; ``is_page``: it is a page for people."""

    def __init__(self, text: str, *, is_page: bool = False) -> None:
        super().__init__(text)
        self.is_page = is_page


class NotAnAttachment(DoformsError):
    """A body that is not the photo or file that was asked for, whatever the status said; ``body`` is its beginning."""

    def __init__(self, text: str, *, body: bytes = b"") -> None:
        super().__init__(text)
        self.body = body


class Unwanted(DoformsError):
    """An attachment that is too large or of a type that is not wanted."""


class NotFound(DoformsError):
    """A record that could not be read by any of its names, nor found in the listings."""
