"""Renders deliveries that take too long for the event loop in another process or thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import tzinfo

from gateway.config.loaded import Webservice
from gateway.delivery.preparing.prepare import Apart, Job, Prepared, finish, is_refused
from gateway.delivery.settle import Attempted, Result
from gateway.errors import GatewayError
from gateway.records.fetcher import Records
from gateway.records.single_flight import Aside
from gateway.retry import Deferred
from gateway.store.engine.transaction_time import SECOND
from gateway.templates.render_pool import NotNow, RenderPool
from gateway.templates.rendering import Refused

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


async def will_not_be_sent(
    renders: RenderPool,
    job: Job,
    webservice: Webservice | None,
    *,
    timezone: tzinfo,
    aside: Aside,
    now: Callable[[], int],
) -> bool:
    """Tell whether nothing will be sent, as a ``when`` is false or cannot be judged.

    Raises:
        Deferred: that cannot be told now.
    """
    refused = is_refused(job, webservice, timezone=timezone)
    if isinstance(refused, bool):
        return refused
    task = refused
    try:
        with aside():
            return await renders.work_off(task, lambda done: isinstance(done, Refused))
    except NotNow as error:
        raise Deferred(now() + int(AGAIN_AFTER * SECOND), str(error)) from None
    except GatewayError:
        return True


async def seen_in(job: Job) -> Records:
    """Return the records of a delivery with what is known of their attachments."""
    if job.records.are_large:
        return await asyncio.to_thread(job.attached.seen_in, job.records)
    return job.attached.seen_in(job.records)
