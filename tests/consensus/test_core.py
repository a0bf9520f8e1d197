"""The protocol's scenarios, one at a time: normal case, view change, repair, refusals."""

from __future__ import annotations

import pytest

from consensus import effects as fx
from consensus.core import Core
from consensus.events import Received, Started, Timer, TimerFired
from consensus.messages import (
    Checkpoint,
    Decided,
    NewView,
    Propose,
    ViewChange,
    Vote,
)
from ledger.block import header_hash
from ledger.certificate import Phase
from ledger.ids import BlockHash, Epoch, Height, MemberIndex
from ledger.validators import ValidatorSet
from tests.consensus.bench import (
    GENESIS,
    KIT,
    START_MS,
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


def test_work_at_the_primary_is_committed_by_all() -> None:
    bench = committed_one()
    assert len({seat.core.replica.head.block_hash for seat in bench.seats.values()}) == 1


def test_a_vote_is_persisted_before_it_is_said() -> None:
    bench = committed_one()
    log = bench.seats[1].log
    for index, effect in enumerate(log):
        if isinstance(effect, fx.Broadcast) and isinstance(effect.message, Vote):
            assert isinstance(log[index - 1], fx.Persist)


def test_idle_primary_proposes_an_empty_block_when_its_time_came() -> None:
    bench = started()
    bench.fire(0, Timer.IDLE)
    assert bench.heights() == [1, 1, 1, 1]


def test_a_loaded_block_is_followed_by_a_pause() -> None:
    bench = started()
    bench.give(0, WORK)
    assert bench.heights() == [1, 1, 1, 1]
    bench.mono_ms += 5
    bench.fire(0, Timer.PROPOSE)
    assert bench.heights() == [2, 2, 2, 2]


def test_a_timer_that_was_armed_anew_does_not_fire_twice() -> None:
    bench = started()
    stale = bench.seats[0].timers[Timer.IDLE] - 1
    bench.give(0, TimerFired(Timer.IDLE, stale))
    assert bench.heights() == [0, 0, 0, 0]


def test_silent_primary_is_left_and_the_next_one_commits() -> None:
    bench = started()
    bench.drops = lambda source, target, message: 0 in (source, target)
    for index in (1, 2, 3):
        bench.give(index, WORK)
    for index in (1, 2):  # f+1: the third follows
        bench.fire(index, Timer.PROGRESS)
    assert bench.heights() == [0, 1, 1, 1]
    assert all(bench.seats[i].core.replica.view == 1 for i in (1, 2, 3))


def test_prepared_block_is_proposed_again_in_the_next_view() -> None:
    bench = started()
    bench.drops = lambda source, target, message: (
        isinstance(message, Vote) and message.phase is Phase.COMMIT and message.view == 0
    )
    bench.give(0, WORK)
    first = bench.seats[1].core.replica.highest
    assert first.phase is Phase.PREPARE
    bench.mono_ms += 60_000  # by now it would be too old to be fresh
    for index in (1, 2):
        bench.fire(index, Timer.PROGRESS)
    assert bench.heights() == [1, 1, 1, 1]
    assert bench.seats[2].core.replica.head.block_hash == first.block_hash


def test_f_members_pull_nobody_and_f_plus_one_do() -> None:
    bench = started()
    bench.give(0, Received(MemberIndex(3), view_change(3, 7)))
    assert bench.seats[0].core.replica.view == 0
    bench.give(0, Received(MemberIndex(2), view_change(2, 9)))
    assert bench.seats[0].core.replica.view == 7


def test_members_that_went_on_count_towards_the_timer_of_a_view() -> None:
    bench = Bench({0: Core(replica(0))})
    bench.give(0, Started())
    for index, view in ((1, 1), (2, 2)):
        bench.give(0, Received(MemberIndex(index), view_change(index, view)))
    seat = bench.seats[0]
    assert (seat.core.replica.view, seat.core.replica.installed) == (1, False)
    bench.fire(0, Timer.VIEW_CHANGE)
    assert seat.core.replica.view == 2


def test_two_proposals_are_evidence_and_end_the_view() -> None:
    bench = Bench({1: Core(replica(1))})
    bench.give(1, Started())
    for time_ms in (START_MS, START_MS + 1):
        made = propose(header(1, GENESIS, time_ms=time_ms), 0)
        bench.give(1, Received(MemberIndex(0), made))
    seat = bench.seats[1]
    assert [effect.evidence.kind for effect in seat.of(fx.Accuse)] == ["propose"]
    assert seat.core.replica.view == 1
    assert len([m for m in seat.said(Vote) if isinstance(m, Vote)]) == 1


@pytest.mark.parametrize("phase", [Phase.PREPARE, Phase.COMMIT])
def test_two_votes_are_evidence_and_the_first_counts(phase: Phase) -> None:
    bench = Bench({1: Core(replica(1))})
    bench.give(1, Received(MemberIndex(2), vote(phase, b"a" * 32, 2)))
    bench.give(1, Received(MemberIndex(2), vote(phase, b"b" * 32, 2)))
    bench.give(1, Received(MemberIndex(2), vote(phase, b"a" * 32, 2)))
    assert [e.evidence.kind for e in bench.seats[1].of(fx.Accuse)] == [phase.value]
    tally = bench.seats[1].core.replica.slot(1).votes(phase)
    assert tally[2].block_hash == b"a" * 32


def test_two_view_changes_for_one_view_are_evidence() -> None:
    bench = Bench({1: Core(replica(1))})
    highest = certify(Phase.PREPARE, b"x" * 32)
    bench.give(1, Received(MemberIndex(2), view_change(2, 1)))
    bench.give(1, Received(MemberIndex(2), view_change(2, 1, highest=highest)))
    assert [e.evidence.kind for e in bench.seats[1].of(fx.Accuse)] == ["view-change"]


def test_invalid_block_ends_the_view_at_once() -> None:
    bench = started()
    bench.drops = lambda source, target, message: target == 0
    bench.seats[1].verdict = bench.seats[2].verdict = bench.seats[3].verdict = "HEADER_MISMATCH"
    bench.give(0, WORK)
    for index in (1, 2, 3):
        bench.seats[index].verdict = ""
    assert [bench.seats[i].core.replica.view for i in (1, 2, 3)] == [1, 1, 1]


@pytest.mark.parametrize(
    "change",
    ["late", "early", "parent", "proposer", "height", "garbage", "signer", "epoch"],
)
def test_proposal_that_is_not_acceptable_gets_no_vote(change: str) -> None:
    bench = Bench({1: Core(replica(1))})
    made = header(1, GENESIS)
    sender = 0
    if change == "late":
        made = header(1, GENESIS, time_ms=START_MS + 501)
    elif change == "early":
        made = header(1, GENESIS, time_ms=START_MS - 2_501)
    elif change == "parent":
        made = header(1, b"p" * 32)
    elif change == "proposer":
        made = header(1, GENESIS, proposer=2)
    elif change == "epoch":
        made = header(1, GENESIS, epoch=1)
    elif change == "signer":
        sender = 2
    message = propose(made, sender)
    if change == "height":
        message = propose(header(2, GENESIS), 0)
        message = Propose(
            0, 0, 1, message.header, message.block_hash, message.commit, (), (), 0, b""
        )
    if change == "garbage":
        message = Propose(0, 0, 1, b"{}", b"g" * 32, message.commit, (), (), 0, b"")
    bench.give(1, Received(MemberIndex(0), message))
    assert bench.seats[1].of(fx.JudgeBlock) == []


def test_messages_of_a_view_not_reached_are_kept_and_bounded() -> None:
    bench = Bench({1: Core(replica(1))})
    for number in range(100):
        bench.give(1, Received(MemberIndex(2), vote(Phase.PREPARE, b"a" * 32, 2, view=number + 1)))
    assert len(bench.seats[1].core.replica.early[2]) == 64


def test_early_proposal_and_votes_are_handled_when_the_view_begins() -> None:
    bench = Bench({2: Core(replica(2))})
    bench.give(2, Started())
    made = propose(header(1, GENESIS, proposer=1), 1, view=1)
    bench.give(2, Received(MemberIndex(1), made))
    bench.give(2, Received(MemberIndex(1), vote(Phase.PREPARE, made.block_hash, 1, view=1)))
    assert bench.seats[2].of(fx.JudgeBlock) == []
    changes = tuple(view_change(index, 1) for index in (0, 1, 3))
    new_view = sign(NewView(0, 1, changes, 1, b""))
    bench.give(2, Received(MemberIndex(1), new_view))
    assert len(bench.seats[2].of(fx.JudgeBlock)) == 1
    assert set(bench.seats[2].core.replica.slot(1).prepares) == {1, 2}


def test_what_lies_below_a_views_start_is_caught_up_and_never_decided_again() -> None:
    bench = Bench({1: Core(replica(1)), 2: Core(replica(2))})
    bench.everyone(Started())
    bench.everyone(WORK)
    committed = certify(Phase.COMMIT, b"c" * 32, members=(0, 2, 3))
    changes = (
        view_change(0, 1, committed=committed),
        view_change(2, 1),
        view_change(3, 1),
    )
    for change in changes:
        bench.give(1, Received(MemberIndex(change.signer), change))
    one = bench.seats[1]
    assert one.core.replica.installed
    assert one.core.replica.start == 2
    assert [(e.member, e.height) for e in one.of(fx.Behind)] == [(0, 1)]
    assert one.of(fx.BuildBlock) == []  # it leads the view, but height 1 is decided
    made = propose(header(1, GENESIS, proposer=1), 1, view=1)
    bench.give(2, Received(MemberIndex(1), made))
    bench.give(2, Received(MemberIndex(1), vote(Phase.COMMIT, made.block_hash, 1, view=1)))
    assert bench.seats[2].said(Vote) == []
    assert bench.seats[2].core.replica.slots == {}


def test_contradicting_certificates_halt() -> None:
    bench = Bench({1: Core(replica(1))})
    a, b = (certify(Phase.PREPARE, c * 32) for c in (b"a", b"b"))
    changes = (view_change(0, 2, highest=a), view_change(2, 2, highest=b), view_change(3, 2))
    new_view = sign(NewView(0, 2, changes, 2, b""))
    bench.give(1, Received(MemberIndex(2), new_view))
    assert [effect.reason for effect in bench.seats[1].of(fx.Halt)] == ["SAFETY_VIOLATION"]
    bench.give(1, Started())
    assert len(bench.seats[1].log) == 1  # nothing after a halt
    assert bench.seats[1].core.replica.me is None


def test_a_view_that_contradicts_the_committed_head_halts() -> None:
    bench = committed_one()
    other = certify(Phase.PREPARE, b"o" * 32, view=0)
    changes = (view_change(0, 2, highest=other), view_change(2, 2), view_change(3, 2))
    bench.give(1, Received(MemberIndex(2), sign(NewView(0, 2, changes, 2, b""))))
    assert [effect.reason for effect in bench.seats[1].of(fx.Halt)] == ["SAFETY_VIOLATION"]


def test_a_new_primary_that_sees_a_contradiction_says_nothing() -> None:
    bench = Bench({1: Core(replica(1))})
    bench.give(1, Started())
    a, b = (certify(Phase.PREPARE, c * 32) for c in (b"a", b"b"))
    bench.give(1, Received(MemberIndex(0), view_change(0, 1, highest=a)))
    bench.give(1, Received(MemberIndex(2), view_change(2, 1, highest=b)))
    assert len(bench.seats[1].of(fx.Halt)) == 1
    assert bench.seats[1].said(NewView) == []


def test_own_vote_that_was_not_cast_here_halts() -> None:
    bench = Bench({1: Core(replica(1))})
    bench.give(1, Received(MemberIndex(1), vote(Phase.PREPARE, b"x" * 32, 1)))
    assert [effect.reason for effect in bench.seats[1].of(fx.Halt)] == ["CLONED_KEY"]


def test_what_is_old_or_of_another_epoch_is_ignored() -> None:
    bench = committed_one()
    seat = bench.seats[1]
    before = len(seat.log)
    old = propose(header(1, GENESIS), 0)
    for message in (
        old,
        vote(Phase.PREPARE, b"a" * 32, 2),
        vote(Phase.PREPARE, b"a" * 32, 2, height=2, epoch=1),
        view_change(2, 1, epoch=1),
        sign(NewView(1, 1, (), 1, b"")),
        Decided(certify(Phase.COMMIT, b"a" * 32)),
        Checkpoint(0, 64, b"r" * 32, 2, b""),
    ):
        bench.give(1, Received(MemberIndex(2), message))
    assert len(seat.log) == before


def test_votes_of_a_lower_view_and_an_older_new_view_are_ignored() -> None:
    bench = Bench({1: Core(replica(1))})
    bench.give(1, Started())
    for index in (0, 2, 3):
        bench.give(1, Received(MemberIndex(index), view_change(index, 1)))
    assert bench.seats[1].core.replica.installed
    before = len(bench.seats[1].log)
    changes = tuple(view_change(index, 1) for index in (0, 2, 3))
    for message in (
        vote(Phase.PREPARE, b"a" * 32, 2),
        propose(header(1, GENESIS), 0),
        sign(NewView(0, 1, changes, 1, b"")),
        view_change(0, 1),
    ):
        bench.give(1, Received(MemberIndex(2), message))
    assert len(bench.seats[1].log) == before


def test_a_closing_block_opens_the_next_epoch_at_view_0() -> None:
    bench = started()
    bench.closes = ValidatorSet(Epoch(1), KIT.validators.members)
    bench.give(0, WORK)
    for seat in bench.seats.values():
        replica_ = seat.core.replica
        assert (replica_.epoch, replica_.view, replica_.start) == (1, 0, 2)
        assert replica_.highest == replica_.head.certificate
    bench.closes = None
    bench.mono_ms += 5
    bench.fire(0, Timer.PROPOSE)
    assert bench.heights() == [2, 2, 2, 2]


def test_a_complaint_asks_for_a_view_above_every_certificate() -> None:
    bench = Bench({1: Core(replica(1))})
    bench.give(1, Started())
    made = header(1, GENESIS)
    certificate = certify(Phase.COMMIT, header_hash(made), view=5)
    bench.blocks[certificate.block_hash] = made
    bench.give(1, bench.applied(certificate))
    bench.fire(1, Timer.PROGRESS)
    assert bench.seats[1].core.replica.view == 6
    change = bench.seats[1].said(ViewChange)[-1]
    assert isinstance(change, ViewChange)
    assert change.highest == certificate


def test_no_vote_in_a_view_below_a_held_certificate() -> None:
    bench = Bench({1: Core(replica(1))})
    made = header(1, GENESIS)
    certificate = certify(Phase.COMMIT, header_hash(made), view=5)
    bench.blocks[certificate.block_hash] = made
    bench.give(1, bench.applied(certificate))
    following = header(2, header_hash(made))
    bench.give(1, Received(MemberIndex(0), propose(following, 0, commit=certificate)))
    assert bench.seats[1].said(Vote) == []
    assert bench.seats[1].core.replica.next_height == Height(2)
    assert BlockHash(certificate.block_hash) == bench.seats[1].core.replica.head.block_hash
