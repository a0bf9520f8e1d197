"""STATUS, HEARTBEAT and what says that a node is behind: how losses are repaired."""

from __future__ import annotations

import pytest

from consensus import effects as fx
from consensus.core import Core
from consensus.events import Received, Started, Timer, Work
from consensus.messages import (
    Decided,
    Heartbeat,
    Message,
    NewView,
    Propose,
    Status,
    ViewChange,
    Vote,
)
from ledger.block import header_hash
from ledger.certificate import Phase
from ledger.ids import MemberIndex
from tests.consensus.bench import (
    GENESIS,
    QUIET,
    WORK,
    Bench,
    certify,
    committed_one,
    header,
    propose,
    replica,
    sign,
    started,
    view_change,
    vote,
)


def test_a_node_without_a_vote_key_follows_and_is_silent() -> None:
    bench = Bench(
        {0: Core(replica(0)), 1: Core(replica(1)), 2: Core(replica(2)), 9: Core(replica(None))}
    )
    bench.everyone(Started())
    bench.give(0, WORK)
    assert bench.heights() == [1, 1, 1, 1]
    assert bench.seats[9].of(fx.Broadcast) == []
    bench.fire(9, Timer.PROGRESS)
    bench.fire(9, Timer.STATUS)
    bench.give(9, Received(MemberIndex(1), status(0, committed=0)))
    assert bench.seats[9].of(fx.Broadcast) == []


def status(
    signer: int, *, view: int = 0, committed: int = 0, installed: bool = True, epoch: int = 0
) -> Message:
    return sign(Status(epoch, view, installed, committed, False, signer, b""))


def hear(bench: Bench, index: int, message: Message) -> None:
    """A STATUS of member 2, long enough after the last one to be answered."""
    bench.mono_ms += 1_000
    bench.give(index, Received(MemberIndex(2), message))


def sends(bench: Bench, index: int) -> list[Message]:
    return [effect.message for effect in bench.seats[index].of(fx.Send)]


def test_status_of_one_ahead_asks_for_blocks_and_one_behind_gets_an_answer() -> None:
    bench = committed_one()
    hear(bench, 1, status(2, committed=5))
    assert [(e.member, e.height) for e in bench.seats[1].of(fx.Behind)] == [(2, 5)]
    hear(bench, 1, status(2, committed=0))
    answer = sends(bench, 1)[-1]
    assert isinstance(answer, Status)
    assert answer.committed == 1


def test_status_of_a_lower_view_gets_the_view_and_of_a_higher_one_nothing() -> None:
    bench = Bench({0: Core(replica(0)), 1: Core(replica(1))})
    bench.everyone(Started())
    bench.fire(1, Timer.PROGRESS)
    hear(bench, 1, status(2))
    assert isinstance(sends(bench, 1)[-1], ViewChange)
    for index in (2, 3):
        bench.give(1, Received(MemberIndex(index), view_change(index, 1)))
    hear(bench, 1, status(2))
    assert isinstance(sends(bench, 1)[-1], NewView)
    count = len(sends(bench, 1))
    hear(bench, 1, status(2, view=4))
    assert len(sends(bench, 1)) == count


def test_status_of_an_equal_gets_the_proposal_and_own_votes() -> None:
    bench = started()
    bench.drops = lambda source, target, message: isinstance(message, Vote)
    bench.give(0, WORK)
    hear(bench, 1, status(2))
    assert [type(message) for message in sends(bench, 1)] == [Propose, Vote]
    hear(bench, 2, status(2, installed=False))
    assert [type(message) for message in sends(bench, 2)] == [Propose, Vote]


def test_heartbeats_renew_patience_of_the_idle_alone() -> None:
    bench = started()
    bench.fire(0, Timer.HEARTBEAT)
    beat = sign(Heartbeat(0, 0, 0, 0, b""))
    bench.mono_ms += 1_000
    for index, event, renewed in ((1, QUIET, True), (2, WORK, False)):
        bench.give(index, event)
        token = bench.seats[index].timers.get(Timer.PROGRESS)
        bench.give(index, Received(MemberIndex(0), beat))
        assert (bench.seats[index].timers.get(Timer.PROGRESS) != token) is renewed


