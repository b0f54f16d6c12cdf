"""Which connection is closed for a new one, and how many there may be."""

from __future__ import annotations

import itertools

import pytest

from gateway.web.protocol.connections import MOST, Connections, most_connections

NOW = map(float, itertools.count())


class Fake:
    """A connection that notes that it was closed."""

    def __init__(self) -> None:
        self.closed = False
        self.sent = False
        self.waiting_since: float | None = next(NOW)

    def has_sent(self) -> bool:
        return self.sent

    def close_for_room(self) -> None:
        self.closed = True

    def end_if_overdue(self, now: float) -> None:
        pass


def admitted(connections: Connections, *addresses: str) -> list[Fake]:
    made = [Fake() for _ in addresses]
    for one, address in zip(made, addresses, strict=True):
        assert connections.admit(one, address)
    return made


@pytest.mark.parametrize(
    ("files", "most"), [(1 << 20, MOST), (2560, MOST), (1024, 512), (256, 128), (200, 100), (3, 2), (1, 1)]
)
def test_connections_leave_files_for_the_store_and_the_destinations(files: int, most: int) -> None:
    assert most_connections(files) == most


async def test_the_one_that_has_waited_longest_is_closed_for_a_new_one() -> None:
    connections = Connections(3, 3)
    first, second, third = admitted(connections, "a", "b", "c")
    first.waiting_since = next(NOW)  # it was answered meanwhile
    [fourth] = admitted(connections, "d")
    assert [one.closed for one in (first, second, third, fourth)] == [False, True, False, False]
    assert len(connections) == 3
    assert (
        connections.full.why()
        == "3 connections are open, as many as there may be: the idlest is closed for each new one"
    )


async def test_whoever_has_the_most_connections_loses_them_first() -> None:
    connections = Connections(4, 4)
    oldest, *theirs = admitted(connections, "a", "b", "b", "b")
    admitted(connections, "c", "d")
    assert [one.closed for one in theirs] == [True, True, False]
    assert not oldest.closed


async def test_one_whose_request_has_come_and_was_not_read_yet_is_spared_if_another_can_be_closed() -> None:
    connections = Connections(20, 20)
    made = admitted(connections, *"a" * 20)
    for one in made[:3]:
        one.sent = True
    admitted(connections, "a", "a")
    assert [number for number, one in enumerate(made) if one.closed] == [3, 4]
    for one in made:
        one.sent = True
    [last] = admitted(connections, "b")
    assert not last.closed
    assert len(connections) == 20


async def test_one_that_is_being_answered_is_never_closed_and_a_new_one_refused() -> None:
    connections = Connections(2, 2)
    both = admitted(connections, "a", "b")
    for one in both:
        one.waiting_since = None
    assert not connections.admit(Fake(), "c")
    assert not any(one.closed for one in both)
    assert "new ones are refused" in str(connections.full.why())
    connections.left(both[0])
    assert connections.admit(Fake(), "c")


@pytest.mark.parametrize(
    ("theirs", "same"),
    [
        (["10.0.0.1", "10.0.0.1"], True),
        (["10.0.0.1", "10.0.0.2"], False),
        (["2001:db8::1", "2001:db8::ffff:1"], True),
        (["2001:db8:0:1::1", "2001:db8:0:2::1"], False),
        (["::ffff:10.0.0.1", "10.0.0.1"], True),
        (["fe80::1%eth0", "fe80::2%eth0"], True),
    ],
)
async def test_a_peer_over_its_share_loses_its_own_idlest_and_nobody_elses(theirs: list[str], same: bool) -> None:
    connections = Connections(10, 2)
    [other] = admitted(connections, "192.0.2.1")
    first, *_ = admitted(connections, *theirs, theirs[0])
    assert (first.closed, other.closed) == (same, False)


async def test_what_left_is_forgotten() -> None:
    connections = Connections(10, 5)
    made = admitted(connections, *"aabbc")
    for one in (*made, *made):
        connections.left(one)
    assert len(connections) == 0
    assert not connections._of_peer
