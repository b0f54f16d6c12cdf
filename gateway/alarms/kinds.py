"""The kinds of alarms: what each means, what ends it, and what a person does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.models import AlarmKind


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a person must know of a kind of alarm, as Markdown."""

    subject: str
    """What an alarm of it is about."""
    means: str
    ends: str
    """Its alarm is cleared when this is so."""
    remedy: str


KINDS: Mapping[AlarmKind, About] = {
    AlarmKind.RELOAD_FAILED: About(
        subject="the routes file",
        means="The routes file could not be loaded again; the last good one stays in force.",
        ends="the file was loaded",
        remedy="mend what the alarm names, look with `gateway check`, then `gateway reload`",
    ),
    AlarmKind.NOT_LOADED: About(
        subject="route, delivery and destination",
        means="Deliveries wait whose route or destination is not in the routes file any more.",
        ends="it is loaded again, or nothing waits for it",
        remedy="put it back and `gateway reload`, or drop what waits: `gateway deliveries drop`",
    ),
    AlarmKind.UNMATCHED: About(
        subject="web service id; all that are not in the routes file share one alarm",
        means="No route matched a notification.",
        ends=(
            "none of its unmatched notifications waits for a person any more: matched by a replay, dropped, "
            "or deleted by retention"
        ),
        remedy="add a route and `gateway reload`, then `gateway notifications replay --unmatched`; or drop them",
    ),
    AlarmKind.RECORD_NOT_FETCHED: About(
        subject="web service id",
        means="A record could not be had from doForms for as long as `fetch_retry` says.",
        ends="no delivery is dead for that reason any more: replayed, dropped, or deleted by retention",
        remedy="see [No record can be fetched](#no-record-can-be-fetched), then replay",
    ),
    AlarmKind.ACCOUNT_WAITS: About(
        subject="account",
        means="doForms asked to wait for more than a minute: more calls came than the account may make.",
        ends="the wait is over, or no web service of it is loaded any more",
        remedy="nothing at once; lower `requests_per_minute` if it comes back",
    ),
    AlarmKind.DOFORMS_SILENT: About(
        subject="account",
        means="doForms' API does not answer calls of an account.",
        ends="doForms answered a call of the account, or no web service of it is loaded any more",
        remedy="look whether this machine reaches doForms: network, proxy, name service",
    ),
    AlarmKind.RECORDS_NOT_READABLE: About(
        subject="web service id",
        means="doForms lists the records of a web service and hands none of them out.",
        ends="a record of it was read again, or it is not loaded any more",
        remedy=(
            "ask doForms whether the web service may read its records, see [No record can be "
            "fetched](#no-record-can-be-fetched)"
        ),
    ),
    AlarmKind.NEW_QUESTIONS: About(
        subject="web service id",
        means="A form brings questions that no template asks for.",
        ends="the routes ask for them, or a person clears it",
        remedy=(
            "ask for them in the routes, or `gateway alarms clear`; see [records.md](records.md#when-a-form-changes)"
        ),
    ),
    AlarmKind.QUESTION_MISSING: About(
        subject="web service id and question",
        means="A question that templates ask for does not come any more.",
        ends="a record has it again, or no template asks for it any more",
        remedy="see [A form has changed](#a-form-has-changed)",
    ),
    AlarmKind.QUESTION_AMBIGUOUS: About(
        subject="web service id and the first of the paths",
        means="A name that templates ask for stands in several places of a form.",
        ends="no template asks for the name any more, but for paths",
        remedy="ask for the path, see [records.md](records.md#sections-and-names-that-occur-twice)",
    ),
    AlarmKind.QUESTION_LEFT_OUT: About(
        subject=(
            "route, delivery and question; beyond 50 of a delivery the further ones share one alarm, which a "
            "person clears"
        ),
        means="A destination had no place for a question, and left it out.",
        ends="the destination takes it, or the delivery is not loaded any more",
        remedy="give the destination a place for it, such as a column, or take it out of the route",
    ),
    AlarmKind.ATTACHMENT_MISSING: About(
        subject="web service id",
        means="A photo or file could not be downloaded for as long as `attachment_retry` says.",
        ends="each one has come, by a replay or with a later notification, or was deleted by retention",
        remedy="mend what the alarm says, then `gateway deliveries replay --attachment-missing --force`",
    ),
    AlarmKind.SPOOL_NOT_WRITABLE: About(
        subject="the folder",
        means="Photos and files cannot be written into the spool.",
        ends="an attachment was spooled",
        remedy="look at its disk and rights, see [attachments.md](attachments.md#the-spool)",
    ),
    AlarmKind.OUTCOME_NOT_REPORTED: About(
        subject="web service id",
        means="doForms was not told an outcome, and will not be.",
        ends="none is left: reported after all, or deleted by retention",
        remedy="look at what doForms answered, tell it by hand there if it matters",
    ),
    AlarmKind.PROCESS_DIED: About(
        subject="destination",
        means=(
            "The gateway's process died each time a delivery was tried, the last time with no other suspect beside it."
        ),
        ends="no such delivery is tried any more: delivered, dead or dropped",
        remedy=(
            "look in the log of the service manager (out of memory, a crash of a library), or drop the "
            "delivery that the alarm names"
        ),
    ),
    AlarmKind.DESTINATION_NOT_OPEN: About(
        subject="destination",
        means="A destination could not be opened for 10 minutes; its deliveries wait.",
        ends="it could be opened, or is not loaded any more",
        remedy="look whether it can be reached; it is tried each minute",
    ),
    AlarmKind.DESTINATION_PAUSED: About(
        subject="destination",
        means="A destination's login, table or address is wrong; its deliveries wait.",
        ends="the pause ends",
        remedy="mend it, then `gateway destinations resume NAME` or `gateway reload`",
    ),
    AlarmKind.WEBSERVICE_PAUSED: About(
        subject="web service id",
        means="doForms refuses the password, the quota of the day is used up, or `api` is not its address.",
        ends="the pause ends",
        remedy="mend what the alarm says, then `gateway webservices resume NAME` or `gateway reload`",
    ),
    AlarmKind.LISTING_TOO_SHORT: About(
        subject="web service id",
        means="doForms listed fewer records than it told of; nothing is concluded from it.",
        ends="a round finds each of its listings whole, or it is not loaded any more",
        remedy="see [reconcile.md](reconcile.md#listings-that-cannot-be-true)",
    ),
    AlarmKind.NOT_RECONCILED: About(
        subject="web service id",
        means="What doForms received could not be compared with what was kept.",
        ends="a round gets to its end, or it is not loaded any more",
        remedy="mend what the alarm says; `gateway reconcile` compares at once",
    ),
    AlarmKind.STORE_STALLS: About(
        subject="the store",
        means="Steps of the store waited for long, for an answer or for a lock.",
        ends="for 10 minutes no step of the store failed after waiting long (more than 4.5 s)",
        remedy="see who locks it, and whether its machine is overloaded",
    ),
    AlarmKind.CLOCK: About(
        subject="the store",
        means="The store's clock leapt by more than 10 s.",
        ends="the store's clock has not leapt for an hour",
        remedy="see that the machine's clock is kept by NTP, see [running.md](running.md#when-the-clock-leaps)",
    ),
    AlarmKind.BACKLOG_FULL: About(
        subject="the store",
        means="As much waits as `backlog_limit` allows; new notifications are answered 503.",
        ends="a tenth of `backlog_limit` is free again",
        remedy=(
            "see which destination is down: `gateway destinations list`; see "
            "[store.md](store.md#when-there-is-no-room-for-more)"
        ),
    ),
    AlarmKind.DISK_NEARLY_FULL: About(
        subject="the store",
        means="The store's disk has less room than `min_free_disk`; new notifications are answered 503.",
        ends="a tenth more than `min_free_disk` is free again",
        remedy="make room, see [store.md](store.md#when-there-is-no-room-for-more)",
    ),
    AlarmKind.CONNECTIONS_FULL: About(
        subject="the webhook",
        means="More connections are open than there may be.",
        ends="for a minute none was closed or refused for want of room",
        remedy="look who opens them (`ss -tn`), see [running.md](running.md#what-strangers-can-do-to-it)",
    ),
    AlarmKind.BODIES_STALLED: About(
        subject="the webhook",
        means="Bodies of requests that have begun and not ended fill the memory for them.",
        ends="for a minute none was given up for others, and those that stand still for 3 s hold less than 16 MiB",
        remedy="have a proxy read requests whole; the log has the addresses",
    ),
    AlarmKind.UNAUTHORISED: About(
        subject="the webhook",
        means="Requests came without the right secret header: 20 within a minute, or 5 in a row.",
        ends="for an hour there were not so many",
        remedy="compare the header in doForms with `[webhook] headers`",
    ),
    AlarmKind.QUARANTINED: About(
        subject="the reason code",
        means="Something with the right secret was no notification, and is kept aside.",
        ends="nothing with that code is in quarantine any more: taken in, forgotten, or deleted by retention",
        remedy="see [Bodies that were no notification](#bodies-that-were-no-notification)",
    ),
    AlarmKind.WRONG_PATH: About(
        subject="the webhook",
        means="Requests with the right secret came to a path where nothing is received.",
        ends="for an hour none came",
        remedy="mend the URL in doForms, `[webhook] path`, or what a proxy makes of it",
    ),
}


def table() -> str:
    """Return all kinds as a table of the page for whoever is on call."""
    head = ("alarm", "about", "what it means", "what to do", "ends when")
    lines = [head, ["---"] * len(head)]
    lines += [(f"`{kind}`", one.subject, one.means.rstrip("."), one.remedy, one.ends) for kind, one in KINDS.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
