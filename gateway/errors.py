"""Everything the gateway raises on purpose.

GatewayError
|-- RoutesFileError        the routes file has problems; carries all of them
|-- PluginError            a plugin cannot be used; the gateway refuses to start
|-- SettingsError          the process settings do not fit together
|-- NotANotification       an authenticated body that is no notification
|-- TemplateError          a template or expression could not be compiled or evaluated
|-- StoreError
|   |-- CannotKeep         the store did not commit; nothing was kept
|   |-- StoreTooNew        the store was written by a newer gateway
|   `-- StoreInUse         another `gateway serve` holds the store
|-- DoformsError           a call to the doForms API failed; see gateway.doforms.client
`-- DeliveryError          what a destination raises
    |-- Rejected           this delivery, never
    |-- Unavailable        later; nothing was sent
    |-- Misconfigured      the destination needs a person; nothing was sent
    `-- Uncertain          it may have happened
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

E = TypeVar("E", bound=Exception)


class GatewayError(Exception):
    """The root of everything the gateway raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the routes file, told so that an ops person can mend it without asking."""

    file: str
    """The file it stands in, as the user named it."""
    where: str
    """Table and key in TOML words, e.g. ``destinations.office.host`` or ``routes[inspections].deliver[0].to``."""
    found: str
    """What is wrong, naming what was found."""
    remedy: str
    """What to do: what is allowed, the nearest name for a misspelling, the place to move it to."""

    def __str__(self) -> str:
        return f"{self.file}: {self.where}: {self.found}. {self.remedy}"


class RoutesFileError(GatewayError):
    """The routes file cannot be used. ``problems`` holds every mistake found, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class PluginError(GatewayError):
    """A destination plugin cannot be used; the text names the packages concerned and the way out."""


class SettingsError(GatewayError):
    """The process settings (``GATEWAY_*`` or options) do not fit together."""


class Misfit(StrEnum):
    """Why a body is no notification."""

    EMPTY = "empty"
    """There is nothing in it."""
    ENCODING = "encoding"
    """It is not UTF-8 text, as JSON is between systems (RFC 8259, section 8.1)."""
    NOT_JSON = "not-json"
    """It is text, but no JSON."""
    TOO_DEEP = "too-deep"
    """It is nested deeper than is read."""
    TOO_MANY = "too-many"
    """It holds more values and names than any notification has, or is nested deeper."""
    NO_OBJECT = "no-object"
    """It is JSON, but no object."""
    IDENTIFIER = "identifier"
    """A key or an id in it is missing, or none that can be kept."""
    CODING = "coding"
    """It is packed in a way that is not unpacked here (RFC 9110, section 8.4)."""
    PACKED = "packed"
    """It cannot be unpacked: it is broken off or damaged."""
    TOO_LARGE = "too-large"
    """It unpacks to more than is taken."""


class NotANotification(GatewayError):
    """An authenticated body that is not a doForms notification; the text says what is wrong with it."""

    def __init__(self, text: str, *, code: Misfit) -> None:
        super().__init__(text)
        self.code = code


class TemplateError(GatewayError):
    """A template or expression could not be compiled or evaluated; the text quotes it."""


class StoreError(GatewayError):
    """The store could not do what was asked."""


class CannotKeep(StoreError):
    """A notification was not kept: the transaction did not commit, and doForms must send it again."""


class StoreTooNew(StoreError):
    """The store's schema is newer than this program can work with."""


class StoreInUse(StoreError):
    """Another ``gateway serve`` holds the lock of this SQLite store."""


def without_trace(error: E) -> E:
    """Return an error that is expected, without what it came from.

    Its trace and the errors before it hold all that the functions held which they went through, such as a record of
    megabytes, until the collector comes by.
    """
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


class DoformsError(GatewayError):
    """A call to the doForms API did not give what was asked for."""


class DeliveryError(GatewayError):
    """The root of what a destination raises from ``deliver``; the text becomes the delivery's reason."""


class Rejected(DeliveryError):
    """This delivery can never work as it is (bad data, refused by the other side): it is dead at once."""


class Unavailable(DeliveryError):
    """Nothing was sent and it can work later.

    ``retry_after`` is the other side's wish in seconds, if it told one; it is honoured up to ``retry.max``.
    ``whole=True`` says that the destination as a whole is down (not just this delivery): the breaker opens, no attempt
    is counted, and the next delivery goes after ``retry_after``, at least a second, else after ``breaker.probe_after``.
    """

    retry_after: float | None = None
    whole: bool = False

    def __init__(self, text: str, *, retry_after: float | None = None, whole: bool = False) -> None:
        super().__init__(text)
        self.retry_after = retry_after
        self.whole = whole


class Misconfigured(DeliveryError):
    """Nothing was sent and a person must mend the destination (login refused, table missing): it is paused."""


class Uncertain(DeliveryError):
    """It may have happened: a time-out after sending, a connection lost before the answer.

    ``most_attempts`` is after how many attempts that end so there is no other, whatever ``retry`` says, since it would
    end alike: then the delivery is in doubt.
    """

    most_attempts: int | None = None

    def __init__(self, text: str, *, most_attempts: int | None = None) -> None:
        super().__init__(text)
        self.most_attempts = most_attempts
