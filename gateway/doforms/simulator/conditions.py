"""What the simulated doForms is like for as long as somebody says so: its limits, its clocks, its post."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from typing import Any

_WINDOWS = ("fixed", "sliding")
_RETRY_AFTER = ("seconds", "date", "none")
_SHARES = ("lost", "twice", "late")
_DURATIONS = ("latency", "late_by", "unreadable")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLimit:
    """How many calls the web services of one account may make together; what is over is answered 429."""

    a_minute: int = 600
    """Calls that were refused do not count."""
    in_flight: int = 4
    """Calls under way at the same time."""
    window: str = "fixed"
    """``fixed``: the count begins anew with each minute of the clock. ``sliding``: the last 60 seconds count."""
    retry_after: str = "seconds"
    """How the answer says when to come again: ``seconds``, ``date``, or ``none``: it does not."""
    minute: float = 60.0
    """Seconds that a minute lasts: shorter ones make short tests."""

    def __post_init__(self) -> None:
        _whole(self, "a_minute", "in_flight")
        _one_of("window", self.window, _WINDOWS)
        _one_of("retry_after", self.retry_after, _RETRY_AFTER)
        if _number("minute", self.minute) <= 0:
            raise ValueError(f"`minute` is {self.minute}: give the seconds that it lasts, more than 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """How many reads a web service may make between two midnights UTC; what is over is answered by a text."""

    calls: int = 1000
    status: int = 200
    """The older API said it with 200."""
    text: str = "Daily web service quota exceeded."

    def __post_init__(self) -> None:
        _whole(self, "calls")
        if not isinstance(self.status, int) or not 200 <= self.status <= 599:
            raise ValueError(f"`status` is {self.status!r}: give 200 to 599")


_PARTS: dict[str, type[AccountLimit] | type[Quota]] = {"limit": AccountLimit, "quota": Quota}


@dataclass(slots=True, kw_only=True)
class Conditions:
    """The conditions; as they are made, doForms is well and has no limits. Times are in seconds."""

    limit: AccountLimit | None = None
    quota: Quota | None = None
    latency: float = 0.0
    """What each call takes at least."""
    unreadable: float | None = 0.0
    """How long a new record cannot be read by its key, only by its id; None: never."""
    created_off: float = 0.0
    """By how much the clock is ahead that writes a notification's ``createTime``."""
    received_off: float = 0.0
    """By how much the clock is ahead that writes when a record was received."""
    lost: float = 0.0
    """The share of notifications, 0 to 1, that are never sent."""
    twice: float = 0.0
    """The share that is sent twice at once."""
    late: float = 0.0
    """The share that is sent ``late_by`` seconds later, so that those after it overtake it."""
    late_by: float = 2.0

    def change(self, **given: Any) -> None:
        """Change the conditions that are named, all or none of them.

        A limit and a quota can be given as a dict too.

        Raises:
            ValueError: one is not known, or cannot be what was given.
        """
        known = {one.name for one in fields(self)}
        if unknown := given.keys() - known:
            raise ValueError(f"not known here: {', '.join(sorted(unknown))}. Known: {', '.join(sorted(known))}")
        for name, value in {name: _read(name, value) for name, value in given.items()}.items():
            setattr(self, name, value)

    def reset(self) -> None:
        """Be well again, and without limits."""
        fresh = Conditions()
        for one in fields(self):
            setattr(self, one.name, getattr(fresh, one.name))

    def told(self) -> dict[str, Any]:
        """Return all conditions as JSON has them."""
        return asdict(self)

    def unusual(self) -> dict[str, Any]:
        """Return the conditions that are not as they are made."""
        made = Conditions().told()
        return {name: value for name, value in self.told().items() if value != made[name]}


def _read(name: str, value: Any) -> Any:
    if name in _PARTS:
        return _part(name, value)
    if name == "unreadable" and value is None:
        return None
    number = _number(name, value)
    if name in _SHARES and not 0 <= number <= 1:
        raise ValueError(f"`{name}` is {number:g}: give a share from 0 to 1")
    if name in _DURATIONS and number < 0:
        raise ValueError(f"`{name}` is {number:g}: give seconds, 0 or more")
    return number


def _part(name: str, value: Any) -> Any:
    part = _PARTS[name]
    if value is None or isinstance(value, part):
        return value
    if not isinstance(value, dict):
        raise ValueError(f"`{name}` cannot be {value!r}: give an object, or null for none")  # noqa: TRY004
    try:
        return part(**value)
    except TypeError:
        known = ", ".join(one.name for one in fields(part))
        raise ValueError(f"`{name}` knows {known}; given: {', '.join(value)}") from None


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError(f"`{name}` cannot be {value!r}: give a number")  # noqa: TRY004  all mistakes are told alike
    return float(value)


def _whole(of: Any, *names: str) -> None:
    for name in names:
        value = getattr(of, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"`{name}` is {value!r}: give a whole number, 1 or more")


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"`{name}` is {value!r}: give {', '.join(allowed[:-1])} or {allowed[-1]}")
