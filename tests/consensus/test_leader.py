"""Turns, skips and redemption: a pure function of the commits inside blocks."""

from __future__ import annotations

import pytest

from consensus.leader import REDEEM_WINDOW, SKIP_HEIGHTS, Schedule
from ledger.certificate import Certificate, Phase
from ledger.ids import Height, View


def schedule(members: int = 4, turn_length: int = 4, first: int = 1, epoch: int = 0) -> Schedule:
    return Schedule(
        members=members,
        faults=(members - 1) // 3,
        turn_length=turn_length,
        window=1,
        epoch=epoch,
        first=first,
    )


def commit(
    height: int, view: int = 0, signers: tuple[int, ...] = (0, 1, 2, 3), epoch: int = 0
) -> Certificate:
    votes = tuple((member, b"s") for member in signers)
    return Certificate(epoch, Phase.COMMIT, view, height, b"h" * 32, votes)


def grow(
    leaders: Schedule, last: int, view: int = 0, signers: tuple[int, ...] = (0, 1, 2, 3)
) -> None:
    """Fold blocks up to `last`, each with the commit of its parent."""
    start = getattr(leaders, "_folded", 0)
    for height in range(start + 1, last + 1):
        leaders.advance(height, commit(height - 1, view, signers))
    leaders._folded = last  # type: ignore[attr-defined]  # a note of this test's own


def primaries(leaders: Schedule, view: int, heights: range, start: int = 1) -> list[int | None]:
    return [leaders.primary(View(view), Height(h), Height(start)) for h in heights]


def test_turns_go_round() -> None:
    leaders = schedule()
    grow(leaders, 3)
    assert primaries(leaders, 0, range(1, 8)) == [0, 0, 0, 1, 1, 1, 1]
    grow(leaders, 7)
    assert primaries(leaders, 0, range(8, 12)) == [2, 2, 2, 2]


def test_a_view_is_led_by_its_member_until_the_first_boundary() -> None:
    leaders = schedule()
    grow(leaders, 3)
    assert primaries(leaders, 6, range(2, 8), start=2) == [2, 2, 3, 3, 3, 3]
    assert primaries(leaders, 3, range(4, 8), start=4) == [3, 3, 3, 3]


def test_a_turn_that_is_not_fixed_yet_has_no_primary() -> None:
    assert schedule().primary(View(0), Height(40), Height(1)) is None


def test_new_view_comes_from_the_full_list() -> None:
    leaders = schedule()
    leaders.advance(2, commit(1, view=1))
    assert leaders.skipped(2) == (0,)
    assert [leaders.sender_of_new_view(View(v)) for v in range(5)] == [0, 1, 2, 3, 0]


def test_a_deposed_leader_is_passed_over() -> None:
    leaders = schedule()
    leaders.advance(1, commit(0))
    leaders.advance(2, commit(1, view=1))
    leaders.advance(3, commit(2, view=1))
    assert leaders.skipped(3) == (0,)
    turns = primaries(leaders, 1, range(2, 8), start=1)
    assert turns[:2] == [1, 1]
    assert turns[2] == (1, 2, 3)[(1 + 1) % 3]


def test_at_most_f_are_skipped_newest_first() -> None:
    leaders = schedule()
    leaders.advance(2, commit(1, view=3))
    assert leaders.skipped(2) == (2,)
    seven = schedule(members=7)
    seven.advance(2, commit(1, view=3))
    assert seven.skipped(2) == (1, 2)


def test_only_the_last_n_views_of_a_jump_count() -> None:
    seven = schedule(members=7)
    seven.advance(2, commit(1, view=1_000_000))
    assert seven.skipped(2) == ((1_000_000 - 2) % 7, (1_000_000 - 1) % 7)


def test_a_skip_ends_after_256_heights() -> None:
    leaders = schedule()
    leaders.advance(2, commit(1, view=1))
    assert leaders.skipped(2 + SKIP_HEIGHTS - 1) == (0,)
    assert leaders.skipped(2 + SKIP_HEIGHTS) == ()


@pytest.mark.parametrize(("signing", "redeemed"), [((0, 1, 2), True), ((1, 2, 3), False)])
def test_a_member_that_signs_again_is_redeemed(signing: tuple[int, ...], redeemed: bool) -> None:
    leaders = schedule()
    leaders.advance(2, commit(1, view=1))
    for height in range(3, 3 + REDEEM_WINDOW):
        leaders.advance(height, commit(height - 1, view=1, signers=signing))
    assert leaders.skipped(2 + REDEEM_WINDOW - 1) == (0,)
    assert (leaders.skipped(2 + REDEEM_WINDOW) == ()) is redeemed


def test_two_thirds_are_needed() -> None:
    leaders = schedule()
    leaders.advance(2, commit(1, view=1))
    for height in range(3, 3 + REDEEM_WINDOW):
        signs = height % 3 != 0
        leaders.advance(height, commit(height - 1, view=1, signers=(0, 1, 2) if signs else (1,)))
    count = sum(1 for height in range(3, 3 + REDEEM_WINDOW) if height % 3 != 0)
    assert (leaders.skipped(2 + REDEEM_WINDOW) == ()) is (count * 3 >= REDEEM_WINDOW * 2)


def test_a_member_deposed_anew_stands_once() -> None:
    leaders = schedule()
    leaders.advance(2, commit(1, view=1))
    leaders.advance(3, commit(2, view=5))
    assert leaders.skipped(3) == (0,)


def test_commits_of_the_old_epoch_depose_nobody() -> None:
    leaders = schedule(first=10, epoch=1)
    leaders.advance(10, commit(9, view=7, epoch=0))
    assert leaders.skipped(10) == ()
    assert leaders.first_height == 10


def test_the_schedule_survives_the_store() -> None:
    leaders = schedule()
    leaders.advance(2, commit(1, view=1))
    grow(leaders, 9, view=1)
    other = schedule()
    other.restore(leaders.encode())
    assert other.encode() == leaders.encode()
    assert other.skipped(9) == leaders.skipped(9)
    with pytest.raises(ValueError, match="epoch"):
        schedule(epoch=1).restore(leaders.encode())


def test_memory_of_turns_is_bounded() -> None:
    leaders = schedule()
    grow(leaders, 400)
    assert len(leaders.encode()) < 1_000
