"""The store on disk answers as the one in memory, whatever was staged, lost or refused."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plyvel
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ledger import presence, recent
from ledger.leveldb import LevelStore
from ledger.presence import Presence
from ledger.store import MemoryStore

TABLES = (b"r", b"s", b"B")
MARKS = [b"r" + name for name in (b"", b"a\x001", b"a\x002", b"b\x001", b"b\x004", b"\xff")]
KEYS = [*MARKS, b"s", b"sa", b"s\xff", b"B", b"B\x00\x01", b"B\x00\x02"]
LONGEST = 300
"""Of the values kept."""
VALUES = [b"", b"1", b"2", b"x" * LONGEST, b"y" * (LONGEST + 1)]
ROWS = st.dictionaries(
    st.sampled_from(KEYS), st.sampled_from([None, None, *VALUES]), min_size=1, max_size=6
)
SMALL_BYTES = 2_000
"""Of the answers kept: a few rows, so that generations change all the time."""


def _narrow(data: bytes) -> int:
    """A hash under which many keys are equal."""
    return sum(data) % 2


class _Refusing:
    """The open database, on a disk that takes no more."""

    def __init__(self, db: Any) -> None:
        self._db = db

    def write_batch(self, **_: object) -> Any:
        raise plyvel.IOError("000005.log: No space left on device")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


class Stores(RuleBasedStateMachine):
    """A LevelStore and a MemoryStore that are told the same."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(recent, "BYTES_MAX", SMALL_BYTES)
        self.patch.setattr(recent, "VALUE_BYTES_MAX", LONGEST)
        self.folder = Path(tempfile.mkdtemp())
        self.level = LevelStore(self.folder / "db", create_if_missing=True)
        self.memory = MemoryStore()

    def teardown(self) -> None:
        self.level.close()
        self.patch.undo()
        shutil.rmtree(self.folder)

    @rule(rows=ROWS)
    def stage(self, rows: dict[bytes, bytes | None]) -> None:
        # A mark is deleted only by who has read it.
        rows = {
            key: value
            for key, value in rows.items()
            if value is not None or key[:1] != b"r" or self.memory.get(key) is not None
        }
        for store in (self.level, self.memory):
            store.stage(rows)

    @rule(key=st.sampled_from(MARKS))
    def make_and_delete(self, key: bytes) -> None:
        """A mark that expires before it is durable."""
        for store in (self.level, self.memory):
            store.stage({key: b"1"})
            store.stage({key: None})

    @rule()
    def flush(self) -> None:
        for store in (self.level, self.memory):
            store.flush()

    @rule()
    def flush_on_a_full_disk(self) -> None:
        staged = self.level.has_staged()
        database = self.level._db
        self.level._db = _Refusing(database)
        try:
            if staged:
                with pytest.raises(OSError, match="No space"):
                    self.level.flush()
            else:
                self.level.flush()
        finally:
            self.level._db = database

    @rule()
    def discard(self) -> None:
        for store in (self.level, self.memory):
            store.discard()

    @rule()
    def reopen(self) -> None:
        """A crash: what was staged is lost."""
        self.level.close()
        self.memory.close()
        self.level = LevelStore(self.folder / "db")

    @rule(key=st.sampled_from(KEYS))
    def get(self, key: bytes) -> None:
        assert self.level.get(key) == self.memory.get(key)

    @rule(
        prefix=st.sampled_from([b"", *TABLES, b"rb"]),
        start=st.sampled_from([b"", *KEYS]),
        reverse=st.booleans(),
    )
    def scan(self, prefix: bytes, start: bytes, reverse: bool) -> None:
        level, memory = (
            list(store.scan(prefix, start, reverse=reverse)) for store in (self.level, self.memory)
        )
        assert level == memory

    @invariant()
    def the_same_is_staged(self) -> None:
        for prefix in (b"", *TABLES):
            assert self.level.has_staged(prefix) == self.memory.has_staged(prefix)


class StoresGetAll(Stores):
    """Every key is asked for after every step: what is kept of an answer never outlives it."""

    @invariant()
    def every_answer_is_the_same(self) -> None:
        for key in KEYS:
            assert self.level.get(key) == self.memory.get(key), key


class StoresCollide(StoresGetAll):
    """The same where many marks have one hash."""

    def __init__(self) -> None:
        super().__init__()
        self.patch.setattr(presence, "hash", _narrow, raising=False)
        self.reopen()


class StoresManyMarks(StoresGetAll):
    """The same where there are too many marks to know them."""

    def __init__(self) -> None:
        super().__init__()
        self.patch.setattr(presence, "ROWS_MAX", 2)
        self.patch.setattr(Presence.__init__, "__defaults__", (2,))
        self.reopen()


_STEPS = settings(max_examples=60, stateful_step_count=30, deadline=None)
for _machine in (Stores, StoresGetAll, StoresCollide, StoresManyMarks):
    _machine.TestCase.settings = _STEPS

TestStores = Stores.TestCase
TestStoresGetAll = StoresGetAll.TestCase
TestStoresCollide = StoresCollide.TestCase
TestStoresManyMarks = StoresManyMarks.TestCase


def test_a_mark_made_and_deleted_in_one_batch_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever catches up makes many blocks durable at once, and marks may expire among them."""
    monkeypatch.setattr(presence, "hash", _narrow, raising=False)
    lives, dies = b"ra\x00a", b"rb\x00b"
    assert _narrow(lives) == _narrow(dies)
    store = LevelStore(tmp_path / "db", create_if_missing=True)
    store.stage({lives: b"1"})
    store.flush()
    store.stage({dies: b"2"})
    store.stage({dies: None})
    store.flush()
    assert store.get(lives) == b"1"
    assert store.get(dies) is None
    store.close()


def test_marks_beyond_what_is_kept_are_not_read() -> None:
    read: list[bytes] = []

    def keys() -> Iterator[bytes]:
        for number in range(1_000):
            read.append(b"r%d" % number)
            yield read[-1]

    known = Presence(b"r", keys(), rows_max=10)
    assert not known.lacks(b"r?")
    assert len(read) < 20
