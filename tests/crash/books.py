"""The books: what must hold after every seed, each by a function that returns what is wrong, naming keys."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

from gateway.models import DeliveryState, Outcome, ReasonCode, ReportState
from tests.crash.effects import Row
from tests.crash.evidence import KILLER, Evidence, KeptDelivery, KeptNotification
from tests.crash.load import Sent
from tests.crash.plan import Kind
from tests.crash.routes import ATTEMPTS, LEASE, REFUSED, SKIPPED

IN_ORDER = (
    ("inspections", "entries"),
    ("inspections", "service"),
    ("orders", "strictly"),
    ("orders", "folder"),
    KILLER,
)
"""Deliveries of ``order = "record"`` and ``"strict"`` to destinations that know a delivery by its key."""
STRICT = ("orders", "strictly")
GUARDED = ("orders", "state")
NOT_REPEATABLE = ("notes", "plain")
AT_SERVICE = frozenset({("inspections", "service"), STRICT, ("notes", "loosely"), KILLER})

Key = TypeVar("Key")
Book = Callable[[Evidence], Iterable[str]]


def acknowledged_is_kept_once(of: Evidence) -> Iterator[str]:
    """Whatever was answered 2xx is in the store, once; and all was answered 2xx in the end."""
    rows = Counter(one.key for one in of.kept)
    for sent in of.sent:
        if not sent.acknowledged:
            yield f"{sent.key} was never acknowledged: {_answers(sent)}"
        elif rows[sent.key] != 1:
            yield f"{sent.key} was acknowledged, but is {rows[sent.key]} times in the store"


def kept_was_sent(of: Evidence) -> Iterator[str]:
    """Nothing is in the store that was not sent, and nothing twice."""
    keys = {sent.key for sent in of.sent}
    for key, count in Counter(one.key for one in of.kept).items():
        if key not in keys or count > 1:
            yield f"{key} is {count} times in the store and was {'sent' if key in keys else 'never sent'}"


def answers_are_known(of: Evidence) -> Iterator[str]:
    """A notification is answered 200 or 503, or the connection breaks."""
    for sent in of.sent:
        if any(answer.status not in (200, 503, None) for answer in sent.seen.answers):
            yield f"{sent.key} was answered {_answers(sent)}"


def notifications_add_up(of: Evidence) -> Iterator[str]:
    """Kept = settled + pending + unmatched."""
    for one in of.kept:
        settled, unmatched = one.outcome is not None, not one.matched
        pending = any(delivery.required and delivery.state is DeliveryState.PENDING for delivery in one.deliveries)
        if settled + pending + unmatched != 1:
            yield f"{one.key}: settled {settled}, pending {pending}, unmatched {unmatched}: exactly one should hold"


def routes_made_their_deliveries(of: Evidence) -> Iterator[str]:
    """Each notification has one delivery for each that its routes make."""
    forms = {sent.key: sent.form for sent in of.sent}
    for one in of.kept:
        made = sorted(delivery.where for delivery in one.deliveries)
        if one.key in forms and made != sorted(forms[one.key].makes):
            yield f"{one.key} has the deliveries {made}, its routes make {sorted(forms[one.key].makes)}"


def deliveries_add_up(of: Evidence) -> Iterator[str]:
    """Deliveries = delivered + skipped + dead + dropped + pending; pending only behind a dead one in a strict lane."""
    blocked = _blocked(of)
    for one in of.deliveries:
        if one.state is DeliveryState.PENDING and one.key not in blocked:
            yield f"{_name(one)} is pending, and no strict lane holds it up: {one.reason}"


def nobody_holds_anything(of: Evidence) -> Iterator[str]:
    """After an orderly end no lane is held and no attempt is without an end."""
    yield from (f"lane {lane} is still held" for lane in of.held_lanes)
    yield from (f"{_name(one)} has an attempt without an end" for one in of.deliveries if one.sending)


def the_store_is_whole(of: Evidence) -> Iterator[str]:
    """The store check finds nothing."""
    yield from of.inconsistencies


def delivered_has_happened(of: Evidence) -> Iterator[str]:
    """What is delivered is there; what is there is delivered, or dead in doubt."""
    for where, rows in of.effects.items():
        there = {row.notification for row in rows}
        for one in of.deliveries:
            if one.where != where:
                continue
            is_there = one.notification in there
            unknown = one.doubt or _died_with_others(of, one)
            if is_there != (one.state is DeliveryState.DELIVERED) and not unknown:
                yield f"{_name(one)} is {one.state}, but {'it happened' if is_there else 'nothing happened'}"


def nothing_happened_twice(of: Evidence) -> Iterator[str]:
    """No delivery has two effects, where a key tells them apart and where nothing does (there: dead in doubt)."""
    if of.keyless:
        yield f"{of.keyless} requests came without an Idempotency-Key"
    for where, rows in of.effects.items():
        for notification, count in Counter(row.notification for row in rows).items():
            if count > 1:
                yield f"{_at(where)}: {notification} happened {count} times"


def effects_carry_the_delivery_key(of: Evidence) -> Iterator[str]:
    """The key at the destination is that of the delivery in the store."""
    keys = {(one.where, one.notification): one.key for one in of.deliveries}
    for where, rows in of.effects.items():
        for row in rows:
            if row.key is not None and row.key != keys.get((where, row.notification)):
                yield f"{_at(where)}: {row.notification} came under another key: {row.key}"


def retries_sent_the_same(of: Evidence) -> Iterator[str]:
    """What is sent again under one key is what was sent first."""
    for call in of.calls:
        if len(set(call.bodies)) > 1:
            yield f"{call.path}: {call.notification} was sent with different bodies under one key"


def records_were_no_older(of: Evidence) -> Iterator[str]:
    """What was written of a record is no older than the notification."""
    turns = _turns(of)
    for where, rows in [*of.effects.items(), (GUARDED, of.state)]:
        for row in rows:
            if row.notification in turns and row.seq < turns[row.notification]:
                yield f"{_at(where)}: {row.notification} wrote the record as it was {row.seq} edits ago"


def lanes_kept_their_order(of: Evidence) -> Iterator[str]:
    """What a record's notifications did happened in the order in which they were kept."""
    turns = _turns(of)
    for where in IN_ORDER:
        for record, rows in _grouped(of.effects[where], lambda row: row.record).items():
            yield from _falls(rows, turns, f"{_at(where)}, {record}")


