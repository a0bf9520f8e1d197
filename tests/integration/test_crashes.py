"""Nodes that are killed, paused, cut to a minority or wiped: nothing that was committed is lost."""

from __future__ import annotations

import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from consensus import records
from ledger.leveldb import LevelStore
from node.client import RpcRefusal
from tests.integration.load import Load, assert_nothing_lost
from tests.integration.network import AGENCIES, Net, document, until

pytestmark = pytest.mark.process


def leader(net: Net, index: int = 0) -> int:
    """Index of the node whose turn it is, as another one sees it."""

    def named() -> str | None:
        name: str | None = net.status(index)["leader"]
        return name

    return int(until(named, "a leader").removeprefix("val-"))


def test_the_leader_is_killed_under_load(net: Net) -> None:
    with Load(net) as load:
        load.wait_seen(300)
        victim = leader(net)
        net.kill(victim)
        load.wait_seen(300)
        net.start(victim)
        load.wait_seen(300)
    assert_nothing_lost(net, load)
    assert load.accepted


def test_all_four_are_killed_at_once_under_load(net: Net) -> None:
    with Load(net) as load:
        load.wait_seen(300)
        net.kill(0, 1, 2, 3)
        before = len(load.seen)
        net.start(0, 1, 2, 3)
        load.wait_seen(300)
    assert len(load.seen) > before
    assert_nothing_lost(net, load)


def test_two_of_four_commit_nothing_and_go_on_when_one_comes_back(net: Net) -> None:
    with Load(net, nodes=(0, 1)) as load:
        load.wait_seen(200)
        net.kill(2, 3)
        time.sleep(0.5)
        heads = net.heads((0, 1))
        time.sleep(2.5)
        after = net.heads((0, 1))
        assert max(heads) == max(after), "a minority committed"
        net.start(2)
        load.wait_seen(200, seconds=40)
    pending = [txid for txid in load.accepted if txid not in load.seen]
    net.start(3)
    for txid in pending:
        fate = net.call(0, "tx_wait", 40, id=txid, timeout_ms=30_000)
        assert fate["status"] == "committed"
    assert_nothing_lost(net, load)


def test_a_paused_node_rejoins(net: Net) -> None:
    with Load(net, nodes=(0, 1, 2)) as load:
        net.kill(3, number=signal.SIGSTOP)
        load.wait_seen(400)
        net.kill(3, number=signal.SIGCONT)
        load.wait_seen(200)
    assert_nothing_lost(net, load)
    until(lambda: net.status(3)["voting"], "the paused node votes again")


def test_a_wiped_node_follows_serves_and_signs_nothing(net: Net) -> None:
    victim = 3
    net.commit(net.sign(AGENCIES[0], document("a1")))
    net.wait_equal()
    net.kill(victim)
    shutil.rmtree(net.home(victim) / "data")
    mark = (net.home(victim) / "keys" / "vote_mark").read_bytes()
    before = net.status(0)["height"]
    net.start(victim)
    net.wait_equal()
    status = net.status(victim)
    assert (status["voting"], status["not_voting_reason"][:15]) == (False, "VOTE_STORE_LOST")
    with Load(net, rate=100) as load:
        load.wait_seen(300)
    assert_nothing_lost(net, load)
    height = net.status(0)["height"]
    assert height > before
    for index in range(4):
        for number in range(before + 1, height + 1):
            with suppress(RpcRefusal):  # a height that is certified through the one above it
                certificate = net.call(index, "chain_getCertificate", height=number)["certificate"]
                assert victim not in [member for member, _ in certificate["signatures"]]
    # A second start does not cure it, and the store holds no vote and no proposal of its key.
    net.kill(victim, number=signal.SIGTERM)
    until(lambda: _released(net.home(victim)), "the store is released")
    store = LevelStore(net.home(victim) / "data" / "ledger")
    try:
        held = records.restore(store.scan(records.PREFIX))
    finally:
        store.close()
    assert (held.votes, held.proposals) == ((), ())
    assert held.view is None or held.view.own_view_change is None
    assert (net.home(victim) / "keys" / "vote_mark").read_bytes() == mark
    net.start(victim)
    assert net.status(victim)["not_voting_reason"].startswith("VOTE_STORE_LOST")


def _released(home: Path) -> bool:
    import fcntl

    with (home / "data" / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
