"""The page that shows what the simulated doForms believes."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import quote

import httpx
import pytest

from gateway.doforms.simulator import Seen, Simulator
from gateway.doforms.simulator.page import SHOWN
from tests.doforms.simulator.conftest import COMPLETED, FORM, OTHER, Target

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def text(doforms: Simulator, path: str = "/", status: int = 200) -> str:
    async with httpx.AsyncClient(base_url=doforms.api.removesuffix("/api/v2")) as stranger:
        answer = await stranger.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    return answer.text


async def test_it_shows_beliefs_answers_reports_and_records(
    doforms: Simulator, target: Target, http: httpx.AsyncClient
) -> None:
    target.script = [COMPLETED, (401, b"no"), (200, b"")]
    one, two = await doforms.create(FORM, key="r-one"), await doforms.create(OTHER, key="r-two")
    three = await doforms.create(FORM, key="r-three")
    await http.put(f"notifications/{three.key}", json={"status": "failed"})
    doforms.conditions.change(lost=1, limit={"a_minute": 20})
    lost = await doforms.create(FORM, key="r-lost")
    page = await text(doforms)
    for seen in (one, two, three, lost):
        assert seen.key in page
    for shown in ("completed", "by answer", "by put", "401", "a_minute 20", "of 20", "Site inspection", "r-lost"):
        assert shown in page
    assert "se:cr=et" not in page
    assert "http://" not in re.sub(r"<span class=\"code\">http://127.0.0.1:\d+/\S*</span>", "", page)


async def test_what_doforms_believes_stands_first_where_a_phone_shows_it(doforms: Simulator, target: Target) -> None:
    target.script = [COMPLETED]
    seen = await doforms.create(FORM, key="r-one")
    row = (await text(doforms)).partition(f'<td class="code">{seen.key}</td>')[2]
    assert row.index("by answer") < row.index("create")


async def test_lists_are_filtered(doforms: Simulator, target: Target) -> None:
    target.script = [COMPLETED, (400, b"")]
    one, two = await doforms.create(FORM, key="r-one"), await doforms.create(OTHER, key="r-two")
    for query in ("belief=completed", f"webservice={quote(FORM)}", "find=r-one", f"find={one.key[3:]}"):
        page = await text(doforms, f"/?{query}")
        assert (one.key in page, two.key in page) == (True, False), query
    page = await text(doforms, f"/?show=records&webservice={quote(OTHER)}")
    assert ("id-r-two" in page, "id-r-one" in page) == (True, False)
    assert "None." in await text(doforms, "/?show=calls")
    assert one.key in await text(doforms, "/?show=nonsense&page=x")


async def test_ten_thousand_notifications_are_shown_page_by_page_and_fast(doforms: Simulator) -> None:
    for number in range(10_000):
        key = f"n{number:05}"
        doforms.notifications[key] = Seen(key, FORM, "create", b'{"key": "%s", "submissionKey": "r"}' % key.encode())
    loop = asyncio.get_running_loop()
    started = loop.time()
    page = await text(doforms)
    assert loop.time() - started < 1.0
    assert len(page) < 100_000
    assert re.findall(r"n0\d{4}", page) == [f"n{number:05}" for number in range(9_999, 9_999 - SHOWN, -1)]
    assert "10,000" in page
    older = await text(doforms, "/?page=2")
    assert f"n{9_999 - SHOWN:05}" in older
    assert "None." in await text(doforms, "/?page=999999")


async def test_a_record_is_shown_as_the_api_gives_it(doforms: Simulator) -> None:
    sent = await doforms.create(FORM, {"site": "<script>alert(1)</script>"}, key="r/1 $")
    page = await text(doforms, f"/records/submission/{quote('r/1 $')}")
    assert sent.key in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    await doforms.delete(FORM, "r/1 $")
    assert "It is not there" in await text(doforms, f"/records/submission/{quote('r/1 $')}")
    assert "There is no submission" in await text(doforms, "/records/submission/nobody", status=404)
    assert "There is no form" in await text(doforms, "/records/form/nobody", status=404)


async def test_what_was_sent_as_no_json_is_shown_too(doforms: Simulator) -> None:
    await doforms.notify(FORM, "create", key="odd", body=b"\xff[")
    await doforms.notify(FORM, "create", key="odder", body={"key": "odder", "submissionKey": {"a": [1]}})
    page = await text(doforms)
    assert "odd" in page
    assert "odder" in page
