"""What the store knows of attachments."""

from __future__ import annotations

from collections.abc import Awaitable

from sqlalchemy import select

from gateway.models import AttachmentState, Mode
from gateway.store.engine.transaction_time import SECOND, now
from gateway.store.operator import retention
from gateway.store.operator.actions import Actor
from gateway.store.operator.queries import show_delivery, show_notification
from gateway.store.operator.replay import Replay, replay
from gateway.store.store import Store
from gateway.store.tables import notifications
from gateway.store.work import attachments, records
from gateway.store.work.attachments import KeptAttachment, NewAttachment
from gateway.store.work.records import KeptNotification
from tests.store.test_queue import delivered
from tests.store.test_reports import held
from tests.support.keeping import WEBSERVICE, keep, notification

PHOTO = NewAttachment(key="p1", place="findings[0].photo", filename="dock.jpg")
SIGN = NewAttachment(key="p2", place="sign", filename="sign.png")


async def kept(store: Store, key: str = "n1") -> KeptNotification:
    made = await store.submit(keep(notification(key), mode=Mode.DELAYED, fetch=True))
    return (await store.read(lambda c: records.load(c, [made.id])))[made.id]


async def noted(store: Store, of: KeptNotification, *found: NewAttachment) -> dict[str, KeptAttachment]:
    await store.write(lambda c: attachments.note(c, of, found))
    return await store.read(lambda c: attachments.load(c, of.id))


async def spool(store: Store, one: KeptAttachment) -> None:
    await store.write(lambda c: attachments.note_spooled(c, one.id, size=3, sha256="abc", content_type="image/jpeg"))


async def give_up(store: Store, one: KeptAttachment) -> None:
    state = AttachmentState.GIVEN_UP
    await store.write(lambda c: attachments.note_failed(c, one.id, state=state, reason="gone\0", spent=5, due_at=None))


async def test_they_are_noted_once_and_each_notification_has_its_own(store: Store) -> None:
    first, second = await kept(store), await kept(store, "n2")
    before = await noted(store, first, PHOTO, SIGN)
    await spool(store, before["p1"])
    after = await noted(store, first, PHOTO, SIGN)
    assert [(one.place, one.state) for one in after.values()] == [
        ("findings[0].photo", AttachmentState.SPOOLED),
        ("sign", AttachmentState.DUE),
    ]
    others = await noted(store, second, PHOTO)
    assert others["p1"].file != after["p1"].file


async def test_a_failure_counts_and_says_when_it_is_tried_again(store: Store) -> None:
    one = (await noted(store, await kept(store), PHOTO))["p1"]
    for _ in range(2):
        await store.write(
            lambda c: attachments.note_failed(
                c, one.id, state=AttachmentState.DUE, reason="503", spent=7, due_at=123, etag='"a"'
            )
        )
    of = await kept(store, "n1")
    row = (await store.read(lambda c: attachments.load(c, of.id)))["p1"]
    assert (row.attempts, row.spent, row.due_at, row.etag, row.reason) == (2, 14, 123, '"a"', "503")


async def test_what_has_come_forgets_why_it_had_not(store: Store) -> None:
    of = await kept(store)
    one = (await noted(store, of, PHOTO))["p1"]
    await store.write(
        lambda c: attachments.note_failed(
            c, one.id, state=AttachmentState.DUE, reason="503", spent=7, due_at=123, counted=False, etag='"a"'
        )
    )
    await spool(store, one)
    row = (await store.read(lambda c: attachments.load(c, of.id)))["p1"]
    assert (row.state, row.attempts, row.size, row.sha256) == (AttachmentState.SPOOLED, 0, 3, "abc")
    assert (row.content_type, row.reason, row.due_at, row.etag) == ("image/jpeg", None, None, None)


