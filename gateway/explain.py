"""Explains a notification: which routes match and why, the mode, and what each delivery would send."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gateway.config.loaded import DeliverySpec, DestinationEntry, Plan, Route, Routes, Webservice
from gateway.delivery.preparing.prepare import Job, Prepared, prepare_here
from gateway.delivery.settle import Result
from gateway.destinations.faults import RAISED, describe_fault, preview_of
from gateway.destinations.limited import JUDGED_WITHIN, within
from gateway.doforms.download import ANY
from gateway.doforms.record_attachments import Blob, find_blobs
from gateway.drift.ambiguity import InSeveralPlaces, in_several_places
from gateway.drift.mismatch import NotInRecord, not_asked_for, not_in_record
from gateway.drift.usage import Mappings, mappings
from gateway.intake.lanes import delivery_key
from gateway.intake.plan import account_of
from gateway.models import Attachment, Event, FetchState, Notification, Record, RecordKind
from gateway.records.fetcher import Records
from gateway.routing.match import plan, route_matches
from gateway.store.work.queue import Due
from gateway.store.work.records import KeptNotification


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteExplained:
    """A route and whether it takes the notification."""

    route: str
    matches: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryExplained:
    """A delivery and what would be sent."""

    route: str
    delivery: str
    destination: str
    required: bool
    result: str
    """``sent``, ``dry run``, ``skipped``, ``dead`` or ``unknown`` (the record was not given)."""
    reason: str | None = None
    preview: str | None = None
    attachments: tuple[str, ...] = ()
    """Where those stand in the record that would be downloaded for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What would become of a notification."""

    notification: str
    event: str
    record_key: str | None
    webservice: str | None
    webservice_id: str
    form: str | None
    project: str | None
    account: str
    routes: tuple[RouteExplained, ...]
    mode: str
    why: str
    fetches: tuple[str, ...]
    """The records that would be fetched."""
    deliveries: tuple[DeliveryExplained, ...]
    not_asked_for: tuple[str, ...]
    """Questions of the record, by their paths, that deliveries which pick questions one by one do not ask for."""
    not_in_record: tuple[NotInRecord, ...]
    """Questions that templates ask for, and that the record does not have."""
    in_several_places: tuple[InSeveralPlaces, ...]
    """Names that templates ask for, and that stand in several places of the form."""


def explain(
    routes: Routes,
    notification: Notification,
    record: Record | None,
    brought: Mapping[RecordKind, Mapping[str, str]] = MappingProxyType({}),
) -> Explanation:
    """Explain a notification; ``record`` is the record it speaks of, if there is one to look at. Nothing is sent.

    ``brought`` are the questions of the form that other records have brought, by path, each with the kind of its value.
    """
    webservice = routes.webservices.get(notification.webservice_id)
    if webservice is None:
        why = f"its web service is not in the routes file: unmatched = {routes.unmatched.value!r} decides"
        return _explanation(notification, None, account_of(notification.webservice_id), mode="unmatched", why=why)
    decided = plan(routes, webservice, notification.event)
    judged = [(route.name, *route_matches(route, webservice, notification.event)) for route in routes.routes]
    needs = frozenset().union(*(spec.needs for spec in decided.deliveries))
    deleted = notification.event is Event.DELETE
    asked = (
        Mappings() if record is None or deleted else mappings(routes, webservice, record.kind, event=notification.event)
    )
    several = () if deleted else _in_several_places(routes, webservice, notification, record, brought)
    return _explanation(
        notification,
        webservice,
        webservice.account,
        mode=decided.mode.value if decided.routes else "unmatched",
        why=decided.reason if decided.routes else f"no route matches: unmatched = {routes.unmatched.value!r} decides",
        routes=tuple(RouteExplained(route=name, matches=matches, why=why) for name, matches, why in judged),
        fetches=() if deleted else tuple(sorted(needs)),
        deliveries=tuple(
            _delivery(routes, route, spec, notification, webservice, record) for route, spec in _pairs(decided)
        ),
        not_asked_for=() if record is None else not_asked_for(record.kinds, asked),
        not_in_record=() if record is None else not_in_record(record.kinds, asked),
        in_several_places=several,
    )


def _in_several_places(
    routes: Routes,
    webservice: Webservice,
    notification: Notification,
    record: Record | None,
    brought: Mapping[RecordKind, Mapping[str, str]],
) -> tuple[InSeveralPlaces, ...]:
    found: list[InSeveralPlaces] = []
    for kind in RecordKind:
        here = record.kinds if record is not None and record.kind is kind else {}
        event = notification.event if kind is (notification.record_kind or RecordKind.SUBMISSION) else None
        found += in_several_places({**brought.get(kind, {}), **here}, mappings(routes, webservice, kind, event=event))
    return tuple(dict.fromkeys(found))


def _pairs(decided: Plan) -> list[tuple[Route, DeliverySpec]]:
    return [(route, spec) for route in decided.routes for spec in route.deliveries]


def _explanation(
    notification: Notification, webservice: Webservice | None, account: str, *, mode: str, why: str, **more: Any
) -> Explanation:
    return Explanation(
        notification=notification.key,
        event=notification.event.value,
        record_key=notification.record_key,
        webservice=None if webservice is None else webservice.name,
        webservice_id=notification.webservice_id,
        form=None if webservice is None else webservice.form,
        project=None if webservice is None else webservice.project,
        account=account,
        mode=mode,
        why=why,
        **dict.fromkeys(("routes", "fetches", "deliveries", "not_asked_for", "not_in_record", "in_several_places"), ())
        | more,
    )


def _delivery(
    routes: Routes,
    route: Route,
    spec: DeliverySpec,
    notification: Notification,
    webservice: Webservice,
    record: Record | None,
) -> DeliveryExplained:
    blobs = find_blobs(record) if spec.attachments and record is not None else []
    wanted = tuple(place for blob in blobs for place in blob.places)

    def told(result: str, reason: str | None = None, preview: str | None = None) -> DeliveryExplained:
        return DeliveryExplained(
            route=route.name,
            delivery=spec.name,
            destination=spec.destination,
            required=spec.required,
            result=result,
            reason=reason,
            preview=preview,
            attachments=wanted if result in ("sent", "dry run", "waits") else (),
        )

    if spec.needs and record is None and notification.record_key and notification.event is not Event.DELETE:
        return told("unknown", f"it needs the {' and the '.join(sorted(spec.needs))}: give it with --record FILE")
    records = Records(
        record=record,
        by_kind={} if record is None else {record.kind: record},
        known=record is not None,
    )
    job = Job(due=_due(notification, spec), kept=_kept(notification, webservice), route=route, spec=spec)
    job.records = records
    ready = prepare_here(job, webservice, timezone=routes.timezone)
    if not isinstance(ready, Prepared):
        return told("skipped" if ready.result is Result.SKIPPED else "dead", ready.reason)
    entry = routes.destinations[spec.destination]
    if not entry.enabled:
        return told("waits", "the destination is switched off", _preview(entry, ready, blobs))
    return told("dry run" if spec.dry_run else "sent", None, _preview(entry, ready, blobs))


def _preview(entry: DestinationEntry, ready: Prepared, blobs: Sequence[Blob]) -> str:
    stand_ins = tuple(_stand_in(place, blob) for blob in blobs for place in blob.places)
    try:
        delivery = replace(ready.delivery, attachments=stand_ins)
        return within(JUDGED_WITHIN, "preview()", preview_of, entry.instance, delivery)
    except RAISED as error:
        return f"it cannot be shown, by a bug of the plugin {entry.plugin}: {describe_fault(error)}"


def _stand_in(place: str, blob: Blob) -> Attachment:
    """Return an attachment as if it had been downloaded, so that a preview shows which of them would be sent."""
    return Attachment(
        place=place,
        key=blob.key,
        filename=blob.filename,
        content_type=blob.content_type or ANY,
        size=0,
        sha256="",
        path=Path(os.devnull),
    )


def _due(notification: Notification, spec: DeliverySpec) -> Due:
    return Due(
        id=0,
        notification_id=0,
        lane_id=0,
        token="",  # nosec B106
        lease_until=0,
        number=0,
        route=spec.route,
        name=spec.name,
        destination=spec.destination,
        delivery_key=delivery_key(notification, spec.route, spec.name),
        required=spec.required,
    )


def _kept(notification: Notification, webservice: Webservice) -> KeptNotification:
    return KeptNotification(
        id=0,
        notification=notification,
        account=webservice.account,
        webservice=webservice.name,
        fetch_state=FetchState.NONE,
    )
