"""What passes between the queue and the worker: what is due, what begins, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.models import DeliveryState, Outcome, ReasonCode


@dataclass(slots=True, kw_only=True)
class Due:
    """A delivery at the head of a lane that is held."""

    id: int
    notification_id: int
    lane_id: int
    token: str
    lease_until: float
    """By this process' `time.monotonic`, from before the store's clock was asked: never later than in the store."""
    number: int
    route: str
    name: str
    destination: str
    delivery_key: str
    required: bool
    attempts: int = 0
    spent: int = 0
    """Microseconds that count towards giving up."""
    in_doubt: bool = False
    """An earlier attempt was begun and never settled."""
    deaths: int = 0
    """Processes that died in a row while they held it, as far as that has been counted."""
    alone: bool = False
    """It is tried apart from other suspects; with ``left_by``: it was, when that process died."""
    left_by: str | None = None
    """The token of a claim that was never given back: its process died, and that has not been counted yet."""
    rendered: bytes | None = None
    """What is sent, if it was rendered already."""


@dataclass(slots=True, kw_only=True)
class Begin:
    """An attempt that is about to be made; ``rendered`` the first time."""

    due: Due
    attempt_id: int
    rendered: bytes | None = None


@dataclass(slots=True, kw_only=True)
class Settlement:
    """What became of a delivery that was claimed; ``state`` pending means again at ``due_at``."""

    due: Due
    attempt_id: int | None
    """None: it ended, or was put off, before anything was sent."""
    state: DeliveryState
    due_at: int = 0
    counted: bool = True
    """Whether the attempt counts; if not, it is as if it had not been made."""
    spent: int = 0
    result: str = ""
    """A word for the history of attempts: unavailable, rejected, …"""
    reason: str | None = None
    code: ReasonCode | None = None
    """What the reason stands for, where something is decided by it."""
    subject: str | None = None
    """Which web service, account or way the code is about."""
    doubt: bool = False
    receipt: str | None = None
    blocks: bool = False
    """Dead in a strict lane: keeps its place at the head."""
    cut_short: bool = False
    """A process died while it held it: counts a death. Any other end of a try ends their row."""


@dataclass(slots=True, kw_only=True)
class Settled:
    """What the store made of a settlement."""

    accepted: bool
    """False: the lease was lost; whoever holds it now settles."""
    next: Due | None = None
    """The next delivery of the lane, still under the lease."""
    outcome: Outcome | None = None
    """The notification's, if this settlement brought it about."""
