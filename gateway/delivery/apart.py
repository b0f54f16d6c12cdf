"""Deliveries that need more work to be made ready than may be done in the event loop: made ready elsewhere."""

from __future__ import annotations

from gateway.delivery.prepare import Apart, Job, Prepared, finish
from gateway.delivery.settle import Attempted, Result
from gateway.errors import GatewayError
from gateway.routing.render_pool import NotNow, RenderPool
from gateway.routing.rendering import Refused, Task

AGAIN_AFTER = 5.0
"""Seconds after which a delivery that could not be rendered now is tried again."""


async def made_ready_apart(renders: RenderPool, job: Job, apart: Apart) -> Prepared | Attempted:
    """Return the delivery to send, or how it ended without being sent."""
    task = apart.task
    try:
        if task is None:
            return await renders.in_thread(lambda: finish(job, None))
        return await renders.work_off(task, lambda done: finish(job, done), is_much=apart.is_much)
    except NotNow as error:
        return Attempted(result=Result.PUT_OFF, reason=str(error), retry_after=AGAIN_AFTER)
    except GatewayError as error:
        return Attempted(result=Result.REJECTED, reason=str(error))


async def is_refused_apart(renders: RenderPool, task: Task) -> bool:
    """Tell whether nothing will be sent, as a ``when`` is false or cannot be judged.

    Raises:
        NotNow: that cannot be told now.
    """
    try:
        return await renders.work_off(task, lambda done: isinstance(done, Refused))
    except NotNow:
        raise
    except GatewayError:
        return True
