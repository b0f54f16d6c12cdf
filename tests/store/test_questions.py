"""What is known of the questions of forms, kept in the store."""

from __future__ import annotations

from gateway.models import RecordKind
from gateway.store import questions
from gateway.store.questions import FormOf, Question
from gateway.store.store import Store

FORM = FormOf("acme$$1$$Published$$2")
DISPATCH = FormOf(FORM.webservice_id, RecordKind.DISPATCH)


async def test_questions_are_kept_changed_and_forgotten_by_form_and_kind_of_record(store: Store) -> None:
    site = Question(path="a.site", kind="text\x00", first_at=5, last_at=6, seen=3, since=1, last=9)
    await store.write(lambda c: questions.save(c, FORM, [site, Question(path="risk")]))
    await store.write(lambda c: questions.save(c, DISPATCH, [Question(path="crew", kind="text", alarm="new")]))
    site.seen, site.alarm = 4, "missing"
    await store.write(lambda c: questions.save(c, FORM, [site]))
    known = await store.write(lambda c: questions.load(c, FORM))
    assert known["a.site"] == Question(
        path="a.site",
        kind="text\N{REPLACEMENT CHARACTER}",
        first_at=5,
        last_at=6,
        seen=4,
        since=1,
        last=9,
        alarm="missing",
    )
    assert list(known) == ["a.site", "risk"]
    assert sorted(await store.read(questions.with_alarms), key=str) == [DISPATCH, FORM]
    await store.write(lambda c: questions.forget(c, FORM, ["risk", "a.site"]))
    assert await store.write(lambda c: questions.load(c, FORM)) == {}
    assert list(await store.write(lambda c: questions.load(c, DISPATCH))) == ["crew"]
