"""Preparing a delivery: judging ``when``, rendering what is sent or reading what was rendered before."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.delivery.attached import NOTHING, Attached
from gateway.delivery.current import missing_need
from gateway.delivery.fetch import Records
from gateway.delivery.settle import Attempted, Result
from gateway.destinations.destination import Delivery
from gateway.destinations.faults import RAISED, say_fault
from gateway.destinations.options import Unrendered
from gateway.errors import GatewayError, TemplateError
from gateway.models import Event, Notification, Record, RecordKind
from gateway.routing.loaded import DeliverySpec, Route, Webservice
from gateway.routing.render import pin, render, unpin, validate_rendered
from gateway.routing.scope import build_scope
from gateway.routing.templates import judge, mentions
from gateway.store.queue import Due
from gateway.store.records import KeptNotification

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
    attached: Attached = NOTHING
    questions: frozenset[str] = frozenset()
    """What the form is known to ask, if the plugin wants to know."""


@dataclass(slots=True, kw_only=True)
class Prepared:
    """A delivery ready to be sent; ``rendered`` is set when it was rendered just now and must be kept."""

    delivery: Delivery[Any]
    rendered: bytes | None


def prepare(job: Job, webservice: Webservice | None, *, timezone: Any = UTC) -> Prepared | Attempted:
    """Return the delivery to send, or how it ended without being sent."""
    notification = job.kept.notification
    try:
        if job.due.rendered is not None:
            return Prepared(delivery=_again(job, job.due.rendered), rendered=None)
        missing = missing_need(notification, job.spec.needs)
        if missing is not None and notification.event is not Event.DELETE:
            return Attempted(
                result=Result.REJECTED,
                reason=f"its templates need the {missing}, but the notification names no {missing}",
            )
        scope = scope_of(notification, webservice, job.route, job.records, attached=job.attached, timezone=timezone)
        if (refused := _refused_by(job, scope)) is not None:
            return Attempted(result=Result.SKIPPED, reason=refused)
        data = render(job.spec.options.for_event(notification.event), scope)
        return Prepared(delivery=_delivery(job, data), rendered=pin(data))
    except GatewayError as error:
        return Attempted(result=Result.REJECTED, reason=str(error))
    except RAISED as error:
        return Attempted(result=Result.REJECTED, reason=f"a bug of the plugin: its options failed: {say_fault(error)}")


def _again(job: Job, rendered: bytes) -> Delivery[Any]:
    """Return the delivery as it was rendered at its first attempt; a plugin upgraded meanwhile may not take that."""
    try:
        return _delivery(job, unpin(rendered))
    except TemplateError as error:
        raise TemplateError(
            f"it was rendered before the plugin of the destination {job.spec.destination} was changed, and does not "
            f"fit it any more: {error}. A replay renders it anew"
        ) from None


def is_refused(job: Job, webservice: Webservice | None, *, timezone: Any = UTC) -> bool:
    """Tell whether nothing will be sent, because a ``when`` is false or cannot be judged; `prepare` says why.

    One that reads the attachments can only be judged when they are there.
    """
    reads_attachments = "attachments" in mentions(job.route.when) | mentions(job.spec.when)
    if job.due.rendered is not None or reads_attachments:
        return False
    try:
        scope = scope_of(job.kept.notification, webservice, job.route, job.records, timezone=timezone)
        return _refused_by(job, scope) is not None
    except GatewayError:
        return True


def scope_of(
    notification: Notification,
    webservice: Webservice | None,
    route: Route,
    records: Records,
    *,
    attached: Attached = NOTHING,
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


def _refused_by(job: Job, scope: dict[str, Any]) -> str | None:
    """Tell which ``when`` is false, if one is."""
    if not _judged_true(job.route.when, job, scope):
        return f"`when` of the route {job.route.name} is false for this record"
    if not _judged_true(job.spec.when, job, scope):
        return "its `when` is false for this record"
    return None


def _judged_true(when: Unrendered | None, job: Job, scope: dict[str, Any]) -> bool:
    if when is None:
        return True
    unknown = job.kept.notification.event is Event.DELETE and not job.records.known
    if unknown and mentions(when) & _RECORDS:
        return True  # a delete of a record that was never seen: rather one delete too many
    return judge(when, scope)


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
        deadline=datetime.now(UTC) + timedelta(seconds=job.spec.timeout),
        event=notification.event,
        notification=notification,
        record=record,
        attachments=job.attached.attachments,
        questions=job.questions,
    )
