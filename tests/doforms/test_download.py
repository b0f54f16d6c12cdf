"""Downloads from servers that do as they please."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Callable, Sequence

import httpx
import pytest
from pydantic import SecretStr

from gateway.doforms.client import Credentials, DoformsClient
from gateway.doforms.download import Downloaded, Wanted
from gateway.doforms.failures import Gone, Later, Misled, NotAnAttachment, Quota, Refused, Unwanted
from gateway.doforms.ways import next_place
from gateway.errors import DoformsError

WHOLE = b"\xff\xd8\xff" + bytes(range(200))
FILES = "https://files.example/p1.jpg"
WANTED = Wanted(expected="image/jpeg", largest=10_000, types=["*/*"])


class Kept:
    """A target in memory."""

    def __init__(self, content: bytes = b"", validator: str | None = None) -> None:
        self.content = content
        self.validator = validator

    @property
    def offset(self) -> int:
        return len(self.content)

    async def expect(self, size: int | None, validator: str | None, *, afresh: bool) -> None:
        self.validator = validator
        if afresh:
            self.content = b""

    async def write(self, piece: bytes) -> None:
        self.content += piece


async def download(
    answer: Callable[[httpx.Request], httpx.Response],
    target: Kept,
    wanted: Wanted = WANTED,
    hosts: Sequence[str] = (),
) -> Downloaded:
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        credentials = Credentials(
            api="http://doforms", webservice_id="w", password=SecretStr("p"), attachment_hosts=hosts
        )
        client = DoformsClient(http=http, make=lambda **_: http)
        return await client.download(credentials, "blobs/p1", target, wanted)


async def test_a_part_of_another_version_is_not_put_behind_the_first_though_the_server_ignores_if_range() -> None:
    target = Kept(b"old version", '"v1"')

    def part(request: httpx.Request) -> httpx.Response:
        assert (request.headers["range"], request.headers["if-range"]) == ("bytes=11-", '"v1"')
        headers = {"ETag": '"v2"', "Content-Range": f"bytes 11-{len(WHOLE) - 1}/{len(WHOLE)}"}
        return httpx.Response(206, content=WHOLE[11:], headers=headers)

    with pytest.raises(Later, match="part of another version"):
        await download(part, target)
    assert (target.content, target.validator) == (b"", None)


async def test_a_part_without_an_etag_goes_on_behind_the_first() -> None:
    target = Kept(WHOLE[:11], '"v1"')
    headers = {"Content-Range": f"bytes 11-{len(WHOLE) - 1}/{len(WHOLE)}"}
    await download(lambda _: httpx.Response(206, content=WHOLE[11:], headers=headers), target)
    assert target.content == WHOLE


async def test_a_part_that_the_server_does_not_know_any_more_lets_the_next_call_begin_anew() -> None:
    target = Kept(b"more than there is", '"v1"')
    with pytest.raises(Later, match="does not know the part"):
        await download(lambda _: httpx.Response(416), target)
    assert (target.content, target.validator) == (b"", None)


@pytest.mark.parametrize("told", ["bytes 10-206/207", "bytes 11-206", None])
async def test_another_part_than_was_asked_for_is_not_put_behind_the_first(told: str | None) -> None:
    target = Kept(WHOLE[:11])
    headers = {} if told is None else {"Content-Range": told}
    with pytest.raises(Later, match="another part than was asked for"):
        await download(lambda _: httpx.Response(206, content=WHOLE[11:], headers=headers), target)
    assert target.content == WHOLE[:11]


async def test_the_whole_takes_the_place_of_a_part_and_has_the_tag_that_it_came_with() -> None:
    target = Kept(b"old version", '"v1"')
    headers = {"ETag": '"v2"', "Content-Type": "image/jpeg"}
    await download(lambda _: httpx.Response(200, content=WHOLE, headers=headers), target)
    assert (target.content, target.validator) == (WHOLE, '"v2"')


@pytest.mark.parametrize(("status", "part"), [(200, b"old version"), (206, b"")])
@pytest.mark.parametrize(("body", "told"), [(b"<html>down</html>", "down"), (b"", "an empty body")])
async def test_what_begins_anew_is_looked_at_first(status: int, part: bytes, body: bytes, told: str) -> None:
    target = Kept(part)
    headers = {"Content-Type": "image/jpeg"} | ({"Content-Range": "bytes 0-16/17"} if status == 206 else {})
    with pytest.raises(NotAnAttachment, match=told):
        await download(lambda _: httpx.Response(status, content=body, headers=headers), target)
    assert target.content == part


async def test_a_type_that_is_not_wanted_is_refused() -> None:
    target = Kept()
    wanted = Wanted(expected=None, largest=10_000, types=["image/*", "application/pdf"])
    with pytest.raises(Unwanted, match="it is video/mp4, and `attachment_types` allows image/\\*, application/pdf"):
        await download(
            lambda _: httpx.Response(200, content=WHOLE, headers={"Content-Type": "video/mp4"}), target, wanted
        )
    assert target.content == b""


async def test_a_part_that_breaks_off_is_not_the_whole_and_what_came_stays() -> None:
    target = Kept(WHOLE[:11])
    headers = {"Content-Range": f"bytes 11-{len(WHOLE) - 1}/{len(WHOLE)}"}
    with pytest.raises(Later, match=f"broke off after 100 of {len(WHOLE)} bytes"):
        await download(lambda _: httpx.Response(206, content=WHOLE[11:100], headers=headers), target)
    assert target.content == WHOLE[:100]


async def test_a_part_of_unknown_size_ends_where_it_ends() -> None:
    target = Kept(WHOLE[:11])
    headers = {"Content-Range": f"bytes 11-{len(WHOLE) - 1}/*"}
    got = await download(lambda _: httpx.Response(206, content=WHOLE[11:], headers=headers), target)
    assert (target.content, got.size) == (WHOLE, len(WHOLE))


async def test_a_file_that_does_not_say_how_large_it_is_is_refused_once_it_is_too_large() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b"x" * 1000

    target = Kept()
    with pytest.raises(Unwanted, match="more than 10000 bytes, which `largest_attachment` allows"):
        await download(lambda _: httpx.Response(200, content=pieces()), target)
    assert len(target.content) <= WANTED.largest


async def test_what_came_compressed_is_not_gone_on_with() -> None:
    target = Kept()
    headers = {"ETag": '"v1"', "Content-Encoding": "gzip", "Content-Type": "image/jpeg"}
    got = await download(lambda _: httpx.Response(200, content=gzip.compress(WHOLE), headers=headers), target)
    assert (target.content, target.validator, got.size) == (WHOLE, None, len(WHOLE))


async def test_an_error_that_calls_itself_a_picture_is_none_though_nobody_knows_what_to_expect() -> None:
    wanted = Wanted(expected=None, largest=10_000, types=["*/*"])
    headers, target = {"Content-Type": "image/jpeg"}, Kept()
    with pytest.raises(NotAnAttachment, match="no such file"):
        await download(
            lambda _: httpx.Response(200, content=b'{"error": "no such file"}', headers=headers), target, wanted
        )
    assert target.content == b""
    await download(lambda _: httpx.Response(200, content=WHOLE, headers=headers), target, wanted)
    assert target.content == WHOLE


async def test_a_quota_that_is_told_as_plain_text_is_no_document() -> None:
    wanted = Wanted(expected="application/pdf", largest=10_000, types=["*/*"])
    text = b"Daily web service quota exceeded."

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=text, headers={"Content-Type": "text/plain"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        credentials = Credentials(api="http://doforms", webservice_id="w", password=SecretStr("p"))
        with pytest.raises(Quota):
            await DoformsClient(http=http).download(credentials, "blobs/p1", Kept(), wanted)


def leading(**places: str) -> tuple[Callable[[httpx.Request], httpx.Response], list[httpx.Request]]:
    """Answer with a redirect for the paths that are named, else with the photo; returns what was asked, too."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if (place := places.get(request.url.path.rpartition("/")[2])) is not None:
            return httpx.Response(302, headers={"Location": place})
        return httpx.Response(200, content=WHOLE, headers={"Content-Type": "image/jpeg"})

    return answer, asked


