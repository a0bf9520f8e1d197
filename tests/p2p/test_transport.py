"""Sessions between members that behave, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import uvloop

from ledger.ids import ChainId
from p2p.peers import PeerMember
from p2p.transport import Identity, Transport
from p2p.wire import BLOCKS, CONSENSUS, CONTROL, TRANSACTIONS, Fault, PeerFault
from tests.p2p.network import FAST, KEYS, Node, members, network, timing, until

Main = Coroutine[Any, Any, None]
Run = Callable[[Main], None]
both_loops = pytest.mark.parametrize("run", [asyncio.run, uvloop.run])


def reached(node: Node, events: int) -> bool:
    return len(node.events) >= events


@both_loops
def test_payloads_arrive_whole_in_order_and_on_their_channel(run: Run) -> None:
    async def main() -> None:
        async with network("ab") as (a, b):
            sent = [
                (CONSENSUS, b"vote"),
                (TRANSACTIONS, b"t" * 300_000),
                (BLOCKS, b"b" * 16_777_216),
            ]
            for channel, payload in sent:
                assert a.transport.send("b", channel, payload)
            b.transport.broadcast(CONSENSUS, b"")
            await until(lambda: len(b.frames) == 3 and len(a.frames) == 1)
            assert b.frames == [("a", frame) for frame in sent]
            assert a.frames == [("b", (CONSENSUS, b""))]
            assert a.transport.stats.frames_sent[1:] == [1, 1, 1]
            assert b.transport.stats.bytes_received[BLOCKS] == 16_777_221
            (status,) = a.transport.peers()
            assert (status.name, status.up, status.banned_for_ms) == ("b", True, 0)
            await until(lambda: a.transport.peers()[0].rtt_ms is not None, "rtt", 2)
            assert a.transport.peers()[0].pending_bytes == 0

    run(main())


@both_loops
def test_each_pair_keeps_one_session(run: Run) -> None:
    async def main() -> None:
        async with network("abcd") as nodes:
            await until(
                lambda: all(node.sockets == 3 for node in nodes), "one socket for each pair"
            )
            await asyncio.sleep(0.15)
            dialled = {
                (node.name, peer.name): peer.dialled
                for node in nodes
                for peer in node.transport.peers()
            }
            assert all(dialled[one, other] != dialled[other, one] for one, other in dialled)
            for node in nodes:
                assert node.sockets == 3
                node.transport.broadcast(CONSENSUS, node.name.encode())
            await until(lambda: all(len(node.frames) == 3 for node in nodes), "everybody heard all")
            assert all(not event.startswith("down") for node in nodes for event in node.events)

    run(main())


def test_when_both_dial_at_once_the_dial_of_the_lower_index_stays() -> None:
    """Both ends dial in the same turn; nobody sees the session go down."""

    async def main() -> None:
        async with network("ab") as (a, b):
            await until(lambda: a.sockets == b.sockets == 1, "one socket")
            dialled = [node.transport.peers()[0].dialled for node in (a, b)]
            assert dialled == [True, False]
            assert (a.events, b.events) == (["up b"], ["up a"])

    for _ in range(10):
        asyncio.run(main())


@both_loops
def test_many_small_messages_are_few_socket_writes(run: Run) -> None:
    async def main() -> None:
        async with network("ab") as (a, b):
            writes = a.transport.stats.socket_writes
            for turn in range(100):
                for number in range(100):
                    a.transport.send("b", CONSENSUS, b"%d" % (100 * turn + number))
                await asyncio.sleep(0)
            await until(lambda: len(b.frames) == 10_000)
            assert [frame for _, (_, frame) in b.frames] == [b"%d" % n for n in range(10_000)]
            assert a.transport.stats.socket_writes - writes <= 110
            assert b.reads <= 110
            assert a.transport.stats.frames_dropped == [0, 0, 0, 0]

    run(main())


@both_loops
def test_a_dropped_session_comes_back(run: Run) -> None:
    async def main() -> None:
        async with network("ab") as (a, b):
            await until(lambda: a.sockets == b.sockets == 1)
            for count in (3, 5, 7):
                for session in tuple(a.transport._sessions):
                    session.abort()
                await until(partial(reached, a, count), "up again")
                await until(lambda: a.sockets == b.sockets == 1, "one socket")
            assert a.events == ["up b", *["down b connection-lost", "up b"] * 3]
            assert a.transport.send("b", CONSENSUS, b"still here")
            await until(lambda: b.frames)

    run(main())


def test_an_absent_member_is_dialled_ever_more_seldom() -> None:
    async def main() -> None:
        async with network("a", absent="b") as (a,):
            await asyncio.sleep(0.6)
            failures = a.transport.stats.handshake_failures["unreachable"]
            # 0, 20, 40, 80 and then every 100 ms, each scaled by 0.5 to 1.0.
            assert 4 <= failures <= 16
            assert not a.transport.send("b", CONSENSUS, b"nobody")
            assert a.transport.stats.frames_dropped[CONSENSUS] == 1

    asyncio.run(main())


def test_a_member_that_moves_is_found_at_its_new_address() -> None:
    async def main() -> None:
        async with network("a", absent="b") as (a,):
            b = await Node("b").start()
            ports = {"a": a.transport.port, "b": b.transport.port}
            a.transport.update_members(members(ports))
            await until(lambda: not b.transport.peers(), "b knows nobody yet")
            b.transport.update_members(members(ports))
            await until(lambda: a.ups == {"b"} and b.ups == {"a"})
            await b.transport.stop()
            await until(lambda: not a.ups)

    asyncio.run(main())


@both_loops
def test_a_removed_member_is_closed_at_once(run: Run) -> None:
    async def main() -> None:
        async with network("abc") as (a, b, c):
            a.transport.update_members(members({"a": a.transport.port, "b": b.transport.port}))
            assert a.events[-1] == "down c removed"
            assert [peer.name for peer in a.transport.peers()] == ["b"]
            assert not a.transport.send("c", CONSENSUS, b"x")
            a.transport.charge("c", PeerFault(Fault.MALFORMED))
            await until(lambda: "a" not in c.ups)
            await asyncio.sleep(0.2)
            assert "c" not in a.ups, "it cannot come back"
            assert a.transport.stats.handshake_failures["certificate"] >= 1
            a.transport.broadcast(CONSENSUS, b"on")
            await until(lambda: b.frames == [("a", (CONSENSUS, b"on"))])

    run(main())


def test_a_member_with_a_new_certificate_is_closed_at_once() -> None:
    async def main() -> None:
        async with network("ab") as (a, b):
            moved = PeerMember("b", f"127.0.0.1:{b.transport.port}", KEYS["d"][1])
            a.transport.update_members([*members({"a": a.transport.port}), moved])
            assert a.events[-1] == "down b removed"

    asyncio.run(main())


def test_the_dialler_refuses_another_member_at_that_address() -> None:
    async def main() -> None:
        async with network("ab") as (a, b):
            c = await Node("c").start()
            ports = {"a": a.transport.port, "b": b.transport.port, "c": c.transport.port}
            b.transport.update_members(members(ports))
            c.transport.update_members(members({**ports, "a": b.transport.port}))
            stats = c.transport.stats
            await until(lambda: stats.handshake_failures["wrong-member"] >= 1, "b is not a")
            assert "a" not in c.ups
            await c.transport.stop()

    asyncio.run(main())


def test_another_chain_is_refused_and_both_names_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        other = ChainId("staging:" + "1" * 32)
        a = await Node("a").start()
        b = await Node("b").start(chain=other)
        ports = {"a": a.transport.port, "b": b.transport.port}
        for node in (a, b):
            node.transport.update_members(members(ports))
        await until(lambda: a.transport.stats.handshake_failures["wrong-chain"] >= 1)
        assert not a.ups
        assert not b.ups
        assert a.transport.peers()[0].cost == 0
        await a.transport.stop()
        await b.transport.stop()

    asyncio.run(main())
    assert "staging:1111" in caplog.text
    assert "test:0000" in caplog.text


def test_silence_is_broken_by_pings() -> None:
    async def main() -> None:
        async with network("ab", timing(ping_ms=20, silence_ms=200)) as (a, b):
            await asyncio.sleep(0.6)
            assert (a.events, b.events) == (["up b"], ["up a"])
            assert a.transport.stats.frames_received[CONTROL] >= 6

    asyncio.run(main())


def test_start_fails_when_the_address_is_taken() -> None:
    async def main() -> None:
        async with network("a") as (a,):
            key, certificate = KEYS["b"]
            identity = Identity("b", ChainId("c"), "n", "s", key, certificate)
            listen = f"127.0.0.1:{a.transport.port}"
            second = Transport(identity, [], listen, a.transport._handlers, FAST)
            with pytest.raises(OSError, match="address already in use"):
                await second.start()
            await second.stop()
            with pytest.raises(ValueError, match="host:port"):
                Transport(identity, [], "nowhere", a.transport._handlers)
            with pytest.raises(ValueError, match="transport key"):
                Transport(replace(identity, key_pem=b""), [], listen, a.transport._handlers)
            with pytest.raises(ValueError, match="transport key"):
                a.transport.update_members([PeerMember("b", "127.0.0.1:1", b"no certificate")])

    asyncio.run(main())


def test_stop_leaves_nothing_behind() -> None:
    async def main() -> None:
        async with network("abc"):
            pass
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
