"""What the store knows of attachments."""

from __future__ import annotations

from gateway.models import AttachmentState, Mode
from gateway.store import attachments, records, retention
from gateway.store.attachments import KeptAttachment, NewAttachment
from gateway.store.clock import SECOND, now
from gateway.store.orders import By
from gateway.store.queries import show_delivery, show_notification
from gateway.store.records import KeptNotification
from gateway.store.replay import Replay, replay
from gateway.store.store import Store
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


async def test_a_replay_makes_due_what_was_given_up_and_afresh_everything(store: Store) -> None:
    of = await kept(store)
    rows = await noted(store, of, PHOTO, SIGN)
    await spool(store, rows["p1"])
    await give_up(store, rows["p2"])
    assert await store.read(lambda c: attachments.not_downloaded(c, WEBSERVICE))
    [delivery] = (await store.read(lambda c: show_notification(c, of.id))).all_deliveries  # type: ignore[union-attr]
    for refetch, states in ((False, ["spooled", "due"]), (True, ["due", "due"])):
        order = Replay(by=By(who="somebody"), refetch=refetch)
        await store.write(lambda c, order=order: replay(c, [delivery.id], order))  # type: ignore[misc]
        shown = await store.read(lambda c: show_delivery(c, delivery.id))
        assert shown is not None
        assert [one.state for one in shown.attachments] == states
        assert await store.read(lambda c: attachments.not_downloaded(c, WEBSERVICE))
    for one in rows.values():
        await spool(store, one)
    assert not await store.read(lambda c: attachments.not_downloaded(c, WEBSERVICE))


async def test_they_go_with_their_notification(store: Store) -> None:
    made = await store.submit(keep(take=True, report=False))
    of = (await store.read(lambda c: records.load(c, [made.id])))[made.id]
    file = (await noted(store, of, PHOTO))["p1"].file
    await store.settle([delivered(held(made))])
    assert await store.read(lambda c: attachments.files_of(c, [file, "other"])) == {file}
    later = now() + 100 * 86400 * SECOND
    await store.write(lambda c: retention.prune(c, after=0, moment=later, older_than=90 * 86400))
    assert await store.read(lambda c: attachments.files_of(c, [file])) == set()
