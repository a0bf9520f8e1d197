"""What a node says was durable before: strace on one side, a listening member on the other.

TLS hides which socket write carries a vote. So a test takes the place of one member and notes when
each vote of the traced node arrives in clear, while strace makes every fdatasync of that node 40 ms
slower than loopback could ever be: a vote that was sent before its record was synced would arrive
before the sync's end.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from pathlib import Path

import pytest

from consensus import messages
from consensus.messages import Propose, Vote
from p2p.wire import CONSENSUS
from tests.integration.hostile import hostile
from tests.integration.network import AGENCIES, Net, document, network, until
from tests.integration.trace import Call, Trace, log_records, traced

pytestmark = pytest.mark.process
TRACED, PLAYED = 1, 3
SYNC_DELAY_MS = 40
COMMITS = 8

Heard = list[tuple[float, Vote | Propose]]


def drive(net: Net, heard: Heard) -> None:
    """A few commits, one after another, while member PLAYED listens to member TRACED."""

    async def main() -> None:
        async with hostile(net, PLAYED) as listener:
            seen = 0

            async def listen() -> None:
                nonlocal seen
                while True:
                    for peer, (channel, payload) in listener.frames[seen:]:
                        seen += 1
                        if peer == f"val-{TRACED}" and channel == CONSENSUS:
                            message = messages.decode(payload)
                            if isinstance(message, Vote | Propose):
                                heard.append((time.time(), message))
                    await asyncio.sleep(0.001)

            listening = asyncio.create_task(listen())
            for number in range(COMMITS):
                compact = net.sign(AGENCIES[number % 4], document(number))
                fate = await asyncio.to_thread(net.commit, compact)
                assert fate["status"] == "committed"
            await asyncio.sleep(0.3)
            listening.cancel()

    asyncio.run(main())


def test_no_vote_leaves_before_its_record_is_synced(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: type as root: apt-get install -y strace")
    folder = tmp_path_factory.mktemp("traced")
    heard: Heard = []
    with network(folder) as net:
        net.kill(PLAYED, number=signal.SIGTERM)
        until(lambda: '"stopped"' in net.logs(), "one node has stopped")
        try:
            with traced(net.pid(TRACED), folder / "trace", SYNC_DELAY_MS) as trace:
                drive(net, heard)
        except PermissionError as error:
            pytest.skip(str(error))
        logs = sorted((net.home(TRACED) / "data" / "ledger").glob("*.log"))
        assert len(logs) == 1
        log = logs[0].read_bytes()
    writes = [c for c in trace.calls if c.what == str(logs[0]) and c.name == "write"]
    written = sum(call.result for call in writes)
    check_order(trace, str(logs[0]))
    synced = sync_times(trace, str(logs[0]), len(log) - written)
    votes = [message for _, message in heard if isinstance(message, Vote)]
    assert len({(vote.phase, vote.height) for vote in votes}) >= 2 * (COMMITS - 1)
    durable = {payload: end for end, payload in log_records(log)}
    covered = 0
    for heard_at, message in heard:
        ends = [end for payload, end in durable.items() if covers(payload, message)]
        assert ends, f"never recorded: {message}"
        times = [moment for offset, moment in synced if offset >= min(ends)]
        if min(ends) > len(log) - written:
            assert times
            assert heard_at > min(times), f"said before it was durable: {message}"
            covered += 1
    assert covered >= 2 * (COMMITS - 1)


def covers(payload: bytes, message: Vote | Propose) -> bool:
    """Whether a batch makes it impossible to forget the message: it holds its record, or the
    decision at its height, below which nothing is voted for."""
    head = b"xhead\x08" + message.height.to_bytes(8, "big")
    return message.signature in payload or head in payload


def check_order(trace: Trace, log: str) -> None:
    """Between a write to the log and the end of its fdatasync nothing goes to any socket; when
    the vote mark moves with it, that is synced as well."""
    dirty: set[str] = set()
    syncs = 0
    for call in trace.calls:
        assert call.result >= 0, call
        if call.name in ("write", "pwrite64") and (
            call.what == log or Path(call.what).name == "vote_mark"
        ):
            dirty.add(call.what)
        elif call.name in ("fdatasync", "fsync"):
            dirty.discard(call.what)
            syncs += 1
            assert call.end - call.start >= SYNC_DELAY_MS / 1000, "the delay did not take"
        elif call.is_send:
            assert not dirty, f"{call} while {dirty} was not synced"
    marks = [c for c in trace.calls if Path(c.what).name == "vote_mark" and c.name == "pwrite64"]
    assert len(marks) >= COMMITS
    assert syncs >= 2 * COMMITS


def sync_times(trace: Trace, log: str, offset: int) -> list[tuple[int, float]]:
    """(bytes of the log that are durable, from when on), in order."""
    times: list[tuple[int, float]] = []
    for call in trace.calls:
        if call.what != log:
            continue
        if call.name == "write":
            offset += call.result
        else:
            times.append((offset, call.end))
    return times


def test_the_checks_would_notice(tmp_path: Path) -> None:
    log, mark, peer = "/x/000003.log", "/k/vote_mark", "TCP:[127.0.0.1:1->127.0.0.1:2]"

    def calls(*names: str) -> list[Call]:
        kinds = {
            "log": ("write", log),
            "sync": ("fdatasync", log),
            "mark": ("pwrite64", mark),
            "marksync": ("fdatasync", mark),
            "send": ("write", peer),
        }
        return [Call(*kinds[name], int(kinds[name][0] != "fdatasync"), 0, 1) for name in names]

    good = calls("log", "sync", "mark", "marksync", "send") * COMMITS
    check_order(Trace(tmp_path, good), log)
    for bad in (
        calls("log", "send", "sync", "mark", "marksync"),
        calls("log", "sync", "mark", "send", "marksync"),
    ):
        with pytest.raises(AssertionError):
            check_order(Trace(tmp_path, good + bad), log)
