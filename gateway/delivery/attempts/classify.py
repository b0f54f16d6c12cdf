"""Classifies what a destination returned or raised; what no plugin may return is reported as its bug."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from gateway.delivery.attempts.receipts import plain_table, plain_text
from gateway.delivery.settle import Attempted, Result
from gateway.destinations.destination import Delivery, Destination
from gateway.destinations.faults import (
    RAISED,
    describe_fault,
    describe_type,
    is_ours,
    preview_of,
    shorten,
    text_of,
    traceback_of,
)
from gateway.destinations.limited import JUDGED_WITHIN, awaited_within
from gateway.errors import DeliveryError, Misconfigured, Rejected, Unavailable, Uncertain
from gateway.log import Mask
from gateway.models import Receipt

log = structlog.get_logger(__name__)

_REMEMBERED = 10_000
"""Deliveries whose attempts are counted."""
_REASON = 3900
"""Characters of a reason that are kept: the store keeps 4000, with what stands around it."""
_PREVIEW = 2000
"""Characters of what would have been sent that the receipt of a dry run shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """Names how attempts at one destination ended, and whose bug it was."""

    plugin: str
    destination: str
    mask: Mask
    alike: dict[str, int] = field(default_factory=dict, compare=False)
    """Delivery key -> its attempts that ended so that another would end alike."""

    def classify(self, result: object, delivery: Delivery[Any], duration: float) -> Attempted:
        """Return how an attempt ended that gave or raised ``result``, after so many seconds; never raises."""
        try:
            if isinstance(result, Receipt):
                receipt = self._receipt(result, delivery)
                return Attempted(result=Result.DELIVERED, receipt=receipt, duration=duration)
            if isinstance(result, DeliveryError):
                return self._error(result, delivery, duration)
        except RAISED as error:
            result = error
        if isinstance(result, BaseException):
            reason = self._bug(describe_fault(result), delivery, result)
        else:
            reason = self._bug(f"it returned {describe_type(result)} instead of a receipt", delivery)
        return Attempted(result=Result.UNCERTAIN, reason=reason, duration=duration)

    def hangs(self, deliveries: Sequence[Delivery[Any]], timeout: float) -> None:
        """Log that a plugin has not given deliveries back though their time limit is over."""
        log.error(
            "a delivery has no end though its time limit is over: a thread of the plugin hangs, or it ignores being "
            "cancelled; until then it takes a place. Mend the plugin, or tell its author",
            plugin=self.plugin,
            destination=self.destination,
            delivery_keys=[delivery.key for delivery in deliveries],
            limit=timeout,
        )

    def cancelled(self, deliveries: Sequence[Delivery[Any]]) -> list[Attempted]:
        """Return the end of deliveries whose task a plugin cancelled itself, by ``asyncio.current_task().cancel()``."""
        what = "it cancelled the task in which the gateway called it"
        return [Attempted(result=Result.UNCERTAIN, reason=self._bug(what, delivery)) for delivery in deliveries]

    async def dry_run(self, destination: Destination[Any, Any], delivery: Delivery[Any]) -> Attempted:
        """Return the end of a delivery of which only the preview is kept; never raises but for cancellation."""
        try:
            text = await awaited_within(JUDGED_WITHIN, "preview()", preview_of, destination, delivery)
            shown = plain_text(self.mask.text(text))
        except RAISED as error:
            if is_ours(error):
                raise
            reason = (
                f"dry run: nothing was sent, nor can it be shown. {self._bug(describe_fault(error), delivery, error)}"
            )
            return Attempted(result=Result.REJECTED, reason=reason)
        receipt = Receipt(summary="dry run: nothing was sent", details={"preview": shown[:_PREVIEW]})
        return Attempted(result=Result.DELIVERED, receipt=receipt)

    def _receipt(self, receipt: Receipt, delivery: Delivery[Any]) -> Receipt:
        """Return a receipt as it is kept: one that holds nonsense is no reason to doubt that it was sent."""
        try:
            if not isinstance(receipt.summary, str):
                raise TypeError(f"its summary is {describe_type(receipt.summary)} instead of a text")
            return Receipt(
                summary=self.mask.text(plain_text(receipt.summary)),
                details=self.mask.data(plain_table(receipt.details)),
                left_out=self.mask.data(_texts(receipt.left_out)) if receipt.left_out else {},
            )
        except RAISED as error:
            what = self._bug(f"its receipt cannot be kept: {describe_fault(error)}", delivery, error)
            return Receipt(summary=f"sent, without a proof: {what}")

    def _error(self, error: DeliveryError, delivery: Delivery[Any], duration: float) -> Attempted:
        reason = self.told(text_of(error) or type(error).__name__)
        match error:
            case Rejected():
                return Attempted(result=Result.REJECTED, reason=reason, duration=duration)
            case Unavailable():
                return Attempted(
                    result=Result.UNAVAILABLE,
                    reason=reason,
                    retry_after=self._seconds(error, delivery),
                    whole=self._whole(error, delivery),
                    duration=duration,
                )
            case Misconfigured():
                return Attempted(result=Result.MISCONFIGURED, reason=reason, duration=duration)
            case Uncertain(most_attempts=int(most)):
                ends_alike = self._ended_alike(delivery.key) >= most
                return Attempted(result=Result.UNCERTAIN, reason=reason, final=ends_alike, duration=duration)
        return Attempted(result=Result.UNCERTAIN, reason=reason, duration=duration)

    def _ended_alike(self, key: str) -> int:
        """Count an attempt that another would not mend; what this process does not remember begins anew."""
        if len(self.alike) >= _REMEMBERED:
            self.alike.clear()
        self.alike[key] = self.alike.get(key, 0) + 1
        return self.alike[key]

    def _seconds(self, error: Unavailable, delivery: Delivery[Any]) -> float | None:
        wish: object = None
        try:
            wish = error.retry_after
            if wish is None:
                return None
            if isinstance(wish, int | float) and math.isfinite(seconds := float(wish)) and seconds >= 0:
                return seconds
        except RAISED as fault:  # a number beyond all bounds, or an attribute that cannot be read
            wish = fault
        self._bug(f"its retry_after is {describe_type(wish)} instead of seconds", delivery)
        return None

    def _whole(self, error: Unavailable, delivery: Delivery[Any]) -> bool:
        try:
            return bool(error.whole)
        except RAISED as fault:
            self._bug(f"its `whole` cannot be read: {describe_fault(fault)}", delivery, fault)
            return False

    def told(self, text: str) -> str:
        """Return a text of the plugin as it is kept: masked first, then cut."""
        return shorten(self.mask.text(text), _REASON)

    def _bug(self, what: str, delivery: Delivery[Any], error: BaseException | None = None) -> str:
        """Log a bug of the plugin; returns it as the reason of the delivery."""
        text = self.told(what)
        log.error(
            "a bug of the plugin: mend it, or tell its author",
            plugin=self.plugin,
            destination=self.destination,
            notification=delivery.notification.key,
            delivery_key=delivery.key,
            error=text,
            exception=None if error is None else traceback_of(error),
        )
        return f"a bug of the plugin {self.plugin}: {text}"


def _texts(table: Mapping[Any, Any]) -> dict[str, str]:
    """Return what a receipt says of each question that was left out."""
    return {key: value if isinstance(value, str) else str(value) for key, value in plain_table(table).items()}
