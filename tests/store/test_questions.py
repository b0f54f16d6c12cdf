"""What is known of the questions of forms, kept in the store."""

from __future__ import annotations

from collections.abc import Awaitable

from gateway.models import RecordKind
from gateway.store.store import Store
from gateway.store.work import questions
from gateway.store.work.questions import FormOf, Question

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


async def test_only_what_does_not_come_any_more_is_forgotten_of_one_form(store: Store) -> None:
    for form in (FORM, DISPATCH):
        await store.write(lambda c, form=form: questions.save(c, form, [Question(path="site"), Question(path="risk")]))
    await store.write(lambda c: questions.forget(c, FORM, ["site"]))
    await store.write(lambda c: questions.forget(c, FORM, []))
    assert list(await store.read(lambda c: questions.known(c, FORM))) == ["risk"]
    assert sorted(await store.read(lambda c: questions.known(c, DISPATCH))) == ["risk", "site"]


async def test_forms_with_alarms_are_named_once(store: Store) -> None:
    await store.write(lambda c: questions.save(c, FORM, [Question(path=one, alarm="new") for one in ("site", "risk")]))
    await store.write(lambda c: questions.save(c, DISPATCH, [Question(path="crew")]))
    assert await store.read(questions.with_alarms) == [FORM]


async def test_a_web_service_is_alone_until_it_brings_a_record_of_another_kind(store: Store) -> None:
    def is_alone(form: FormOf) -> Awaitable[bool]:
        return store.read(lambda c: questions.is_alone(c, form))

    record = Question(path="", seen=1)
    await store.write(lambda c: questions.save(c, FORM, [record]))
    await store.write(lambda c: questions.save(c, DISPATCH, [Question(path="crew")]))
    other = FormOf("acme$$1$$Published$$9", RecordKind.DISPATCH)
    await store.write(lambda c: questions.save(c, other, [record]))
    assert (await is_alone(FORM), await is_alone(DISPATCH), await is_alone(other)) == (True, False, True)
    await store.write(lambda c: questions.save(c, DISPATCH, [record]))
    assert not await is_alone(FORM)
