"""What survives a crash still binds."""

from __future__ import annotations

import msgspec
import pytest

from consensus import effects as fx
from consensus import records
from consensus.core import Core, recover
from consensus.events import Received, Started, Timer, Work
from consensus.messages import NewView, Propose, ViewChange, Vote
from consensus.replica import Replica
from ledger.certificate import Phase
from ledger.ids import MemberIndex
from tests.consensus.bench import (
    GENESIS,
    Bench,
    Seat,
    certify,
    header,
    propose,
    replica,
    sign,
    view_change,
    vote,
)


def table(seat: Seat) -> dict[bytes, bytes]:
    """Table `w` after everything that the seat persisted."""
    rows: dict[bytes, bytes | None] = {}
    for effect in seat.of(fx.Persist):
        rows.update(effect.writes)
    return {key: value for key, value in rows.items() if value is not None}


def reborn(seat: Seat, index: int) -> Replica:
    """The replica that a crash of `seat` leaves, on the same head."""
    fresh = replica(index)
    fresh.head = seat.core.replica.head
    recover(fresh, records.restore(sorted(table(seat).items())))
    return fresh


def test_votes_are_said_again_and_never_others() -> None:
    bench = Bench({1: Core(replica(1))})
    first = propose(header(1, GENESIS), 0)
    bench.give(1, Received(MemberIndex(0), first))
    again = Bench({1: Core(reborn(bench.seats[1], 1))})
    other = propose(header(1, GENESIS, time_ms=first_time(first) + 1), 0)
    again.give(1, Received(MemberIndex(0), other))
    assert again.seats[1].said(Vote) == []
    once_more = Bench({1: Core(reborn(bench.seats[1], 1))})
    once_more.give(1, Received(MemberIndex(0), first))
    assert once_more.seats[1].said(Vote) == bench.seats[1].said(Vote)


def first_time(message: Propose) -> int:
    """Time of a proposal's header."""
    return int(msgspec.json.decode(message.header)["time_ms"])


def test_own_proposal_is_proposed_again_and_no_other_is_made() -> None:
    bench = Bench({0: Core(replica(0))})
    bench.give(0, Started())
    bench.give(0, Work(pending=True, overdue=False))
    made = bench.seats[0].said(Propose)
    again = Bench({0: Core(reborn(bench.seats[0], 0))})
    again.mono_ms += 700
    again.give(0, Started())
    assert again.seats[0].said(Propose) == made
    assert again.seats[0].of(fx.BuildBlock) == []


def test_left_view_stays_left() -> None:
    bench = Bench({1: Core(replica(1))})
    bench.give(1, Started())
    bench.fire(1, Timer.PROGRESS)
    fresh = reborn(bench.seats[1], 1)
    assert (fresh.view, fresh.installed) == (1, False)
    again = Bench({1: Core(fresh)})
    again.give(1, Started())
    assert again.seats[1].said(ViewChange) == bench.seats[1].said(ViewChange)


def test_installed_view_and_its_plan_come_back() -> None:
    bench = Bench({2: Core(replica(2))})
    bench.give(2, Started())
    prepared = certify(Phase.PREPARE, b"t" * 32)
    changes = (view_change(0, 1), view_change(1, 1, highest=prepared), view_change(3, 1))
    bench.give(2, Received(MemberIndex(1), sign(NewView(0, 1, changes, 1, b""))))
    fresh = reborn(bench.seats[2], 2)
    assert (fresh.view, fresh.installed, fresh.start) == (1, True, 1)
    assert fresh.plan is not None
    assert fresh.plan.tip == b"t" * 32
    assert fresh.highest == prepared


def test_a_new_view_that_contradicts_the_head_halts_the_recovery() -> None:
    fresh = replica(2)
    a, b = (certify(Phase.PREPARE, c * 32) for c in (b"a", b"b"))
    changes = (view_change(0, 1, highest=a), view_change(1, 1, highest=b), view_change(3, 1))
    new_view = sign(NewView(0, 1, changes, 1, b""))
    assert isinstance(new_view, NewView)
    record = records.ViewRecord(0, 1, True, new_view, None)
    recover(fresh, records.Restored(None, record, (), ()))
    assert fresh.halted == "SAFETY_VIOLATION"


def test_records_of_another_epoch_or_of_committed_heights_are_left() -> None:
    fresh = replica(1)
    restored = records.Restored(
        certify(Phase.PREPARE, b"a" * 32, epoch=1),
        records.ViewRecord(1, 4, True, None, None),
        (vote(Phase.PREPARE, b"a" * 32, 1, epoch=1), vote(Phase.PREPARE, b"a" * 32, 1, height=0)),
        (propose(header(1, GENESIS, epoch=1), 1),),
    )
    recover(fresh, restored)
    assert (fresh.view, fresh.own_votes, fresh.own_proposals) == (0, {}, {})
    assert fresh.highest.height == 0


def test_the_table_is_parsed_back() -> None:
    one, two = vote(Phase.PREPARE, b"a" * 32, 1), vote(Phase.COMMIT, b"a" * 32, 1)
    made = propose(header(1, GENESIS), 0)
    certificate = certify(Phase.PREPARE, b"a" * 32)
    view = records.ViewRecord(0, 3, False, None, view_change(1, 3))
    rows = [
        (records.HIGHEST, records.encode_certificate(certificate)),
        (records.VIEW, records.encode_view(view)),
        (records.vote_key(one), records.encode_statement(one)),
        (records.vote_key(two), records.encode_statement(two)),
        (records.propose_key(made), records.encode_statement(made)),
        (b"wother", b"ignored"),
    ]
    assert records.restore(rows) == records.Restored(certificate, view, (one, two), (made,))
    assert len({key for key, _ in rows}) == len(rows)


def test_a_damaged_record_is_refused() -> None:
    with pytest.raises(ValueError, match="vote store"):
        records.restore([(records.VIEW, b"\x00")])
