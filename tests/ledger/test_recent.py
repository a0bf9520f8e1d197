"""What is kept of a store's answers never differs from the store, and stays small."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import recent
from ledger.recent import UNKNOWN, VALUE_BYTES_MAX, Recent

KEYS = st.sampled_from([b"%c%d" % (table, number) for table in b"sk" for number in range(8)])
VALUES = st.sampled_from([None, b"", b"1", b"2", b"x" * (VALUE_BYTES_MAX + 1)])
STEPS = st.lists(st.one_of(KEYS, st.dictionaries(KEYS, VALUES, max_size=4)), max_size=60)


@given(steps=STEPS)
def test_an_answer_is_the_stores(steps: list[bytes | dict[bytes, bytes | None]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recent, "BYTES_MAX", 8 * 210)
        kept, store = Recent(), dict[bytes, bytes | None]()
        for step in steps:
            if isinstance(step, dict):
                store.update(step)
                kept.written(step)
                continue
            answer = kept.get(step)
            if answer is UNKNOWN:
                kept.put(step, store.get(step))
            else:
                assert answer == store.get(step)


def test_rows_asked_for_stay_and_others_go() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recent, "BYTES_MAX", 8 * 210)
        kept = Recent()
        kept.put(b"hot", b"1")
        for number in range(100):
            kept.put(b"%d" % number, None)
            assert kept.get(b"hot") == b"1"
        assert kept.get(b"80") is UNKNOWN
        assert kept.get(b"99") is None


def test_rows_of_the_state_are_kept_as_they_are_written() -> None:
    kept = Recent()
    kept.written({b"srecord/a": b"1", b"sbalance/b": None, b"vrecord/a": b"0"})
    assert kept.get(b"srecord/a") == b"1"
    assert kept.get(b"sbalance/b") is None
    assert kept.get(b"vrecord/a") is UNKNOWN


def test_no_older_answer_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The generations turn while a key of the younger one is put again."""
    monkeypatch.setattr(recent, "BYTES_MAX", 1_000)
    monkeypatch.setattr(recent, "VALUE_BYTES_MAX", 100)
    kept = Recent()
    kept.put(b"k", b"old")
    kept.put(b"x", b"y" * 90)
    kept.put(b"k", b"new")
    kept.put(b"k", b"z" * 101)
    assert kept.get(b"k") is UNKNOWN


def test_long_values_are_not_kept() -> None:
    kept = Recent()
    kept.put(b"a", b"1")
    kept.written({b"a": b"x" * (VALUE_BYTES_MAX + 1)})
    kept.written({b"s": b"1"})
    kept.written({b"s": b"x" * (VALUE_BYTES_MAX + 1)})
    kept.put(b"b", b"x" * (VALUE_BYTES_MAX + 1))
    kept.put(b"c", b"x" * VALUE_BYTES_MAX)
    assert kept.get(b"c") is not None
    for key in (b"a", b"b", b"s"):
        assert kept.get(key) is UNKNOWN
