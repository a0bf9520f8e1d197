"""A row that exists is never said to be lacking, whatever its key's hash."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import presence
from ledger.leveldb import LevelStore
from ledger.presence import Presence

KEYS = st.sampled_from([b"r%d" % number for number in range(20)] + [b"s1", b""])
ROWS = st.dictionaries(KEYS, st.sampled_from([None, b"1"]), max_size=6)


def _narrow(data: bytes) -> int:
    """A hash under which many keys are equal."""
    return sum(data) % 3


@given(before=ROWS, batches=st.lists(ROWS, max_size=8), few=st.booleans(), collide=st.booleans())
def test_what_it_lacks_does_not_exist(
    before: Mapping[bytes, bytes | None],
    batches: list[Mapping[bytes, bytes | None]],
    few: bool,
    collide: bool,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if collide:
            patch.setattr(presence, "hash", _narrow, raising=False)
        rows = {key: value for key, value in before.items() if value is not None}
        known = Presence(b"r", [key for key in rows if key[:1] == b"r"], 4 if few else 1_000)
        for drawn in batches:
            batch = {key: value for key, value in drawn.items() if value or key in rows}
            known.staged(batch)
            known.flushed(batch)
            for key, value in batch.items():
                if value is None:
                    rows.pop(key, None)
                else:
                    rows[key] = value
            assert not any(known.lacks(key) for key in rows)
            assert not known.lacks(b"s2")


def test_it_knows_what_never_was_and_what_is_gone() -> None:
    known = Presence(b"r", [b"r1"])
    assert known.lacks(b"r2")
    rows = {b"r1": None, b"r3": b"3", b"s3": b"3"}
    known.staged(rows)
    known.flushed(rows)
    assert known.lacks(b"r1")
    assert not known.lacks(b"r3")


def test_too_many_rows_are_not_kept() -> None:
    known = Presence(b"r", [b"r%d" % number for number in range(5)], rows_max=4)
    known.staged({b"r9": b"9"})
    assert not known.lacks(b"r8")


def test_marks_are_found_after_reopening(tmp_path: Path) -> None:
    store = LevelStore(tmp_path / "db", create_if_missing=True)
    store.stage({b"ra\x001": b"mark", b"sa": b"1"})
    store.flush()
    store.close()
    again = LevelStore(tmp_path / "db")
    assert again.get(b"ra\x001") == b"mark"
    assert again.get(b"ra\x002") is None
    again.stage({b"ra\x001": None, b"ra\x002": b"2"})
    again.flush()
    assert (again.get(b"ra\x001"), again.get(b"ra\x002")) == (None, b"2")
    again.close()