def numbers_rise_in_a_lane(of: Evidence) -> Iterator[str]:
    """The lane numbers of a record's deliveries rise in the order in which they were kept, and none comes twice."""
    turns = _turns(of)
    for (where, record), group in _grouped(of.deliveries, lambda one: (one.where, one.record)).items():
        ordered = sorted((one for one in group if one.notification in turns), key=lambda one: turns[one.notification])
        for before, after in pairwise(ordered):
            if after.number <= before.number and after.notification != before.notification:
                yield f"{_at(where)}, {record}: {after.notification} has a lower number than {before.notification}"
    for (lane, number), group in _grouped(of.deliveries, lambda one: (one.lane, one.number)).items():
        if len(group) > 1:
            yield f"lane {lane} has the number {number} for {', '.join(map(_name, group))}"


def strict_lanes_stopped(of: Evidence) -> Iterator[str]:
    """Behind a dead delivery in a strict lane nothing is tried."""
    blocked = _blocked(of)
    for one in of.deliveries:
        if one.key in blocked and one.state is not DeliveryState.PENDING:
            yield f"{_name(one)} is {one.state} behind a dead delivery of its strict lane"


def guarded_rows_are_the_newest(of: Evidence) -> Iterator[str]:
    """A guarded row is that of the delivered notification with the highest number."""
    rows = {row.record: row for row in of.state}
    delivered = [one for one in of.deliveries if one.where == GUARDED and one.state is DeliveryState.DELIVERED]
    for record, group in _grouped(delivered, lambda one: one.record).items():
        newest = max(group, key=lambda one: one.number)
        row = rows.get(record)
        if row is None or (row.notification, row.number) != (newest.notification, newest.number):
            found = "no row" if row is None else f"{row.notification} ({row.number})"
            yield f"{_at(GUARDED)}, {record}: there is {found}, expected {newest.notification} ({newest.number})"