async def test_a_photo_that_lies_elsewhere_is_followed_without_the_password() -> None:
    target = Kept()
    answer, asked = leading(p1="/blobs/here", here="https://files.example/p1.jpg?signed=abc")
    await download(answer, target, hosts=["files.example"])
    assert target.content == WHOLE
    assert [("authorization" in one.headers, str(one.url)) for one in asked] == [
        (True, "http://doforms/blobs/p1"),
        (True, "http://doforms/blobs/here"),
        (False, "https://files.example/p1.jpg?signed=abc"),
    ]


async def test_password_that_left_its_host_does_not_come_back() -> None:
    answer, asked = leading(p1="http://files.example/there", there="http://doforms/blobs/here")
    await download(answer, Kept(), hosts=["*.example"])
    assert [("authorization" in one.headers, one.url.host) for one in asked] == [
        (True, "doforms"),
        (False, "files.example"),
        (False, "doforms"),
    ]


@pytest.mark.parametrize(
    "place",
    [
        "http://elsewhere.example/p1",
        "//elsewhere.example/p1",
        "http://doforms@elsewhere.example/p1",
        "http://doforms.elsewhere.example/p1",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/latest",
        "http://2852039166/latest",
        "http://127.0.0.1/",
    ],
)
async def test_download_that_leads_to_a_host_that_is_not_named_is_refused(place: str) -> None:
    answer, asked = leading(p1=place)
    with pytest.raises(Misled, match="neither where `api` is nor among `attachment_hosts`"):
        await download(answer, Kept(), hosts=["files.example"])
    assert len(asked) == 1


@pytest.mark.parametrize("scheme", ["http", "ftp", "file"])
def test_download_never_leads_from_https_to_less(scheme: str) -> None:
    with pytest.raises(Misled, match=f"leads from https to {scheme}"):
        next_place("https://doforms/blobs/p1", httpx.URL("https://doforms/blobs/p1"), f"{scheme}://doforms/p1", [])


@pytest.mark.parametrize(("status", "failure"), [(401, Refused), (403, Refused), (404, Gone), (429, Later)])
async def test_failure_elsewhere_says_nothing_of_doforms(status: int, failure: type[DoformsError]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        there = httpx.Response(status, text="no")
        return there if request.url.host == "files.example" else httpx.Response(302, headers={"Location": FILES})

    with pytest.raises(failure, match=r"files\.example was to hand it out") as caught:
        await download(answer, Kept(), hosts=["files.example"])
    assert type(caught.value) is failure
    assert getattr(caught.value, "status", None) is None


@pytest.mark.parametrize(
    ("place", "told"), [("/blobs/p1", "leads on and on"), ("file:///etc/passwd", "leads from http to file")]
)
async def test_a_download_that_leads_nowhere_is_refused(place: str, told: str) -> None:
    with pytest.raises(Refused, match=told):
        await download(leading(p1=place)[0], Kept())


@pytest.mark.parametrize("status", [300, 302, 304])
async def test_redirect_of_a_download_to_nowhere_says_nothing_of_the_api(status: int) -> None:
    with pytest.raises(Later, match="leads nowhere") as caught:
        await download(lambda _: httpx.Response(status), Kept())
    assert type(caught.value) is Later
