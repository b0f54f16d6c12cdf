"""Decides what follows an attempt: delivered, again, or dead. Pure: no clock, no store, no randomness of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum

from gateway.attachments.attachment_set import AttachmentSet
from gateway.config.loaded import DeliverySpec
from gateway.models import DeliveryState, OnDoubt, Order, ReasonCode, Receipt, Repeatable
from gateway.retry import Deferred, GivenUp, next_attempt
from gateway.store.engine.sanitize import clean
from gateway.store.engine.transaction_time import SECOND, micros
from gateway.store.work.queue import Due, Settlement

_LARGEST_RECEIPT = 4096
_CUT = {"cut": "the receipt was over 4 kB"}
_RECEIPT = json.JSONEncoder(default=str)


class Result(StrEnum):
    """How an attempt ended."""

    DELIVERED = "delivered"
    """There is a receipt."""
    SKIPPED = "skipped"
    """``when`` was false; nothing was tried."""
    REJECTED = "rejected"
    """Never."""
    UNAVAILABLE = "unavailable"
    """Later; nothing was sent."""
    MISCONFIGURED = "misconfigured"
    """Later, once a person has mended the destination; nothing was sent."""
    UNCERTAIN = "uncertain"
    """It may have happened."""
    PUT_OFF = "put off"
    """Nothing was tried: what it needs is not there yet."""


@dataclass(slots=True, kw_only=True)
class Attempted:
    """The end of an attempt."""

    result: Result
    receipt: Receipt | None = None
    reason: str | None = None
    code: ReasonCode | None = None
    """What the reason stands for, where something is decided by it; `subject` says which one."""
    subject: str | None = None
    retry_after: float | None = None
    whole: bool = False
    """The destination as a whole is down."""
    final: bool = False
    """An attempt of unknown end that is followed by no other, since so many have ended alike."""
    duration: float = 0.0
    """Seconds."""


def unsent(why: Deferred | GivenUp, moment: int) -> Attempted:
    """Return the end of an attempt that was not made, because something that it needs is not there."""
    if isinstance(why, GivenUp):
        return Attempted(result=Result.REJECTED, reason=str(why), code=why.code)
    wait = max(0.0, (why.until - moment) / SECOND)
    return Attempted(result=Result.PUT_OFF, reason=str(why), code=why.code, subject=why.subject, retry_after=wait)


def telling_missing(attempted: Attempted, attached: AttachmentSet) -> Attempted:
    """Return the end of an attempt whose receipt tells which attachments it went without."""
    if attempted.receipt is None or not attached.missing:
        return attempted
    return replace(attempted, receipt=attached.told_by(attempted.receipt), code=ReasonCode.ATTACHMENT_MISSING)


def settlement_of(
    due: Due, spec: DeliverySpec, attempted: Attempted, *, attempt_id: int | None, moment: int, jitter: float
) -> Settlement:
    """Return what becomes of a delivery; ``moment`` is the store's time."""
    match attempted.result:
        case Result.DELIVERED:
            assert attempted.receipt is not None
            return Settlement(
                due=due,
                attempt_id=attempt_id,
                state=DeliveryState.DELIVERED,
                code=attempted.code,
                receipt=receipt_json(attempted.receipt),
            )
        case Result.SKIPPED:
            return Settlement(due=due, attempt_id=None, state=DeliveryState.SKIPPED, reason=attempted.reason)
        case Result.REJECTED:
            return _dead(due, spec, attempted, attempt_id, attempted.reason or "rejected")
        case Result.UNCERTAIN if not may_repeat(spec):
            return _dead(due, spec, attempted, attempt_id, f"in doubt: {attempted.reason}", doubt=True)
        case Result.UNCERTAIN if attempted.final:
            reason = f"in doubt: given up, since its attempts end alike: {attempted.reason}"
            return _dead(due, spec, attempted, attempt_id, reason, doubt=True)
        case Result.MISCONFIGURED | Result.PUT_OFF:
            return _again(due, attempted, attempt_id, moment + micros(attempted.retry_after or 0), counted=False)
        case Result.UNAVAILABLE if attempted.whole:
            return _again(due, attempted, attempt_id, moment, counted=False)
        case _:
            return _retry(due, spec, attempted, attempt_id, moment, jitter)


def may_repeat(spec: DeliverySpec) -> bool:
    """Tell whether an attempt of unknown end may be followed by another."""
    return spec.traits.repeatable is not Repeatable.NO or spec.on_doubt is OnDoubt.RETRY


def receipt_json(receipt: Receipt) -> str:
    """Return a receipt as the store keeps it: at most 4 kB of JSON, without what a text column refuses."""
    summary, details = receipt.summary, dict(receipt.details)
    while len(body := _RECEIPT.encode({"summary": summary, "details": details})) > _LARGEST_RECEIPT:
        if details == _CUT:
            summary = summary[: len(summary) // 2]  # what is not ASCII takes six characters each, or twelve
        details = _CUT
    return body.replace("\\u0000", "\\ufffd")


def _retry(
    due: Due, spec: DeliverySpec, attempted: Attempted, attempt_id: int | None, moment: int, jitter: float
) -> Settlement:
    spent = due.spent / SECOND + attempted.duration
    following = next_attempt(spec.retry, attempts=due.attempts, spent=spent, jitter=jitter, wish=attempted.retry_after)
    if following.verdict:
        reason = f"{following.verdict}: {attempted.reason}"
        return _dead(due, spec, attempted, attempt_id, reason, code=ReasonCode.GIVEN_UP)
    return _again(
        due,
        attempted,
        attempt_id,
        moment + micros(following.wait),
        counted=True,
        spent=micros(following.wait + attempted.duration),
    )


def _again(
    due: Due, attempted: Attempted, attempt_id: int | None, at: int, *, counted: bool, spent: int = 0
) -> Settlement:
    return Settlement(
        due=due,
        attempt_id=attempt_id,
        state=DeliveryState.PENDING,
        due_at=at,
        counted=counted,
        spent=spent,
        result="" if attempted.result is Result.PUT_OFF else attempted.result.value,
        reason=clean(attempted.reason or ""),
        code=attempted.code,
        subject=attempted.subject,
    )


def _dead(
    due: Due,
    spec: DeliverySpec,
    attempted: Attempted,
    attempt_id: int | None,
    reason: str,
    *,
    code: ReasonCode | None = None,
    doubt: bool = False,
) -> Settlement:
    return Settlement(
        due=due,
        attempt_id=attempt_id,
        state=DeliveryState.DEAD,
        result=attempted.result.value,
        reason=clean(reason),
        code=code or attempted.code,
        doubt=doubt,
        blocks=spec.order is Order.STRICT,
    )
