"""The contract of a destination plugin."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic, ParamSpec, Protocol, TypeAlias, TypeVar

from gateway.destinations.options import Options, Settings
from gateway.errors import DeliveryError
from gateway.models import Attachment, Event, Notification, Receipt, Record, Repeatable

if TYPE_CHECKING:
    import httpx  # takes as long to import as all that most commands need

API_VERSION = 1
"""The version of this contract; a plugin built for another one is refused at start."""

_NEEDS = frozenset({"record", "submission", "dispatch", "attachments"})

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=Settings)
O = TypeVar("O", bound=Options)  # noqa: E741


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What the core must know of a kind of delivery before there is a record."""

    expected_latency: float = 0.5
    """Seconds that a delivery usually takes; decides between immediate and delayed mode."""
    repeatable: Repeatable = Repeatable.NO
    """Whether an attempt of unknown end may be repeated."""
    needs: frozenset[str] = frozenset()
    """What to fetch though no template mentions it: any of ``record``, ``submission``, ``dispatch``, ``attachments``.

    With ``attachments`` in it, a delivery that does not ask for attachments is a mistake in the routes file.
    """

    questions: bool = False
    """Whether `Delivery.questions` is asked for, which takes a look into the store; only with ``record`` in `needs`."""

    def __post_init__(self) -> None:
        """Raise ValueError or TypeError where a value means nothing to the core."""
        if not (isinstance(self.expected_latency, int | float) and 0 <= self.expected_latency < math.inf):
            raise TypeError(f"expected_latency is {self.expected_latency!r} instead of seconds, such as 0.5")
        object.__setattr__(self, "repeatable", Repeatable(self.repeatable))
        if isinstance(self.needs, str) or (unknown := frozenset(self.needs) - _NEEDS):
            what = self.needs if isinstance(self.needs, str) else ", ".join(map(repr, sorted(unknown)))
            raise ValueError(f"needs names {what}; it is a frozenset of any of {', '.join(sorted(_NEEDS))}")
        object.__setattr__(self, "needs", frozenset(self.needs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(Generic[O]):
    """One attempt of one delivery, as `Destination.deliver` gets it."""

    options: O
    """Rendered and validated."""
    key: str
    """The delivery key: the same in every attempt. Use it as idempotency key where the other side can tell."""
    number: int
    """Its number in its lane; rises with every later notification of the same record."""
    attempt: int
    """1 for the first attempt."""
    deadline: datetime
    """When the core takes the attempt for lost (aware, UTC)."""
    event: Event
    notification: Notification
    record: Record | None = None
    """The record this notification speaks of, if a template or `Traits.needs` asks for it; of a delete the last one."""
    attachments: tuple[Attachment, ...] = ()
    """Those of the record that are there, if the routes file asks for them: a file each, until `deliver` returns."""
    questions: frozenset[str] = frozenset()
    """If `Traits.questions` asks for it, the paths of all questions that the form is known to have, as in
    `Record.paths`: one that is not among these was not answered. None is known of a delete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something `Destination.review` or `Destination.check` found wrong."""

    where: str
    """The option or setting, e.g. ``columns.inspector``; empty for the destination as a whole."""
    found: str
    remedy: str
    error: bool = True
    """False for a mere warning."""
    use: Use[Any] | None = None
    """From `Destination.check`: the delivery that ``where`` is an option of; None: it is a setting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use(Generic[O]):
    """One loaded delivery that uses a destination, for `Destination.check`."""

    route: str
    delivery: str
    options: O
    """Unrendered: look at template fields with `gateway.api.peek`."""


class Logger(Protocol):
    """A structured logger: ``log.info("row written", table="inspections")``."""

    def debug(self, event: str, **values: Any) -> Any:
        """Log what only a developer needs."""
        ...

    def info(self, event: str, **values: Any) -> Any:
        """Log what happens in the course of things."""
        ...

    def warning(self, event: str, **values: Any) -> Any:
        """Log what somebody should look at one day."""
        ...

    def error(self, event: str, **values: Any) -> Any:
        """Log what somebody should look at now."""
        ...


class Context(Protocol):
    """What the core gives a destination."""

    name: str
    """The destination's name in the routes file."""
    log: Logger

    def clock(self) -> datetime:
        """Return the time, aware and UTC."""
        ...

    def http(self, **options: Any) -> httpx.AsyncClient:
        """Build an HTTP client that never repeats a request, follows no redirect and keeps no cookies.

        Of an answer it gives out at most 100,000 bytes of the body, unpacked, and no more than comes within 5 seconds
        of its status; ``client.stream`` gives all of it in pieces. ``options`` are those of `httpx.AsyncClient`, plus
        ``ca`` (path of a certificate authority's file), ``limit`` (more bytes) and ``proxy`` (the address of a proxy,
        or ``"env"``). The plugin closes it in `Destination.close`.
        """
        ...

    async def in_thread(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a blocking function in a thread. The core keeps the lease until it returns."""
        ...


class Destination(Generic[S, O]):
    """A kind of place that deliveries go to. Subclass it, and return the subclass from the hook.

    One instance is made for each ``[destinations.NAME]`` and process; `deliver` runs concurrently.

    >>> class Lamp(Destination["Lamp.Settings", "Lamp.Options"]):
    ...     name = "lamp"
    """

    name: ClassVar[str]
    """What ``plugin = "..."`` says in the routes file."""
    api_version: ClassVar[int] = API_VERSION
    Settings: ClassVar[type[Settings]] = Settings
    Options: ClassVar[type[Options]] = Options

    def __init__(self, settings: S, context: Context) -> None:
        """Keep what is needed; no I/O here."""
        self.settings = settings
        self.context = context

    def traits(self, options: O) -> Traits:
        """Tell what the core must know of deliveries with these (unrendered) options."""
        return Traits()

    def review(self, options: O) -> Sequence[Finding]:
        """Find what is wrong with these (unrendered) options at this destination, without I/O; run when loading."""
        return ()

    async def open(self) -> None:
        """Connect, if there is something to keep open. May raise `Unavailable`: it is tried again later."""

    async def close(self) -> None:
        """Let go of what `open` took."""

    async def deliver(self, delivery: Delivery[O]) -> Receipt:
        """Send once; never retry, never sleep.

        Raises:
            Rejected: this delivery can never work.
            Unavailable: nothing was sent; later.
            Misconfigured: nothing was sent; a person must mend the destination.
            Uncertain: it may have happened. Anything else raised counts as this too, and is logged as a bug.
        """
        raise NotImplementedError(f"{type(self).__name__} has no deliver()")

    async def deliver_many(self, deliveries: Sequence[Delivery[O]]) -> Sequence[Receipt | DeliveryError]:
        """Send several, at most one of each lane; one result for each, in order. The core looks for an override.

        Raising makes each of them `Uncertain`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no deliver_many()")

    def preview(self, delivery: Delivery[O]) -> str:
        """Show in text what would be sent, for ``gateway explain`` and ``dry_run``; no I/O, no secrets."""
        return delivery.options.model_dump_json(indent=2)

    async def check(self, uses: Sequence[Use[O]]) -> Sequence[Finding]:
        """Look whether the destination is there and fits these uses (``gateway check --connect``); change nothing."""
        return ()


AnyDestination: TypeAlias = Destination[Any, Any]
"""A destination of any kind: ``list[type[AnyDestination]]`` is what the hook returns."""
