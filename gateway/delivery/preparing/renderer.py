"""Renders a batch: says which deliveries go, which end unsent, and which are rendered elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.delivery.preparing.offload import made_ready_apart
from gateway.delivery.preparing.prepare import Apart, Job, Prepared, prepare
from gateway.delivery.settle import Attempted, Result, may_repeat
from gateway.routing.active import ActiveRoutes
from gateway.templates.render_pool import RenderPool

_CRASHED = "an earlier attempt was cut short by a crash"


@dataclass(slots=True)
class Batch:
    """What came of the deliveries of a batch."""

    ended: list[tuple[Job, Attempted, int | None]] = field(default_factory=list)
    """They end without being sent."""
    going: list[tuple[Job, Prepared, int]] = field(default_factory=list)
    """They are sent, each in an attempt with an id of its own."""
    heavy: list[tuple[Job, Apart]] = field(default_factory=list)
    """They are rendered elsewhere, and come again."""


class Renderer:
    """Renders by the routes in force."""

    def __init__(self, active: ActiveRoutes, renders: RenderPool) -> None:
        self._active = active
        self._renders = renders

    def render(self, jobs: Sequence[Job], attempt_id: Callable[[], int]) -> Batch:
        """Render what can be rendered in the event loop; ``attempt_id`` makes the id of an attempt."""
        batch = Batch()
        for job in jobs:
            if job.due.in_doubt and not may_repeat(job.spec):
                batch.ended.append((job, Attempted(result=Result.UNCERTAIN, reason=_CRASHED), None))
                continue
            webservice = self._active.webservice(job.kept.notification.webservice_id)
            ready = prepare(job, webservice, timezone=self._active.routes.timezone)
            if isinstance(ready, Attempted):
                batch.ended.append((job, ready, None))
            elif isinstance(ready, Apart):
                batch.heavy.append((job, ready))
            else:
                batch.going.append((job, ready, attempt_id()))
        return batch

    async def render_elsewhere(self, job: Job, task: Apart) -> None:
        """Render a delivery in another process or thread, so that it can go with the next batch."""
        job.ready = await made_ready_apart(self._renders, job, task)