def the_dead_have_a_cause(of: Evidence) -> Iterator[str]:
    """Dead is what the service refused, or what is in doubt where a repeat would show; skipped what `when` left out."""
    for one in of.deliveries:
        refused = one.where in AT_SERVICE and one.notification.endswith(REFUSED)
        doubted = one.where == NOT_REPEATABLE and one.doubt
        deadly = one.where == KILLER and (one.notification in of.deadly or _died_with_others(of, one))
        left_out = one.where == ("notes", "loosely") and one.notification.endswith(SKIPPED)
        if one.state is DeliveryState.DEAD and not (refused or doubted or deadly):
            yield f"{_name(one)} is dead without a cause: {one.reason}"
        if one.state is DeliveryState.DELIVERED and (refused or left_out):
            yield f"{_name(one)} is delivered, but was to be {'refused' if refused else 'skipped'}"
        if one.state is DeliveryState.SKIPPED and not left_out:
            yield f"{_name(one)} is skipped: {one.reason}"


def _died_with_others(of: Evidence, one: KeptDelivery) -> bool:
    """Tell whether a delivery was given up because it was there whenever its process died, as may be by chance.

    A deadly record and kills that are nobody's fault, with few attempts: that it was tried alone at the last death does
    not prove that it brought that about.
    """
    deaths = sum(of.deadly.values()) + sum(each.fault.kind in _ENDS_A_PROCESS for each in of.done)
    given_up = one.state is DeliveryState.DEAD and one.code == ReasonCode.GIVEN_UP
    return one.where == KILLER and given_up and "process died" in one.reason and deaths >= ATTEMPTS


_ENDS_A_PROCESS = (Kind.KILL, Kind.STOP, Kind.SHUTDOWN, Kind.DATABASE_RESTART, Kind.DATABASE_SILENT)
IN_COMPANY = 2
"""Deaths that give nothing up, as they may be anybody's: they come on top of tries that ended otherwise."""


def deadly_records_are_given_up(of: Evidence) -> Iterator[str]:
    """A record that kills whoever sends it is dead after as many tries as it may make, and says so."""
    for one in of.deliveries:
        if one.where != KILLER or one.notification not in of.deadly:
            continue
        came = of.deadly[one.notification]
        if one.state is not DeliveryState.DEAD or "process died" not in one.reason:
            yield f"{_name(one)} kills whoever sends it, and is {one.state} after {came} times: {one.reason}"
        if came > ATTEMPTS + IN_COMPANY:
            yield f"{_name(one)} kills whoever sends it, and was sent {came} times"


def outcomes_follow_from_deliveries(of: Evidence) -> Iterator[str]:
    """The outcome is completed if all that counts was delivered or skipped, else failed."""
    for one in of.kept:
        if one.outcome is None:
            continue
        states = {delivery.state for delivery in one.deliveries if delivery.required}
        right = Outcome.COMPLETED if states <= {DeliveryState.DELIVERED, DeliveryState.SKIPPED} else Outcome.FAILED
        if one.outcome is not right or DeliveryState.PENDING in states:
            yield f"{one.key} is {one.outcome}, but its deliveries are {', '.join(sorted(states))}"


def doforms_believes_what_happened(of: Evidence) -> Iterator[str]:
    """The last that doForms heard of a notification is its outcome, and it never heard another."""
    kept = of.by_key
    for sent in of.sent:
        one = kept.get(sent.key)
        if one is None:
            continue
        outcome = "received" if one.outcome is None else one.outcome.value
        if sent.acknowledged and sent.seen.belief != outcome:
            yield f"{sent.key} is {outcome}, doForms believes {sent.seen.belief} (report {one.report_state})"
        if others := set(_tellings(sent)) - {outcome}:
            yield f"{sent.key} is {outcome}, doForms was also told {', '.join(others)}"


