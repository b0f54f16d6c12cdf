"""What the bounds of the protocol rely on in uvicorn and httptools: a new version that changes it is noticed here."""

from __future__ import annotations

import inspect
from contextlib import suppress

import httptools
import pytest
import uvicorn
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.web.protocol.bounded import BoundedProtocol
from gateway.web.protocol.head import without_upgrade


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, value in vars(BoundedProtocol).items()
        if inspect.isfunction(value) and hasattr(HttpToolsProtocol, name)
    ],
)
def test_what_is_overridden_is_there_and_called_the_same_way(name: str) -> None:
    ours, theirs = (inspect.signature(getattr(one, name)).parameters for one in (BoundedProtocol, HttpToolsProtocol))
    assert [*theirs] == [one for one in ours if one != "known"]


def test_all_that_is_meant_to_be_overridden_still_exists_in_uvicorn() -> None:
    """Else a bound would be a method that nobody calls."""
    called = {"connection_made", "connection_lost", "eof_received", "data_received", "shutdown"}
    called |= {"pause_writing", "resume_writing"}  # by the event loop and the server
    called |= {"on_headers_complete", "on_body", "on_message_complete"}  # by the parser
    called |= {"on_response_complete"}  # by the cycle
    assert called <= set(vars(BoundedProtocol))
    assert called <= set(vars(HttpToolsProtocol))


@pytest.mark.parametrize(
    ("of", "names"),
    [
        (HttpToolsProtocol, ["on_message_begin", "_unset_keepalive_if_required", "timeout_keep_alive_handler"]),
        (FlowControl, ["pause_reading", "resume_reading"]),
        (httptools_impl, ["STATUS_LINE"]),
        (uvicorn.Server, ["capture_signals", "serve"]),
    ],
)
def test_what_is_used_is_there(of: object, names: list[str]) -> None:
    assert [name for name in names if not hasattr(of, name)] == []


def test_the_fields_of_uvicorn_that_are_read_and_set_are_there() -> None:
    cycle, protocol = (inspect.getsource(one) for one in (RequestResponseCycle, HttpToolsProtocol))
    for name in (
        "disconnected",
        "response_started",
        "response_complete",
        "message_event",
        "body",
        "more_body",
        "keep_alive",
    ):
        assert f"self.{name} = " in cycle
    for name in ("cycle", "pipeline", "parser", "flow", "headers", "url", "scope", "client", "timeout_keep_alive_task"):
        assert f"self.{name} = " in protocol or f"self.{name}: " in protocol
    assert "self.pipeline.appendleft" in protocol  # the last one that came stands first
    assert "self.pipeline.pop()" in protocol
    assert "self.flow.resume_reading()" in cycle  # what the application asks for is read


class Events:
    """Notes what the parser tells."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bytes]] = []

    def on_message_begin(self) -> None:
        self.told.append(("begin", b""))

    def on_url(self, url: bytes) -> None:
        self.told.append(("url", url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self.told.append((name.decode(), value))

    def on_headers_complete(self) -> None:
        self.told.append(("headers", b""))

    def on_chunk_header(self) -> None:
        self.told.append(("chunk", b""))

    def on_body(self, body: bytes) -> None:
        self.told.append(("body", body))

    def on_message_complete(self) -> None:
        self.told.append(("end", b""))


def test_httptools_gathers_a_header_until_it_is_whole_which_is_why_pieces_are_counted_before() -> None:
    events = Events()
    parser = httptools.HttpRequestParser(events)
    parser.feed_data(b"POST / HTTP/1.1\r\nX-Long: ")
    for _ in range(1000):
        parser.feed_data(b"a" * 1000)
    assert [name for name, _ in events.told] == ["begin", "url"]


def test_httptools_stops_behind_the_head_at_an_offer_of_another_protocol() -> None:
    request = b"POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc"
    parser = httptools.HttpRequestParser(Events())
    with pytest.raises(httptools.HttpParserUpgrade) as stopped:
        parser.feed_data(request)
    assert request[stopped.value.args[0] :] == b"abc"
    assert parser.should_upgrade()


def test_httptools_tells_of_trailers_as_of_headers_which_is_why_they_are_taken_off_again() -> None:
    events = Events()
    parser = httptools.HttpRequestParser(events)
    parser.feed_data(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n0\r\nX-Trailer: b\r\n\r\n")
    names = [name for name, _ in events.told]
    assert names.index("X-Trailer") > names.index("body")
    assert names.count("chunk") == 2


@pytest.mark.parametrize(
    ("headers", "left"),
    [
        ([(b"host", b"x"), (b"connection", b"Upgrade, HTTP2-Settings"), (b"upgrade", b"h2c")], [(b"host", b"x")]),
        ([(b"connection", b"close"), (b"upgrade", b"h2c")], [(b"connection", b"close")]),
        (
            [(b"connection", b"keep-alive, upgrade"), (b"connection", b"X-Y"), (b"http2-settings", b"A")],
            [(b"connection", b"keep-alive, X-Y")],
        ),
    ],
)
def test_a_head_without_its_offer_reads_the_same_but_for_it(
    headers: list[tuple[bytes, bytes]], left: list[tuple[bytes, bytes]]
) -> None:
    events = Events()
    parser = httptools.HttpRequestParser(events)
    with suppress(httptools.HttpParserUpgrade):
        parser.feed_data(without_upgrade(b"POST", b"/hook?a=b", "1.1", headers))
    assert events.told == [
        ("begin", b""),
        ("url", b"/hook?a=b"),
        *((name.decode(), value) for name, value in left),
        ("headers", b""),
        ("end", b""),
    ]
    assert not parser.should_upgrade()