@pytest.mark.parametrize(
    "beat",
    [Heartbeat(0, 1, 0, 0, b""), Heartbeat(1, 0, 0, 0, b""), Heartbeat(0, 0, 0, 2, b"")],
)
def test_heartbeats_of_another_view_or_of_no_primary_renew_nothing(beat: Heartbeat) -> None:
    bench = started()
    token = bench.seats[1].timers[Timer.PROGRESS]
    bench.give(1, Received(MemberIndex(0), beat))
    assert bench.seats[1].timers[Timer.PROGRESS] == token


def test_a_heartbeat_of_one_ahead_asks_for_blocks() -> None:
    bench = started()
    bench.give(1, Received(MemberIndex(0), sign(Heartbeat(0, 0, 3, 0, b""))))
    assert [(e.member, e.height) for e in bench.seats[1].of(fx.Behind)] == [(0, 3)]


def test_overdue_work_is_a_reason_to_leave_unless_this_node_leads() -> None:
    bench = started()
    bench.drops = lambda source, target, message: True
    late = Work(pending=True, overdue=True)
    for index in (0, 1):
        bench.give(index, late)
    assert [bench.seats[i].core.replica.view for i in (0, 1)] == [0, 1]
    bench.give(1, late)  # it has left already
    assert bench.seats[1].core.replica.view == 1


def test_a_commit_certificate_decides_when_the_block_is_here_and_asks_when_it_is_not() -> None:
    bench = Bench({1: Core(replica(1))})
    made = header(1, GENESIS)
    certificate = certify(Phase.COMMIT, header_hash(made))
    bench.give(1, Received(MemberIndex(2), Decided(certificate)))
    assert [(e.member, e.height) for e in bench.seats[1].of(fx.Behind)] == [(2, 1)]
    bench.give(1, Received(MemberIndex(0), propose(made, 0)))
    bench.give(1, Received(MemberIndex(2), Decided(certificate)))
    assert bench.heights() == [1]
    bench.give(1, Received(MemberIndex(2), Decided(certificate)))
    assert len(bench.seats[1].of(fx.Decide)) == 1


def test_commits_for_a_block_that_is_not_here_ask_for_it() -> None:
    bench = Bench({1: Core(replica(1))})
    for index in (0, 2, 3):
        bench.give(1, Received(MemberIndex(index), vote(Phase.COMMIT, b"z" * 32, index)))
    assert [(e.member, e.height) for e in bench.seats[1].of(fx.Behind)] == [(0, 1)]


def test_votes_and_proposals_far_ahead_say_that_we_are_behind() -> None:
    bench = Bench({1: Core(replica(1))})
    bench.give(1, Received(MemberIndex(2), vote(Phase.COMMIT, b"z" * 32, 2, height=9)))
    commit = certify(Phase.COMMIT, b"y" * 32, height=6)
    far = propose(header(7, b"y" * 32), 0, commit=commit)
    bench.give(1, Received(MemberIndex(0), far))
    assert [(e.member, e.height) for e in bench.seats[1].of(fx.Behind)] == [(2, 8), (0, 6)]


def test_a_primary_that_owes_a_block_gets_no_more_patience() -> None:
    bench = Bench({2: Core(replica(2))})
    bench.give(2, Started())
    prepared = certify(Phase.PREPARE, b"t" * 32)
    changes = (view_change(0, 1), view_change(1, 1, highest=prepared), view_change(3, 1))
    bench.give(2, Received(MemberIndex(1), sign(NewView(0, 1, changes, 1, b""))))
    token = bench.seats[2].timers[Timer.PROGRESS]
    bench.give(2, Received(MemberIndex(1), sign(Heartbeat(0, 1, 0, 1, b""))))
    assert bench.seats[2].timers[Timer.PROGRESS] == token


def test_a_primary_whose_own_proposal_grew_too_old_stops_its_heartbeat() -> None:
    bench = started()
    bench.drops = lambda source, target, message: True
    primary = bench.seats[0].core.replica
    bench.fire(0, Timer.HEARTBEAT)
    assert len(bench.seats[0].said(Heartbeat)) == 1
    primary.own_proposals[(0, 1)] = propose(header(1, GENESIS), 0)
    bench.mono_ms += 60_000
    bench.fire(0, Timer.IDLE)
    bench.fire(0, Timer.HEARTBEAT)
    assert primary.slot(1).propose is None
    assert len(bench.seats[0].said(Heartbeat)) == 1
