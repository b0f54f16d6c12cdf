"""The simulator's `/control` and page: pages of other sites are refused, scripts and its own page are not."""

from __future__ import annotations

import httpx
import pytest

from gateway.doforms.simulator import Simulator
from tests.doforms.simulator.conftest import FORM

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVENT = {"webservice": FORM, "event": "create"}
SAME = "same-origin"


def address(doforms: Simulator) -> str:
    return doforms.api.removesuffix("/api/v2")


async def asked(doforms: Simulator, path: str = "/control/events", method: str = "POST", **headers: str) -> int:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx.AsyncClient(base_url=address(doforms)) as http:
        answer = await http.request(method, path, json=EVENT if method == "POST" else None, headers=given)
        if answer.status_code == 403:
            assert answer.json()["error"]
        return answer.status_code


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site", "origin": "https://evil.test"},
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "http://evil.test", "host": "evil.test"},
        {"origin": "http://evil.test:8900", "host": "evil.test:8900", "sec_fetch_site": SAME},
        {"sec_fetch_site": SAME, "host": "evil.test"},
        {"sec_fetch_mode": "cors", "host": "127.0.0.1.evil.test"},
        {"content_type": "text/plain"},
        {"content_type": "application/x-www-form-urlencoded"},
        {"content_type": "multipart/form-data; boundary=x"},
    ],
)
async def test_post_of_a_page_of_another_site_is_refused(doforms: Simulator, headers: dict[str, str]) -> None:
    before = len(doforms.notifications)
    assert await asked(doforms, **headers) == 403
    assert len(doforms.notifications) == before


@pytest.mark.parametrize("path", ["/control/faults", "/control/conditions"])
async def test_delete_of_a_page_of_another_site_is_refused(doforms: Simulator, path: str) -> None:
    assert await asked(doforms, path, "DELETE", origin="https://evil.test") == 403


@pytest.mark.parametrize("path", ["/", "/control/notifications", "/control/faults"])
async def test_page_is_not_shown_under_a_name_that_was_bound_to_this_machine(doforms: Simulator, path: str) -> None:
    assert await asked(doforms, path, "GET", host="evil.test", sec_fetch_site=SAME) == 403
    assert await asked(doforms, path, "GET", sec_fetch_site="cross-site", sec_fetch_mode="navigate") == 200


async def test_scripts_and_its_own_page_are_served(doforms: Simulator) -> None:
    own = address(doforms)
    assert await asked(doforms) == 201
    assert await asked(doforms, content_type="application/json; charset=utf-8") == 201
    assert await asked(doforms, origin=own, sec_fetch_site=SAME) == 201
    assert await asked(doforms, sec_fetch_site="none") == 201
    assert await asked(doforms, host="doforms.internal") == 201
