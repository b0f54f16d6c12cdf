"""Pipelines for tests: put together on the parts of a test, without a worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gateway.config.loaded import DestinationEntry
from gateway.delivery.attempts.sender import Sender
from gateway.delivery.backpressure import Backpressure
from gateway.delivery.flow import FlowControl
from gateway.delivery.ledger import Ledger
from gateway.delivery.pipeline import OnSettled, Pipeline
from gateway.delivery.preparing.renderer import Renderer
from gateway.log import Mask
from gateway.poller import Poller
from gateway.templates.render_pool import RenderPool
from tests.support.parts import Parts


class Deaf:
    """Hears of receipts and results, and forgets them."""

    def delivered(self, job: Any, receipt: Any) -> None:
        """Hear of a receipt."""

    def note(self, entry: Any, breaker: Any, results: Sequence[Any]) -> None:
        """Hear of results."""


class WatchedPoller(Poller):
    """Tells when it is woken."""

    def __init__(self, parts: Parts, on_wake: Callable[[], None]) -> None:
        super().__init__(parts.store.now)
        self.on_wake = on_wake

    def wake(self) -> None:
        """Wake, and tell."""
        self.on_wake()
        super().wake()


def flow_of(parts: Parts, on_wake: Callable[[], None] = lambda: None) -> FlowControl:
    """Return a flow control that tells when it has the store looked at."""
    return FlowControl(WatchedPoller(parts, on_wake), Backpressure())


def make_pipeline(
    parts: Parts,
    entry: DestinationEntry | None = None,
    *,
    mask: Mask | None = None,
    flow: FlowControl | None = None,
    on_settled: OnSettled = lambda *_: None,
    renders: RenderPool | None = None,
) -> Pipeline:
    """Return the pipeline of a destination; left out: the one of the tests' routes."""
    entry = entry or parts.active.routes.destinations["table"]
    return Pipeline(
        entry,
        ledger=Ledger(parts.store),
        renderer=Renderer(parts.active, renders or RenderPool()),
        sender=Sender(entry, mask=mask or Mask(), receipts=Deaf(), results=Deaf()),
        flow=flow or flow_of(parts),
        on_settled=on_settled,
    )
