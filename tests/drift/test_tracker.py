"""Records that drift away from the routes: an alarm that names form, question and mapping, and nothing fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from gateway.drift.tracker import Drift
from gateway.models import Record, RecordKind
from gateway.records.fetcher import RecordFetcher
from gateway.store.engine.transaction_time import SECOND
from gateway.store.work import alarms, questions
from gateway.store.work.questions import FormOf, Question
from tests.support.keeping import WEBSERVICE
from tests.support.parts import ROUTES, Parts, eventually
from tests.support.records import answer, decode, section
from tests.support.sink import load_routes

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASKS = "{{ record.fields.site }} {{ submission.paths['a.risk'] }}"


@pytest_asyncio.fixture(loop_scope="module")
async def drift(parts: Parts, tmp_path: Path) -> AsyncIterator[Drift]:
    parts.active.load(load_routes(tmp_path, routes(parts, ASKS)))
    yield Drift(store=parts.store, active=parts.active)


def routes(parts: Parts, text: str) -> str:
    return ROUTES.format(api=parts.doforms.api, webservice=WEBSERVICE, more="", text=text)


def record(**answers: Any) -> Record:
    return decode(*(answer(*pair) for pair in answers.items()), section("a", answer("risk", "High")))


async def came(parts: Parts, drift: Drift, *records: Record) -> None:
    webservice = parts.active.webservice(WEBSERVICE)
    assert webservice is not None
    for one in records:
        drift.saw(webservice, one)
    await drift.write()


async def told(parts: Parts) -> list[tuple[str, str, str]]:
    return sorted((one.kind, one.subject, one.text) for one in await parts.alarms())


async def test_a_mapped_question_that_vanishes_is_an_alarm_until_it_comes_again(parts: Parts, drift: Drift) -> None:
    await came(parts, drift, *[record(site="Dock")] * 20)
    assert await told(parts) == []
    with capture_logs() as logged:
        for _ in range(3):
            await came(parts, drift, *[record()] * 12)
    [(kind, subject, text)] = await told(parts)
    assert (kind, subject) == ("question missing", f"{WEBSERVICE}: site")
    assert text == (
        "the question 'site' was in none of the last 12 records of the form \"Inspection\"; before that it was in 20 "
        "of 20. It is asked for by: route route, delivery table, text, and null there. If the form has changed, change "
        "the routes too"
    )
    assert [line["event"] for line in logged] == ["alarm raised"]
    await came(parts, drift, record(site="Dock"))
    assert await told(parts) == []


async def learnt(parts: Parts) -> dict[str, Question]:
    return await parts.store.read(lambda c: questions.known(c, FormOf(WEBSERVICE)))


async def test_what_a_record_brings_is_written_soon_and_what_is_left_when_the_gateway_ends(
    parts: Parts, drift: Drift
) -> None:
    webservice = parts.active.webservice(WEBSERVICE)
    assert webservice is not None
    gathering = Drift(store=parts.store, active=parts.active, every=60.0, gather=0.1)
    writing = asyncio.create_task(gathering.keep_writing())
    gathering.saw(webservice, record(site="Dock"))
    before = parts.store.now()
    known = await eventually(lambda: learnt(parts))
    assert (known["site"].seen, known["site"].kind) == (1, "text")
    assert abs((known["site"].first_at or 0) - before) < 10 * SECOND
    gathering.saw(webservice, record(site="Pier"))  # nothing new: written with the next batch
    writing.cancel()
    with suppress(asyncio.CancelledError):
        await writing
    assert (await learnt(parts))["site"].seen == 2


async def test_a_new_photo_is_no_news_where_a_delivery_takes_the_attachments(
    parts: Parts, drift: Drift, tmp_path: Path
) -> None:
    photo = answer("photo", {"key": "p1", "type": "image"}, "blob")
    for more, kinds in (("attachments = true", []), ("", ["new questions"])):
        parts.active.load(load_routes(tmp_path, f"{routes(parts, ASKS)}\n{more}"))
        await came(parts, drift, *[record(site="Dock")] * 20)
        await came(parts, drift, decode(answer("site", "Dock"), photo | {"name": f"photo of {more or 'none'}"}))
        assert [kind for kind, *_ in await told(parts)] == kinds


async def test_a_misspelt_question_is_told_with_the_one_that_was_meant(
    parts: Parts, drift: Drift, tmp_path: Path
) -> None:
    parts.active.load(load_routes(tmp_path, routes(parts, "{{ record.fields.inspektor }}")))
    await came(parts, drift, *[record(inspector="Ada")] * 60)
    [(kind, _, text)] = await told(parts)
    assert kind == "question missing"
    assert "'inspektor' was in none of the" in text
    assert "Did you mean 'inspector'?" in text
    parts.active.load(load_routes(tmp_path, routes(parts, "{{ record.fields.inspector }}")))
    await drift.write()
    assert await told(parts) == []


async def test_new_questions_are_one_alarm_until_the_routes_ask_for_them(
    parts: Parts, drift: Drift, tmp_path: Path
) -> None:
    await came(parts, drift, *[record(site="Dock")] * 12)
    await came(parts, drift, record(site="Dock", hazard="Gas"))
    await came(parts, drift, *[record(site="Dock", hazard="Gas", second="x")] * 2)
    [(kind, subject, text)] = await told(parts)
    assert (kind, subject) == ("new questions", WEBSERVICE)
    for part in ('form "Inspection"', "'hazard' (text); 'second' (text)", "route route, delivery table"):
        assert part in text
    parts.active.load(load_routes(tmp_path, routes(parts, ASKS + "{{ record.fields.hazard }}")))
    await drift.write()
    assert len(await told(parts)) == 1
    parts.active.load(load_routes(tmp_path, routes(parts, "{{ record.fields | length }}")))
    await drift.write()
    assert await told(parts) == []


async def test_a_new_column_is_told_only_where_columns_are_picked_one_by_one(
    parts: Parts, drift: Drift, tmp_path: Path
) -> None:
    def with_row(**columns: Any) -> Record:
        row = [answer(*pair, "integer") for pair in columns.items()]
        return decode(answer("site", "Dock"), {"name": "findings", "fields": [{"fields": row}]})

    whole = "{{ record.fields.site }} {{ record.fields.findings }}"
    parts.active.load(load_routes(tmp_path, routes(parts, whole)))
    await came(parts, drift, *[with_row(a=1)] * 12)
    await came(parts, drift, *[with_row(a=1, b=1)] * 3)
    assert await told(parts) == []


async def test_new_questions_that_a_person_has_seen_are_not_told_again(parts: Parts, drift: Drift) -> None:
    await came(parts, drift, *[record(site="Dock")] * 12)
    await came(parts, drift, *[record(site="Dock", hazard="Gas")] * 2)
    await parts.store.write(lambda c: alarms.clear_alarm(c, "new questions", WEBSERVICE))
    await came(parts, drift, record(site="Dock", hazard="Gas"))
    assert await told(parts) == []
    await came(parts, drift, record(site="Dock", hazard="Gas", second="x"))
    [(_, _, text)] = await told(parts)
    assert "second" in text
    assert "hazard" not in text


async def test_what_one_process_learnt_the_next_one_knows(parts: Parts, drift: Drift) -> None:
    await came(parts, drift, *[record(site="Dock")] * 20)
    following = Drift(store=parts.store, active=parts.active)
    await came(parts, following, *[record()] * 12)
    await came(parts, drift, record())
    assert [(kind, subject) for kind, subject, _ in await told(parts)] == [("question missing", f"{WEBSERVICE}: site")]


async def test_dispatches_are_the_record_where_there_are_no_submissions(
    parts: Parts, drift: Drift, tmp_path: Path
) -> None:
    without_status = routes(parts, ASKS).replace(', "status"]', "]")
    parts.active.load(load_routes(tmp_path, without_status))

    def dispatch(**answers: Any) -> Record:
        return decode(*(answer(*pair) for pair in answers.items()), kind=RecordKind.DISPATCH)

    await came(parts, drift, *[dispatch(site="Dock", crew="A")] * 20)
    await came(parts, drift, *[dispatch(crew="A")] * 12)
    assert [subject for _, subject, _ in await told(parts)] == [f"{WEBSERVICE} (dispatch): site"]
    await came(parts, drift, record(site="Dock"))
    await came(parts, drift, dispatch(crew="A"))
    assert await told(parts) == []


async def test_dispatches_are_counted_by_themselves(parts: Parts, drift: Drift) -> None:
    await came(parts, drift, *[record(site="Dock")] * 20)
    await came(parts, drift, *[decode(answer("crew", "A"), kind=RecordKind.DISPATCH)] * 60)
    assert await told(parts) == []


async def test_an_unknown_kind_of_value_is_warned_of_once_for_each_form_and_question(
    parts: Parts, drift: Drift
) -> None:
    inspection, silent = (parts.active.webservice(one) for one in (WEBSERVICE, "acme$$1$$Published$$3"))
    assert inspection is not None
    assert silent is not None
    one = decode(answer("where", 1, "hologram"), answer("site", "Dock"))
    with capture_logs() as logged:
        for _ in range(3):
            drift.saw(inspection, one)
            drift.saw(silent, one)
        drift.saw(inspection, decode(answer("other", 1, "hologram")))
        drift.saw(inspection, decode(answer("site", 1, "hologram")))
    assert [(line["form"], line["question"], line["kind"]) for line in logged] == [
        ("Inspection", "where", "hologram"),
        ("Silent", "where", "hologram"),
        ("Inspection", "other", "hologram"),
        ("Inspection", "site", "hologram"),
    ]


async def test_a_form_whose_questions_never_end_fills_neither_memory_nor_store(parts: Parts, drift: Drift) -> None:
    for start in range(0, 5000, 1000):
        await came(parts, drift, decode(*(answer(f"q{number}", 1) for number in range(start, start + 1000))))
    rows = await parts.store.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM questions").scalar())
    assert rows < 2100
    assert sum(map(len, drift._met.values())) < 3100


async def test_each_record_that_is_fetched_is_counted(parts: Parts, drift: Drift) -> None:
    fetcher = RecordFetcher(store=parts.store, active=parts.active, gate=parts.gate, saw=drift.saw)
    for key in ("n1", "n2"):
        await fetcher.records(await parts.keep(key))
    await drift.write()
    rows = await parts.store.read(lambda c: c.exec_driver_sql("SELECT path, seen FROM questions ORDER BY path").all())
    assert [tuple(row) for row in rows] == [("", 2), ("a.risk", 0), ("site", 2)]


async def test_a_name_that_stands_in_several_places_is_an_alarm_until_the_routes_ask_by_path(
    parts: Parts, drift: Drift, tmp_path: Path
) -> None:
    before, after = (decode(section(name, answer("note", "x"))) for name in ("before", "after"))
    parts.active.load(load_routes(tmp_path, routes(parts, "{{ record.fields.note }}")))
    await came(parts, drift, *[before] * 3)
    assert await told(parts) == []
    for _ in range(3):
        await came(parts, drift, after, before)
    [(kind, subject, text)] = await told(parts)
    assert (kind, subject) == ("question ambiguous", f"{WEBSERVICE}: before.note")
    assert text == (
        "the name 'note' stands in several places of the form \"Inspection\", as its records have shown: "
        "'before.note'; 'after.note'. It is asked for by: route route, delivery table, text. A record in which one of "
        "them is answered gives that one, whichever it is; one in which several are is dead. Ask for the path of the "
        'one that is meant: record.paths["PATH"], of a column row["PATH"]'
    )
    parts.active.load(load_routes(tmp_path, routes(parts, "{{ record.paths['after.note'] }}")))
    await drift.write()
    assert await told(parts) == []


async def test_an_ambiguous_name_whose_alarm_a_person_cleared_is_not_told_again(
    parts: Parts, drift: Drift, tmp_path: Path
) -> None:
    before, after = (decode(section(name, answer("note", "x"))) for name in ("before", "after"))
    parts.active.load(load_routes(tmp_path, routes(parts, "{{ record.fields.note }}")))
    await came(parts, drift, before, after)
    await parts.store.write(lambda c: alarms.clear_alarm(c, "question ambiguous", f"{WEBSERVICE}: before.note"))
    await came(parts, drift, before, after)
    assert await told(parts) == []


async def test_a_name_whose_places_are_all_missing_is_told_as_such_and_then_as_ambiguous_no_more_than_once(
    parts: Parts, drift: Drift, tmp_path: Path
) -> None:
    before, after = (decode(answer("site", "x"), section(name, answer("note", "x"))) for name in ("before", "after"))
    parts.active.load(load_routes(tmp_path, routes(parts, "{{ record.fields.note }}")))
    await came(parts, drift, *[after, before] * 10)
    await came(parts, drift, *[decode(answer("site", "x"))] * 60)
    await came(parts, drift, after, before)
    assert [kind for kind, *_ in await told(parts)] == ["question ambiguous"]
    await came(parts, drift, after, before)
    parts.active.load(load_routes(tmp_path, routes(parts, "{{ record.paths['after.note'] }}")))
    await drift.write()
    assert await told(parts) == []
