"""A full house turns out whoever idles longest, and says no only when all are being answered."""

from __future__ import annotations

import asyncio
from typing import Any

from node.connections import Connections


class FakeTransport(asyncio.Transport):
    """Remembers what became of it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended = ""

    def write(self, data: Any) -> None:
        """Keep it."""
        self.written += data

    def close(self) -> None:
        """Closed in order."""
        self.ended = "closed"

    def abort(self) -> None:
        """Dropped."""
        self.ended = "aborted"


class Inner(asyncio.Protocol):
    """Counts what reaches it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.calls.append("made")

    def data_received(self, data: bytes) -> None:
        self.calls.append("data")

    def eof_received(self) -> bool:
        self.calls.append("eof")
        return True

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("lost")


class House:
    """Connections whose inner protocols can be looked at."""

    def __init__(self, limit: int) -> None:
        self.inners: list[Inner] = []
        self.connections = Connections(self._make, limit)

    def _make(self) -> Inner:
        self.inners.append(Inner())
        return self.inners[-1]

    def open(self) -> tuple[asyncio.Protocol, FakeTransport]:
        """One more connection."""
        protocol, transport = self.connections(), FakeTransport()
        protocol.connection_made(transport)
        return protocol, transport


def test_everything_is_passed_on() -> None:
    house = House(1)
    protocol, _ = house.open()
    protocol.data_received(b"x")
    protocol.pause_writing()
    protocol.resume_writing()
    assert protocol.eof_received() is True
    protocol.connection_lost(None)
    assert house.inners[0].calls == ["made", "data", "pause", "resume", "eof", "lost"]
    assert len(house.connections) == 0


def test_the_longest_idle_one_makes_room() -> None:
    house = House(3)
    opened = [house.open()[1] for _ in range(3)]
    with house.connections.answering(opened[0]):
        pass  # it was of use just now
    late = house.open()[1]
    assert [transport.ended for transport in opened] == ["", "aborted", ""]
    assert late.ended == ""
    assert (len(house.connections), house.connections.evicted) == (3, 1)


def test_who_is_being_answered_stays_and_a_newcomer_is_refused() -> None:
    house = House(2)
    first, second = house.open()[1], house.open()[1]
    with house.connections.answering(first), house.connections.answering(second):
        protocol, late = house.open()
        assert late.ended == "closed"
        head, _, body = late.written.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"Content-Length: %d\r\n" % len(body) in head + b"\r\n"
        for call in (protocol.pause_writing, protocol.resume_writing, protocol.eof_received):
            call()
        protocol.data_received(b"x")
        protocol.connection_lost(None)
        assert house.inners[2].calls == []
    assert (first.ended, second.ended, house.connections.refused) == ("", "", 1)
    assert house.open()[1].ended == ""


def test_a_connection_that_ends_while_it_is_answered_leaves_no_trace() -> None:
    house = House(1)
    protocol, transport = house.open()
    with house.connections.answering(transport):
        protocol.connection_lost(None)
    assert len(house.connections) == 0
    with house.connections.answering(None), house.connections.answering(FakeTransport()):
        assert len(house.connections) == 0
    assert house.open()[1].ended == ""