async def test_the_same_photo_of_another_notification_is_found_the_last_one_if_it_has_come(store: Store) -> None:
    rows = [(await noted(store, await kept(store, f"n{number}"), PHOTO, SIGN))["p1"] for number in range(4)]
    other = NewAttachment(key="p1", place="findings[0].photo", filename="renamed.jpg")
    renamed = (await noted(store, await kept(store, "n4"), other))["p1"]

    async def twin(of: KeptAttachment, webservice_id: str = WEBSERVICE) -> int | None:
        found = await store.read(lambda c: attachments.find_twin(c, webservice_id, of))
        return None if found is None else found.id

    assert await twin(rows[3]) is None
    for one in (rows[0], rows[1], renamed):
        await spool(store, one)
    assert await twin(rows[3]) == rows[1].id
    assert await twin(rows[1]) == rows[0].id
    assert await twin(rows[3], "acme$$1$$Published$$9") is None
    assert await twin(renamed) is None


async def test_what_a_record_does_not_name_any_more_is_forgotten_for_its_notification_alone(store: Store) -> None:
    first, second = await kept(store), await kept(store, "n2")
    for of in (first, second):
        await noted(store, of, PHOTO, SIGN)
    await store.write(lambda c: attachments.forget_others(c, first, ["p2"]))
    found = [await store.read(lambda c, of=of: attachments.load(c, of.id)) for of in (first, second)]
    assert [list(one) for one in found] == [["p2"], ["p1", "p2"]]


async def test_a_photo_that_was_given_up_is_missing_until_the_same_one_has_come(store: Store) -> None:
    def missing(webservice_id: str = WEBSERVICE) -> Awaitable[bool]:
        return store.read(lambda c: attachments.not_downloaded(c, webservice_id))

    rows = await noted(store, await kept(store), PHOTO, SIGN)
    assert not await missing()
    await give_up(store, rows["p1"])
    assert (await missing(), await missing("acme$$1$$Published$$9")) == (True, False)
    await spool(store, rows["p2"])
    assert await missing(), "another one has come"
    await spool(store, (await noted(store, await kept(store, "n2"), PHOTO))["p1"])
    assert not await missing()


async def test_a_replay_makes_due_what_was_given_up_and_afresh_everything(store: Store) -> None:
    of = await kept(store)
    rows = await noted(store, of, PHOTO, SIGN)
    await spool(store, rows["p1"])
    await give_up(store, rows["p2"])
    assert await store.read(lambda c: attachments.not_downloaded(c, WEBSERVICE))
    [delivery] = (await store.read(lambda c: show_notification(c, of.id))).all_deliveries  # type: ignore[union-attr]
    for refetch, states in ((False, ["spooled", "due"]), (True, ["due", "due"])):
        order = Replay(by=Actor(who="somebody"), refetch=refetch)
        await store.write(lambda c, order=order: replay(c, [delivery.id], order))  # type: ignore[misc]
        shown = await store.read(lambda c: show_delivery(c, delivery.id))
        assert shown is not None
        assert [one.state for one in shown.attachments] == states
        assert await store.read(lambda c: attachments.not_downloaded(c, WEBSERVICE))
        of_it = await store.read(lambda c: attachments.load(c, of.id))
        assert [(one.attempts, one.spent, one.reason) for one in of_it.values()] == [(0, 0, None)] * 2
    for one in rows.values():
        await spool(store, one)
    assert not await store.read(lambda c: attachments.not_downloaded(c, WEBSERVICE))


async def test_they_go_with_their_notification(store: Store) -> None:
    made = await store.submit(keep(take=True, report=False))
    of = (await store.read(lambda c: records.load(c, [made.id])))[made.id]
    file = (await noted(store, of, PHOTO))["p1"].file
    await store.settle([delivered(held(made))])
    assert await store.read(lambda c: attachments.files_of(c, [file, "other"])) == {file}
    await noted(store, await kept(store, "n2"), PHOTO, SIGN)
    ids = select(notifications.c.id).where(notifications.c.notification_key == "n1")
    assert await store.read(lambda c: attachments.count(c, ids)) == 1
    later = now() + 100 * 86400 * SECOND
    await store.write(lambda c: retention.prune(c, after=0, moment=later, older_than=90 * 86400))
    assert await store.read(lambda c: attachments.files_of(c, [file])) == set()