def reports_are_settled(of: Evidence) -> Iterator[str]:
    """Every outcome is told, by an answer that was marked or by a PUT that was confirmed."""
    told = (ReportState.ANSWERED, ReportState.REPORTED)
    for one in of.kept:
        if one.outcome is not None and one.report_state not in told:
            yield f"{one.key} is {one.outcome}, but its report is {one.report_state}"


def doforms_was_told_once(of: Evidence) -> Iterator[str]:
    """Twice is told only after a repeat, a lost answer, or something that may have cut an answer or a report off."""
    for sent in of.sent:
        if len(_tellings(sent)) > 1 and not sent.repeated and not _was_cut(of, sent):
            yield f"{sent.key} was told {len(_tellings(sent))} times ({', '.join(_tellings(sent))}) without a cause"


def gateways_ended_in_order(of: Evidence) -> Iterator[str]:
    """No gateway ended by itself, and SIGTERM ends with exit status 0."""
    yield from of.unasked


BOOKS: Sequence[Book] = (
    acknowledged_is_kept_once,
    kept_was_sent,
    answers_are_known,
    notifications_add_up,
    routes_made_their_deliveries,
    deliveries_add_up,
    nobody_holds_anything,
    the_store_is_whole,
    delivered_has_happened,
    nothing_happened_twice,
    effects_carry_the_delivery_key,
    retries_sent_the_same,
    records_were_no_older,
    lanes_kept_their_order,
    numbers_rise_in_a_lane,
    strict_lanes_stopped,
    guarded_rows_are_the_newest,
    the_dead_have_a_cause,
    deadly_records_are_given_up,
    outcomes_follow_from_deliveries,
    doforms_believes_what_happened,
    reports_are_settled,
    doforms_was_told_once,
    gateways_ended_in_order,
)


def title(book: Book) -> str:
    """Return the name of a book as words."""
    return book.__name__.replace("_", " ")


def audit(evidence: Evidence) -> Mapping[str, Sequence[str]]:
    """Return what each book finds wrong, by its title."""
    return {title(book): list(book(evidence)) for book in BOOKS}


def _turns(of: Evidence) -> Mapping[str, int]:
    return {sent.key: sent.turn for sent in of.sent}


def _blocked(of: Evidence) -> set[str]:
    """Return the keys of the deliveries that stand behind a dead one in a strict lane."""
    blocked: set[str] = set()
    for group in _grouped((one for one in of.deliveries if one.where == STRICT), lambda one: one.record).values():
        numbers = [one.number for one in group if one.state is DeliveryState.DEAD]
        blocked |= {one.key for one in group if numbers and one.number > min(numbers)}
    return blocked


def _falls(rows: Sequence[Row], turns: Mapping[str, int], place: str) -> Iterator[str]:
    for before, after in pairwise(rows):
        if turns.get(after.notification, 0) < turns.get(before.notification, 0):
            yield f"{place}: {after.notification} happened after {before.notification}"


def _tellings(sent: Sent) -> Sequence[str]:
    return [*(answer.final for answer in sent.seen.answers if answer.final is not None), *sent.seen.puts]


def _was_cut(of: Evidence, sent: Sent) -> bool:
    """Tell whether something that cuts answers and reports off came between a notification and its last report."""
    first = sent.seen.created
    last = first + max((report.seconds for report in sent.seen.reports), default=0.0)
    if any(first <= lapse <= last + LEASE for lapse in of.lapses):
        return True
    return any(one.fault.kind.cuts and one.began <= last and one.ended >= first for one in of.done)


def _answers(sent: Sent) -> str:
    return ", ".join(f"{answer.status or answer.error}" for answer in sent.seen.answers) or "no answer yet"


def _name(one: KeptDelivery) -> str:
    return f"{one.notification} to {_at(one.where)}"


def _at(where: tuple[str, str]) -> str:
    return "/".join(where)


Item = TypeVar("Item", Row, KeptDelivery, KeptNotification)


def _grouped(items: Iterable[Item], by: Callable[[Item], Key]) -> Mapping[Key, Sequence[Item]]:
    found: dict[Key, list[Item]] = defaultdict(list)
    for item in items:
        found[by(item)].append(item)
    return found
