"""The vote store's guard: every way in which a store and its mark can come apart."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.store import MemoryStore
from node import guard
from node.guard import COUNTER, STORE_ID, VOTE_STORE_LOST, VoteGuard

VOTE = {b"wvote1": b"x"}


class FailingStore(MemoryStore):
    """A disk that is full when told."""

    full = False

    def flush(self) -> None:
        """Raises OSError while full; all stays staged then."""
        if self.full:
            raise OSError(28, "No space left on device")
        super().flush()


@pytest.fixture
def store() -> FailingStore:
    return FailingStore()


@pytest.fixture
def mark(tmp_path: Path, store: FailingStore) -> Path:
    """A mark bound to the store."""
    path = tmp_path / "vote_mark"
    guard.create(store, path)
    return path


@pytest.fixture
def opened(store: FailingStore, mark: Path) -> Iterator[VoteGuard]:
    made = VoteGuard(store, mark)
    yield made
    made.close()


def lost(store: MemoryStore, mark: Path) -> str:
    """What a start would say."""
    made = VoteGuard(store, mark)
    made.close()
    return made.lost


def counter(store: MemoryStore) -> int:
    return int.from_bytes(store.get(COUNTER) or b"", "big")


def vote(opened: VoteGuard, store: MemoryStore) -> None:
    """One batch with a vote."""
    store.stage(VOTE)
    opened.flush()


def test_a_fresh_store_votes_and_creation_happens_once(store: FailingStore, mark: Path) -> None:
    assert lost(store, mark) == ""
    assert mark.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        guard.create(MemoryStore(), mark)
    assert lost(store, mark) == ""


def test_the_mark_moves_with_votes_only(opened: VoteGuard, store: FailingStore, mark: Path) -> None:
    before = mark.read_bytes()
    store.stage({b"sparty/x": b"{}"})
    opened.flush()
    assert (mark.read_bytes(), counter(store)) == (before, 0)
    for number in range(1, 6):
        vote(opened, store)
        assert counter(store) == number
        assert b"%020d" % number in mark.read_bytes()
        assert lost(store, mark) == ""
    assert len(mark.read_bytes()) == len(before)


def test_a_crash_between_flush_and_mark_goes_on_voting(
    opened: VoteGuard, store: FailingStore, mark: Path
) -> None:
    vote(opened, store)
    behind = mark.read_bytes()
    vote(opened, store)
    mark.write_bytes(behind)  # the process died before the mark was written
    again = VoteGuard(store, mark)
    assert again.lost == ""
    vote(again, store)
    again.close()
    assert counter(store) == 3
    assert lost(store, mark) == ""


def test_a_store_from_a_backup_does_not_vote(
    opened: VoteGuard, store: FailingStore, mark: Path
) -> None:
    vote(opened, store)
    backup = store.durable()
    vote(opened, store)
    restored = MemoryStore()
    restored.stage(dict(backup))
    restored.flush()
    assert lost(restored, mark).startswith(VOTE_STORE_LOST)
    assert "batch 1" in lost(restored, mark)
    assert "batch 2" in lost(restored, mark)


def test_another_store_an_empty_one_and_a_missing_mark_do_not_vote(
    opened: VoteGuard, store: FailingStore, mark: Path, tmp_path: Path
) -> None:
    vote(opened, store)
    other = MemoryStore()
    guard.create(other, tmp_path / "other_mark")
    assert lost(other, mark).startswith(VOTE_STORE_LOST)
    assert lost(MemoryStore(), mark).startswith(VOTE_STORE_LOST)
    assert lost(store, tmp_path / "none").startswith(VOTE_STORE_LOST)
    assert lost(store, mark) == ""


@pytest.mark.parametrize("size", [0, 1, 127, 128, 200])
def test_one_torn_slot_is_survived_and_two_are_not(
    opened: VoteGuard, store: FailingStore, mark: Path, size: int
) -> None:
    vote(opened, store)
    vote(opened, store)  # slot 0 holds 2, slot 1 holds 1
    whole = mark.read_bytes()
    torn = bytearray(whole)
    torn[:size] = bytes(size)
    mark.write_bytes(bytes(torn))
    # A sector that was not wholly written takes one slot; the other one still says enough.
    assert (lost(store, mark) == "") is (size <= 128)
    mark.write_bytes(whole[:size])
    expected = "" if size >= 128 else VOTE_STORE_LOST
    assert lost(store, mark).startswith(expected)


@pytest.mark.parametrize("junk", [b"", b"\xff" * 256, b"a b c", b"x 1 y".ljust(256), b"\n" * 256])
def test_junk_is_damage_and_never_an_exception(
    store: FailingStore, mark: Path, junk: bytes
) -> None:
    mark.write_bytes(junk)
    assert lost(store, mark).startswith(VOTE_STORE_LOST)


def test_every_changed_byte_of_the_newest_slot_is_noticed(store: FailingStore, mark: Path) -> None:
    whole = mark.read_bytes()
    for position in range(128):
        changed = bytearray(whole)
        changed[position] ^= 1
        mark.write_bytes(bytes(changed))
        assert lost(store, mark).startswith(VOTE_STORE_LOST), position


def test_a_full_disk_says_nothing_and_marks_nothing(
    opened: VoteGuard, store: FailingStore, mark: Path
) -> None:
    before = mark.read_bytes()
    store.full = True
    store.stage(VOTE)
    with pytest.raises(OSError, match="No space"):
        opened.flush()
    assert mark.read_bytes() == before
    assert store.durable().get(b"wvote1") is None
    store.discard()
    assert lost(store, mark) == ""


def test_order_store_first_then_mark(
    opened: VoteGuard, store: FailingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    flush, pwrite, sync = store.flush, os.pwrite, os.fdatasync

    def flushed() -> None:
        order.append("store")
        flush()

    def marked(descriptor: int, data: bytes, offset: int) -> int:
        order.append("mark")
        return pwrite(descriptor, data, offset)

    def synced(descriptor: int) -> None:
        order.append("sync")
        sync(descriptor)

    monkeypatch.setattr(store, "flush", flushed)
    monkeypatch.setattr(os, "pwrite", marked)
    monkeypatch.setattr(os, "fdatasync", synced)
    vote(opened, store)
    assert order == ["store", "mark", "sync"]


def test_a_lost_guard_still_flushes_what_is_no_vote(store: FailingStore, tmp_path: Path) -> None:
    made = VoteGuard(store, tmp_path / "none")
    store.stage({b"hhead": b"1", STORE_ID: b"x"})
    made.flush()
    assert store.durable()[b"hhead"] == b"1"
    made.close()
