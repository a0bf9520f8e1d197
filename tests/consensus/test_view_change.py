"""What a new view starts with, and the durations around it."""

from __future__ import annotations

import pytest

from consensus.timeouts import Timeouts, proposal_time_bounds
from consensus.view_change import SafetyViolation, plan, rank
from ledger.certificate import Certificate, Phase, genesis_certificate
from tests.consensus.bench import GENESIS, view_change

A, B, C = b"a" * 32, b"b" * 32, b"c" * 32


def certificate(phase: Phase, view: int, height: int, block: bytes, epoch: int = 0) -> Certificate:
    return Certificate(epoch, phase, view, height, block, ())


def test_nothing_prepared_starts_above_the_commit_with_a_fresh_block() -> None:
    changes = [view_change(i, 1) for i in range(3)]
    made = plan(changes, 0)
    assert (made.start, made.tip) == (1, None)
    assert made.committed == genesis_certificate(GENESIS)


def test_prepared_block_is_the_tip() -> None:
    prepared = certificate(Phase.PREPARE, 0, 1, A)
    made = plan([view_change(0, 1), view_change(1, 1, highest=prepared), view_change(2, 1)], 0)
    assert (made.start, made.tip, made.tip_certificate) == (1, A, prepared)


def test_higher_view_wins_at_one_height() -> None:
    low = certificate(Phase.PREPARE, 0, 1, A)
    high = certificate(Phase.PREPARE, 2, 1, B)
    for order in ((low, high), (high, low)):
        made = plan([view_change(i, 3, highest=c) for i, c in enumerate(order)], 0)
        assert made.tip == B


def test_tip_of_the_committed_height_starts_above_it() -> None:
    commit = certificate(Phase.COMMIT, 0, 4, A)
    again = certificate(Phase.PREPARE, 2, 4, A)
    made = plan([view_change(0, 3, committed=commit), view_change(1, 3, highest=again)], 0)
    assert (made.start, made.tip, made.committed) == (5, None, commit)


def test_a_prepare_below_the_highest_commit_does_not_count() -> None:
    commit = certificate(Phase.COMMIT, 1, 5, B)
    old = certificate(Phase.PREPARE, 0, 4, A)
    made = plan([view_change(0, 2, committed=commit), view_change(1, 2, highest=old)], 0)
    assert (made.start, made.tip) == (6, None)


def test_certificates_of_the_epoch_before_rank_below_view_0() -> None:
    closing = certificate(Phase.COMMIT, 7, 9, A, epoch=0)
    fresh = certificate(Phase.PREPARE, 0, 10, B, epoch=1)
    assert rank(closing, 1) < rank(fresh, 1)
    made = plan(
        [
            view_change(0, 1, committed=closing, epoch=1),
            view_change(1, 1, committed=closing, highest=fresh, epoch=1),
        ],
        1,
    )
    assert (made.start, made.tip) == (10, B)


@pytest.mark.parametrize(
    ("committed", "highest", "why"),
    [
        ((0, 4, A), (0, 4, B), "two blocks"),
        ((0, 4, A), (2, 3, B), "below"),
        ((1, 4, A), (2, 4, B), "contradicts"),
    ],
)
def test_contradictions_are_no_plan(
    committed: tuple[int, int, bytes], highest: tuple[int, int, bytes], why: str
) -> None:
    changes = [
        view_change(0, 3, committed=certificate(Phase.COMMIT, *committed)),
        view_change(1, 3, highest=certificate(Phase.PREPARE, *highest)),
    ]
    with pytest.raises(SafetyViolation, match=why):
        plan(changes, 0)


def test_patience_follows_latency_within_bounds_and_doubles_with_failures() -> None:
    timeouts = Timeouts()
    assert timeouts.progress(0, 0) == 1_000
    assert timeouts.progress(500, 0) == 2_000
    assert timeouts.progress(60_000, 0) == 30_000
    assert [timeouts.progress(0, k) for k in range(4)] == [1_000, 2_000, 4_000, 8_000]
    assert timeouts.progress(0, 1_000_000) == 600_000


def test_age_of_a_fresh_proposal_grows_with_the_view_and_its_future_does_not() -> None:
    assert proposal_time_bounds(10_000, 0) == (7_500, 10_500)
    assert proposal_time_bounds(10_000, 1) == (7_300, 10_500)
    assert proposal_time_bounds(10_000, 10**9) == proposal_time_bounds(10_000, 60)
