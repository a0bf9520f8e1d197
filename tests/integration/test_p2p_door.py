"""A hostile member and strangers at the peers' port: charged, banned, bounded; commits go on."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from consensus import messages
from consensus.messages import Heartbeat, Status, Vote, signed_text
from ledger.certificate import Phase
from ledger.crypto import sha256
from node import wire as blocks
from p2p import framing, wire
from p2p.wire import BLOCKS, CONSENSUS, TRANSACTIONS
from tests.builders import signer
from tests.integration.hostile import Hostile, hostile, raw_session
from tests.integration.network import AGENCIES, Net, document, network, until

pytestmark = pytest.mark.process
BAD = 3
HONEST = (0, 1, 2)
FAULTS = ("transaction-invalid", "malformed", "signature-invalid")


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    """Four validators of which number 3 was stopped."""
    with network(tmp_path_factory.mktemp("peers")) as running:
        running.kill(BAD, number=signal.SIGTERM)
        until(lambda: _closed(running.port(BAD, "p2p")), "the node has stopped")
        yield running


def _closed(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def commits(net: Net, count: int = 3) -> None:
    """The honest quorum commits, promptly, and agrees."""
    for number in range(count):
        started = time.monotonic()
        fate = net.commit(net.sign(AGENCIES[number], document(number)), index=number)
        assert fate["status"] == "committed"
        assert time.monotonic() - started < 15
    net.wait_equal(HONEST)
    assert all(net.status(index)["voting"] and not net.status(index)["syncing"] for index in HONEST)


def answers(bad: Hostile) -> list[int]:
    """Sizes of what came on the blocks channel."""
    return [len(frame[1]) for _, frame in bad.frames if frame[0] == BLOCKS]


def charged(net: Net, fault: str) -> float:
    """How often honest nodes charged a fault."""
    return sum(net.metric(index, f'faults_total{{fault="{fault}"') for index in HONEST)


def status_of(bad: Hostile, **fields: int) -> bytes:
    """A Status of the hostile member, well signed, saying what it likes."""
    values = {"epoch": 0, "view": 0, "committed": 0, **fields}
    unsigned = Status(
        values["epoch"], values["view"], True, values["committed"], False, BAD, signature=b""
    )
    signature = bad.votes.sign(signed_text(unsigned, bad.net.chain))
    return messages.encode(
        Status(unsigned.epoch, unsigned.view, True, unsigned.committed, False, BAD, signature)
    )


def test_a_member_that_lies_about_heights_and_asks_for_too_much(net: Net) -> None:
    fate = net.commit(net.sign(AGENCIES[0], *[document(number) for number in range(16)]))
    net.wait_equal(HONEST)
    head = net.call(0, "chain_getBlock", height=fate["height"])
    body = bytes.fromhex(head["block_hash"])
    ids = [sha256(compact.encode()) for compact in head["transactions"]]
    assert ids

    async def main() -> None:
        async with hostile(net, BAD) as bad:
            # One request that names one transaction ten thousand times.
            many = blocks.WantBodies(body, tuple(ids * (10_000 // len(ids))))
            bad.say(BLOCKS, blocks.encode(many))
            bad.say(BLOCKS, blocks.encode(blocks.WantBodies(body, tuple(ids * 20_000))))
            await bad.until(lambda: answers(bad), "an answer")
            for height in (10**6, 2**53 - 1, 2**63, 2**64 - 1, -1, -(2**63)):
                bad.say(CONSENSUS, status_of(bad, committed=height))
                bad.say(CONSENSUS, status_of(bad, view=height))
                bad.say(CONSENSUS, status_of(bad, epoch=height))
                beat = Heartbeat(0, 0, height, BAD, b"")
                signature = bad.votes.sign(signed_text(beat, net.chain))
                bad.say(CONSENSUS, messages.encode(Heartbeat(0, 0, height, BAD, signature)))
                bad.say(BLOCKS, blocks.encode(blocks.WantBlocks(height, 64)))
                bad.say(BLOCKS, blocks.encode(blocks.WantBlocks(1, height)))
            bad.say(BLOCKS, blocks.encode(blocks.WantBlock(bytes(7))))
            await asyncio.to_thread(commits, net)
            assert max(answers(bad)) < 1_000_000
            assert bad.up == {"val-0", "val-1", "val-2"}

    asyncio.run(main())


def test_oversized_and_half_frames_end_the_session(net: Net) -> None:
    async def main() -> None:
        for first in (
            framing.encode(CONSENSUS, b"x")[:3],
            b"\xff\xff\xff\xff\x01",
            (2**20 + 2).to_bytes(4, "big") + b"\x01",
            b"\x00\x00\x00\x00\x01",
            b"\x00\x00\x00\x02\x09x",
        ):
            reader, writer = await raw_session(net, BAD, 0)
            writer.write(first)
            if len(first) < 4:
                writer.transport.abort()  # half a frame, then gone
            with contextlib.suppress(OSError):
                async with asyncio.timeout(10):
                    while await reader.read(65_536):
                        pass
            writer.transport.abort()
        await asyncio.to_thread(commits, net)

    asyncio.run(main())
    assert charged(net, "too-large") >= 2


def test_strangers_at_the_peers_port_are_bounded(net: Net) -> None:
    port = net.port(0, "p2p")
    with contextlib.ExitStack() as stack:
        sockets = []
        for number in range(300):
            idle = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            with contextlib.suppress(OSError):
                idle.sendall((b"", b"\x16\x03\x01\x02", b"GET / HTTP/1.1\r\n\r\n")[number % 3])
            sockets.append(idle)
        commits(net)
        still_open = 0
        for idle in sockets:
            idle.setblocking(False)
            try:
                still_open += idle.recv(100) != b""
            except BlockingIOError:
                still_open += 1
            except OSError:
                pass
        assert still_open <= 64


def test_last_a_hostile_member_is_charged_and_banned_and_the_others_go_on(net: Net) -> None:
    noise = random.Random(7)

    async def main() -> None:
        async with hostile(net, BAD) as bad:
            # Not yet a ban: one of each.
            before = {fault: await asyncio.to_thread(charged, net, fault) for fault in FAULTS}

            def more(fault: str) -> float:
                return charged(net, fault) - before[fault]

            stranger = signer("stranger")
            raws = (
                b"garbage",
                net.sign(AGENCIES[0], document(), aud="other:" + "0" * 32).encode(),
                net.sign(AGENCIES[0], document())[:-86].encode() + b"A" * 86,
            )
            bad.say(TRANSACTIONS, wire.encode(wire.Transactions(raws)))
            vote = Vote(0, Phase.PREPARE, 0, 10**6, bytes(32), BAD, stranger.sign(b"no"))
            bad.say(CONSENSUS, messages.encode(vote))
            for channel in (CONSENSUS, TRANSACTIONS, BLOCKS):
                bad.say(channel, b"\xc1\xff" + noise.randbytes(50))
            bad.say(BLOCKS, blocks.encode(blocks.Blocks(1, ())))
            bad.say(BLOCKS, blocks.encode(blocks.Bodies(bytes(32), (b"x",))))
            await bad.until(lambda: more("transaction-invalid") >= 9, "bad transactions")
            await bad.until(lambda: more("malformed") >= 9, "garbage")
            await bad.until(lambda: more("signature-invalid") >= 3, "wrong signatures")
            # Expired and unknown keys are nobody's fault.
            blameless = (
                net.sign(AGENCIES[0], document(), exp=1).encode(),
                net.sign(AGENCIES[0], document(), key=stranger).encode(),
            )
            bad.say(TRANSACTIONS, wire.encode(wire.Transactions(blameless)))
            await asyncio.to_thread(commits, net)
            assert await asyncio.to_thread(more, "transaction-invalid") == 9
            assert bad.up == {"val-0", "val-1", "val-2"}
            # Enough of it is a ban on every node.
            for number in range(260):
                bad.say(CONSENSUS, b"\xc1" + number.to_bytes(4, "big"))
                await asyncio.sleep(0.002)
            await bad.until(lambda: not bad.up, "banned everywhere")
            await asyncio.to_thread(commits, net)
            for index in HONEST:
                peers = (await asyncio.to_thread(net.call, index, "node_peers"))["peers"]
                (row,) = [peer for peer in peers if peer["name"] == "val-3"]
                assert row["connected"] is False
                assert row["banned_for_ms"] > 30_000

    asyncio.run(main())
