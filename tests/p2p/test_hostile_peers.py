"""Members and strangers that misbehave: what they cost is bounded, and the others do not notice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
import uvloop

from p2p import framing, wire
from p2p.outbox import OutboxLimits
from p2p.peers import CostLimits
from p2p.strangers import StrangerLimits
from p2p.transport import TransportOptions
from p2p.wire import BLOCKS, CONSENSUS, CONTROL, TRANSACTIONS, Fault, PeerFault
from tests.p2p.network import FAST, Node, RawMember, network, timing, until


@contextlib.asynccontextmanager
async def good_traffic(a: Node, b: Node) -> AsyncIterator[None]:
    """Meanwhile a and b talk, on one session, without losing a word."""
    stop, sent = False, 0

    async def talk() -> None:
        nonlocal sent
        while not stop:
            assert a.transport.send("b", CONSENSUS, b"%d" % sent)
            sent += 1
            await asyncio.sleep(0.001)

    talking = asyncio.create_task(talk())
    try:
        yield
        await asyncio.sleep(0.02)
    finally:
        stop = True
        await talking
    await until(lambda: len([1 for name, _ in b.frames if name == "a"]) == sent, "all heard")
    heard = [frame for name, frame in b.frames if name == "a"]
    assert heard == [(CONSENSUS, b"%d" % number) for number in range(sent)]
    assert [event for event in a.events if "b" in event.split()] == ["up b"]
    assert [event for event in b.events if event.split()[1] == "a"] == ["up a"]


async def raw_up(name: str, node: Node) -> RawMember:
    """A hand-driven session with `node`, hello said and heard."""
    raw = await RawMember.dial(name, node)
    raw.hello()
    await until(lambda: name in node.ups)
    return raw


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_strangers_garbage_and_hangers_on_are_bounded(run: Callable[..., None]) -> None:
    options = replace(FAST, stranger_limits=StrangerLimits(total_max=6, per_address_max=3))

    async def main() -> None:
        async with network("ab", options) as (a, b), good_traffic(a, b):
            writers = []
            for number in range(40):
                _, writer = await asyncio.open_connection("127.0.0.1", b.transport.port)
                writer.write((b"\x16\x03\x01\x02", b"GET / HTTP/1.1\r\n\r\n", b"")[number % 3])
                writers.append(writer)
                await asyncio.sleep(0.001)
                assert len(b.transport._strangers) <= 3
            await until(lambda: b.transport.stats.connections_accepted >= 40)
            failures = b.transport.stats.handshake_failures
            assert failures["evicted"] >= 10
            assert failures["protocol"] >= 10
            assert b.sockets <= 1 + 3
            for writer in writers:
                writer.transport.abort()

    run(main())


def test_a_loris_that_trickles_its_handshake_is_cut_at_the_deadline() -> None:
    async def main() -> None:
        async with network("ab", timing(handshake_ms=150)) as (a, b), good_traffic(a, b):
            reader, writer = await asyncio.open_connection("127.0.0.1", b.transport.port)
            writer.write(b"\x16\x03\x01\x40\x00")
            started = asyncio.get_running_loop().time()
            with contextlib.suppress(OSError):
                while not reader.at_eof():
                    writer.write(b"\x01")
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(reader.read(100), 0.01)
            assert asyncio.get_running_loop().time() - started < 2
            assert b.transport.stats.handshake_failures["timeout"] == 1
            writer.transport.abort()

    asyncio.run(main())


def test_a_member_that_never_says_hello_is_cut_at_the_deadline() -> None:
    async def main() -> None:
        async with (
            network("ab", timing(handshake_ms=150), absent="c") as (a, b),
            good_traffic(a, b),
        ):
            raw = await RawMember.dial("c", b)
            (hello,) = await raw.hear()
            assert hello[0] == CONTROL
            assert "c" not in b.ups
            assert b.transport.stats.handshake_failures["timeout"] == 1
            await raw.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (framing.encode(CONSENSUS, b"vote"), "malformed"),
        (framing.encode(CONTROL, wire.encode(wire.Ping(1))), "malformed"),
        (framing.encode(CONTROL, b"\xc1"), "malformed"),
        (b"\xff\xff\xff\xff\x00", "too-large"),
        (framing.encode(CONTROL, wire.encode(wire.Hello(2, "x", "n", "s"))), "wrong-version"),
        (framing.encode(CONTROL, wire.encode(wire.Hello(1, "x", "n", "s"))), "wrong-chain"),
    ],
)
def test_nothing_but_the_right_hello_is_accepted_first(first: bytes, reason: str) -> None:
    async def main() -> None:
        async with network("ab", absent="c") as (a, b), good_traffic(a, b):
            raw = await RawMember.dial("c", b)
            raw.writer.write(first)
            assert len(await raw.hear()) == 1, "our hello, and no more"
            assert b.transport.stats.handshake_failures[reason] == 1
            assert "c" not in b.ups
            assert ("c", (CONSENSUS, b"vote")) not in b.frames
            charged = sum(b.transport.stats.faults.values())
            assert charged == (0 if reason.startswith("wrong") else 1)
            await raw.close()

    asyncio.run(main())


def test_hello_and_frames_may_come_in_one_write_and_in_halves() -> None:
    async def main() -> None:
        async with network("a", absent="c") as (a,):
            raw = await RawMember.dial("c", a)
            raw.hello()
            raw.say(CONSENSUS, b"one")
            last = framing.encode(BLOCKS, b"two")
            raw.writer.write(last[:3])
            await until(lambda: len(a.frames) == 1)
            raw.writer.write(last[3:])
            await until(lambda: len(a.frames) == 2)
            assert a.frames == [("c", (CONSENSUS, b"one")), ("c", (BLOCKS, b"two"))]
            await raw.close()
            await until(lambda: not a.ups)

    asyncio.run(main())


@pytest.mark.parametrize("header", [b"\x00\x00\x00\x00\x01", b"\x00\x00\x00\x01\x04", b"\xff" * 5])
def test_a_broken_frame_ends_the_session_after_the_good_ones_before_it(header: bytes) -> None:
    async def main() -> None:
        async with network("ab", absent="c") as (a, b), good_traffic(a, b):
            raw = await raw_up("c", b)
            raw.writer.write(framing.encode(TRANSACTIONS, b"good") + header + b"\x00" * 1_000)
            await raw.hear()
            assert ("c", (TRANSACTIONS, b"good")) in b.frames
            assert b.events[-1].startswith("down c ")
            assert 1_900 < next(p.cost for p in b.transport.peers() if p.name == "c") < 2_100
            await raw.close()

    asyncio.run(main())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_faults_lead_to_a_ban(run: Callable[..., None]) -> None:
    options = replace(FAST, cost_limits=CostLimits(soft=50_000, hard=9_000))

    async def main() -> None:
        async with network("ab", options, absent="c") as (a, b), good_traffic(a, b):
            raw = await raw_up("c", b)
            late = framing.encode(CONTROL, wire.encode(wire.Ping(1))) + framing.encode(BLOCKS, b"")
            raw.writer.write(framing.encode(CONTROL, b"\xc1") * 5 + late)
            await raw.hear()
            assert "c" not in [name for name, _ in b.frames], "nothing is taken after the ban"
            assert [p.pending_bytes for p in b.transport.peers() if p.name == "c"] == [0]
            await raw.close()
            assert b.events[-1] == "down c banned"
            assert b.transport.stats.faults["malformed"] == 5
            assert b.transport.stats.bans == 1
            status = next(peer for peer in b.transport.peers() if peer.name == "c")
            assert 59_000 < status.banned_for_ms <= 60_000
            raw = await RawMember.dial("c", b)
            raw.hello()
            assert await raw.hear() == []
            await raw.close()
            assert b.transport.stats.handshake_failures["banned"] == 1

    run(main())


def test_charging_from_a_handler_bans_and_stops_the_rest() -> None:
    options = replace(FAST, cost_limits=CostLimits(soft=50_000, hard=2_500))

    async def main() -> None:
        async with network("ab", options) as (a, b):
            for _ in range(3):
                b.transport.charge("a", PeerFault(Fault.SIGNATURE_INVALID))
            assert b.events[-1] == "down a banned"
            b.transport.charge("a", PeerFault(Fault.SIGNATURE_INVALID))
            await until(lambda: not a.ups)

    asyncio.run(main())


def test_above_the_soft_limit_reading_pauses_and_goes_on() -> None:
    limits = CostLimits(soft=200, hard=10**6, half_life_ms=50)

    async def main() -> None:
        async with network("ab", replace(FAST, cost_limits=limits)) as (a, b):
            started = asyncio.get_running_loop().time()
            for _ in range(8):
                assert a.transport.send("b", BLOCKS, bytes(262_144))
            await until(lambda: len(b.frames) == 8)
            # 2,048 units over an account that holds 200 and loses half in 50 ms.
            assert asyncio.get_running_loop().time() - started > 0.2
            assert (a.events, b.events) == (["up b"], ["up a"])

    asyncio.run(main())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_peer_that_never_reads_costs_a_bounded_outbox(run: Callable[..., None]) -> None:
    outbox = OutboxLimits(bytes_max=(65_536, 2_000_000, 8_000_000, 17_000_000))
    options = TransportOptions(
        backoff=FAST.backoff,
        outbox_limits=outbox,
        timing=timing(ping_ms=100, silence_ms=600).timing,
    )

    async def main() -> None:
        async with network("ab", options, absent="c") as (a, b), good_traffic(a, b):
            raw = await raw_up("c", b)
            raw.stop_reading()
            worst = 0
            for number in range(300):
                b.transport.send("c", BLOCKS, bytes(1_000_000))
                b.transport.send("c", CONSENSUS, b"%06d" % number + bytes(100_000))
                raw.say(CONTROL, wire.encode(wire.Ping(number)))
                await asyncio.sleep(0.001)
                status = next(peer for peer in b.transport.peers() if peer.name == "c")
                worst = max(worst, status.pending_bytes)
            assert worst < 2_000_000 + 17_000_000 + 2_500_000
            assert b.transport.stats.frames_dropped[BLOCKS] > 200
            assert b.transport.stats.frames_dropped[CONSENSUS] > 200
            await until(lambda: "c" not in b.ups, "cut")
            assert b.events[-1] == "down c not-reading"
            assert [p.pending_bytes for p in b.transport.peers() if p.name == "c"] == [0]
            await raw.close()

    run(main())


def test_a_silent_peer_is_cut() -> None:
    async def main() -> None:
        async with network("ab", timing(ping_ms=20, silence_ms=200), absent="c") as (a, b):
            raw = await raw_up("c", b)
            frames = await raw.hear()
            pings = [frame for frame in frames if frame[1].startswith(b"\x92\xa4ping")]
            assert len(pings) >= 3
            assert b.events[-1] == "down c silent"
            assert (a.events, "up a" in b.events) == (["up b"], True)
            await raw.close()

    asyncio.run(main())


def test_a_second_dial_of_the_same_member_replaces_the_first() -> None:
    async def main() -> None:
        async with network("a", absent="c") as (a,):
            first = await raw_up("c", a)
            second = await RawMember.dial("c", a)
            second.hello()
            await first.hear()
            a.transport.send("c", CONSENSUS, b"for the second")
            second.say(CONSENSUS, b"from the second")
            await until(lambda: a.frames)
            assert a.events == ["up c", "down c replaced", "up c"]
            assert a.sockets == 1
            await first.close()
            await second.close()
            await until(lambda: not a.ups)

    asyncio.run(main())


def test_a_dial_long_after_the_other_side_dialled_means_that_the_session_is_dead() -> None:
    """b lost power and came back: a, the lower index, still holds the session that it dialled."""

    async def main() -> None:
        async with network("ab", timing(handshake_ms=200)) as (a, b):
            await until(lambda: a.sockets == b.sockets == 1)
            assert a.transport.peers()[0].dialled
            await asyncio.sleep(0.5)
            raw = await RawMember.dial("b", a)
            raw.hello()
            await until(lambda: len(a.events) >= 3)
            assert a.events[:3] == ["up b", "down b replaced", "up b"]
            await raw.close()

    asyncio.run(main())
