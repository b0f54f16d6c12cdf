"""Prepares a delivery: evaluates ``when``, renders what is sent, or reads what was rendered before."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.attachments.attachment_set import NOTHING, AttachmentSet
from gateway.config.loaded import DeliverySpec, Route, Webservice
from gateway.delivery.preparing.own import own, own_when_read
from gateway.delivery.settle import Attempted, Result
from gateway.destinations.destination import Delivery
from gateway.destinations.faults import RAISED, describe_fault
from gateway.errors import GatewayError, TemplateError
from gateway.models import Event, Notification, Record, RecordKind
from gateway.records.fetcher import Records
from gateway.routing.active import missing_need
from gateway.store.work.queue import Due
from gateway.store.work.records import KeptNotification
from gateway.templates.compiled import Node
from gateway.templates.render import planned, unpin, validate_rendered
from gateway.templates.render_pool import work_off_apart
from gateway.templates.rendering import Refused, Rendered, Task, work_off_here
from gateway.templates.scope import build_scope, key_alone
from gateway.templates.template import mentions
from gateway.templates.work import TooMuchHere

LARGEST_HERE = 64 * 1024
"""Bytes of what was rendered before, up to which it is read in the event loop."""
_RECORDS = frozenset({"record", "submission", "dispatch"})


@dataclass(slots=True, kw_only=True)
class Job:
    """A delivery that this process holds, on its way."""

    due: Due
    kept: KeptNotification
    route: Route
    spec: DeliverySpec
    urgent: bool = False
    """A request waits for it."""
    records: Records = field(default_factory=Records)
    attached: AttachmentSet = NOTHING
    questions: frozenset[str] = frozenset()
    """What the form is known to ask, if the plugin wants to know."""
    ready: Prepared | Attempted | None = None
    """What was made of it elsewhere, as that took long."""


@dataclass(slots=True, kw_only=True)
class Prepared:
    """A delivery ready to be sent; ``rendered`` is set when it was rendered just now and must be kept."""

    delivery: Delivery[Any]
    rendered: bytes | None


@dataclass(slots=True, kw_only=True)
class Apart:
    """A delivery that needs more work to be made ready than may be done in the event loop."""

    task: Task | None
    """What is to be rendered; None: it was rendered before, and is only to be read."""
    is_much: bool = True
    """Whether rendering it is known to be too much; else it is its record that is large."""


def prepare(job: Job, webservice: Webservice | None, *, timezone: Any = UTC) -> Prepared | Attempted | Apart:
    """Return the delivery to send, or how it ended without being sent, or what is to be done for it elsewhere."""
    if job.ready is not None:
        return _still(job, job.ready)
    notification = job.kept.notification
    try:
        if job.due.rendered is not None:
            large = job.records.are_large or len(job.due.rendered) > LARGEST_HERE
            return Apart(task=None) if large else read_again(job, job.due.rendered)
        missing = missing_need(notification, job.spec.needs)
        if missing is not None and notification.event is not Event.DELETE:
            return Attempted(
                result=Result.REJECTED,
                reason=f"its templates need the {missing}, but the notification names no {missing}",
            )
        scope = scope_of(notification, webservice, job.route, job.records, attached=job.attached, timezone=timezone)
        task = Task(
            conditions=_conditions(job),
            plan=planned(job.spec.options.for_event(notification.event)),
            names=scope,
        )
        if job.records.are_large:
            return Apart(task=replace(task, names=_needed(task, scope)), is_much=False)
        try:
            return made_ready(job, work_off_here(task))
        except TooMuchHere:
            return Apart(task=replace(task, names=_needed(task, scope)))
    except GatewayError as error:
        return Attempted(result=Result.REJECTED, reason=str(error))
    except RAISED as error:
        return Attempted(
            result=Result.REJECTED, reason=f"a bug of the plugin: its options failed: {describe_fault(error)}"
        )


def prepare_here(job: Job, webservice: Webservice | None, *, timezone: Any = UTC) -> Prepared | Attempted:
    """Return the delivery to send, or how it ended; blocks as long as that takes, within the bounds."""
    ready = prepare(job, webservice, timezone=timezone)
    if not isinstance(ready, Apart):
        return ready
    if ready.task is None:
        return finish(job, None)
    try:
        return finish(job, work_off_apart(ready.task))
    except GatewayError as error:
        return Attempted(result=Result.REJECTED, reason=str(error))


def finish(job: Job, done: Refused | Rendered | None) -> Prepared | Attempted:
    """Return what came of a delivery that was rendered elsewhere; None: it was rendered before."""
    try:
        return read_again(job, job.due.rendered or b"{}") if done is None else made_ready(job, done)
    except GatewayError as error:
        return Attempted(result=Result.REJECTED, reason=str(error))
    except RAISED as error:
        return Attempted(
            result=Result.REJECTED, reason=f"a bug of the plugin: its options failed: {describe_fault(error)}"
        )


def made_ready(job: Job, done: Refused | Rendered) -> Prepared | Attempted:
    """Return the delivery of what was rendered."""
    if isinstance(done, Refused):
        return Attempted(result=Result.SKIPPED, reason=done.reason)
    return Prepared(delivery=_delivery(job, unpin(done.kept) if done.data is None else done.data), rendered=done.kept)


def _still(job: Job, ready: Prepared | Attempted) -> Prepared | Attempted:
    """Return what was made ready a while ago, with the whole time for the attempt."""
    if isinstance(ready, Attempted):
        return ready
    return replace(ready, delivery=replace(ready.delivery, deadline=_deadline(job)))


def _needed(task: Task, scope: dict[str, Any]) -> dict[str, Any]:
    """Return the scope without the answers of records that no template reads, which need not be sent elsewhere."""
    read = frozenset().union(*(mentions(condition) for condition, _ in task.conditions), mentions(task.plan))
    return {name: key_alone(name, value) if name in _RECORDS - read else value for name, value in scope.items()}


def read_again(job: Job, rendered: bytes) -> Prepared:
    """Return a delivery as it was rendered at its first attempt."""
    return Prepared(delivery=_again(job, rendered), rendered=None)


def _again(job: Job, rendered: bytes) -> Delivery[Any]:
    """Return the delivery as it was rendered at its first attempt; a plugin upgraded meanwhile may not take that."""
    try:
        return _delivery(job, unpin(rendered))
    except TemplateError as error:
        raise TemplateError(
            f"it was rendered before the plugin of the destination {job.spec.destination} was changed, and does not "
            f"fit it any more: {error}. A replay renders it anew"
        ) from None


def is_refused(job: Job, webservice: Webservice | None, *, timezone: Any = UTC) -> bool | Task:
    """Tell whether nothing will be sent, because a ``when`` is false or cannot be judged; `prepare` says why.

    One that reads the attachments can only be judged when they are there. A task is returned where judging needs more
    work than may be done here.
    """
    reads_attachments = "attachments" in mentions(job.route.when) | mentions(job.spec.when)
    if job.due.rendered is not None or reads_attachments:
        return False
    scope = scope_of(job.kept.notification, webservice, job.route, job.records, timezone=timezone)
    task = Task(conditions=_conditions(job), plan=None, names=scope)
    try:
        return isinstance(work_off_here(task), Refused)
    except TooMuchHere:
        return task
    except GatewayError:
        return True


def scope_of(
    notification: Notification,
    webservice: Webservice | None,
    route: Route,
    records: Records,
    *,
    attached: AttachmentSet = NOTHING,
    timezone: Any = UTC,
) -> dict[str, Any]:
    """Return the names that the templates of a delivery see."""
    by_kind = records.by_kind
    return build_scope(
        notification=notification,
        webservice=webservice,
        route=route.name,
        record=records.record,
        submission=by_kind.get(RecordKind.SUBMISSION),
        dispatch=by_kind.get(RecordKind.DISPATCH),
        attachments=attached.attachments,
        timezone=timezone,
    )


def _conditions(job: Job) -> tuple[tuple[Node, str], ...]:
    """Return what must hold for something to be sent, and what is told where it does not."""
    both = (
        (job.route.when, f"`when` of the route {job.route.name} is false for this record"),
        (job.spec.when, "its `when` is false for this record"),
    )
    unknown = job.kept.notification.event is Event.DELETE and not job.records.known
    return tuple(
        (when, reason)
        for when, reason in both
        # A delete of a record that was never seen: rather one delete too many.
        if isinstance(when, Node) and not (unknown and mentions(when) & _RECORDS)
    )


def _delivery(job: Job, data: dict[str, Any]) -> Delivery[Any]:
    notification = job.kept.notification
    record = job.records.record
    if record is None and notification.record_kind is not None and notification.record_key is not None:
        record = Record(kind=notification.record_kind, key=notification.record_key)
    return Delivery(
        options=validate_rendered(type(job.spec.options), data),
        key=job.due.delivery_key,
        number=job.due.number,
        attempt=job.due.attempts + 1,
        deadline=_deadline(job),
        event=notification.event,
        notification=notification,
        record=None if record is None else own(record) if job.records.are_large else own_when_read(record),
        attachments=job.attached.attachments,
        questions=job.questions,
    )


def _deadline(job: Job) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=job.spec.timeout)
