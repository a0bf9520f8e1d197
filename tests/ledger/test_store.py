"""The store in memory: staged writes are read at once and durable only after a flush."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.store import MemoryStore


def test_staged_writes_are_visible_and_lost_with_a_crash() -> None:
    store = MemoryStore([(b"a1", b"x")])
    store.stage({b"a2": b"y", b"a1": None})
    assert store.has_staged()
    assert store.has_staged(b"a2")
    assert not store.has_staged(b"b")
    assert store.get(b"a1") is None
    assert list(store.scan(b"a")) == [(b"a2", b"y")]
    store.discard()
    assert not store.has_staged()
    assert list(store.scan(b"a")) == [(b"a1", b"x")]


def test_a_flush_survives_a_crash() -> None:
    store = MemoryStore()
    store.stage({b"a": b"1", b"b": b"2"})
    store.flush()
    store.stage({b"b": None, b"c": b"3"})
    store.discard()
    assert store.durable() == {b"a": b"1", b"b": b"2"}
    assert store.size() == 4
    again = MemoryStore(store.durable().items())
    assert list(again.scan(b"")) == [(b"a", b"1"), (b"b", b"2")]
    again.close()
    assert not again.has_staged()


keys = st.binary(min_size=1, max_size=3).map(lambda key: bytes(byte % 3 + 97 for byte in key))
writes = st.dictionaries(keys, st.none() | st.binary(max_size=2), max_size=6)
steps = st.lists(st.tuples(writes, st.sampled_from(["stage", "flush", "discard"])), max_size=6)


@given(steps, st.binary(max_size=1).map(lambda b: bytes(x % 3 + 97 for x in b)), keys)
@settings(deadline=None, max_examples=200)
def test_any_history_as_a_sorted_dictionary(
    history: list[tuple[dict[bytes, bytes | None], str]], prefix: bytes, start: bytes
) -> None:
    store = MemoryStore()
    durable: dict[bytes, bytes] = {}
    view: dict[bytes, bytes] = {}
    for batch, then in history:
        store.stage(batch)
        for key, value in batch.items():
            view.pop(key, None)
            if value is not None:
                view[key] = value
        if then == "flush":
            store.flush()
            durable = dict(view)
        elif then == "discard":
            store.discard()
            view = dict(durable)
    want = sorted(item for item in view.items() if item[0].startswith(prefix))
    assert store.durable() == durable
    assert list(store.scan(prefix)) == want
    assert list(store.scan(prefix, start)) == [item for item in want if item[0] >= start]
    assert list(store.scan(prefix, reverse=True)) == want[::-1]
    assert list(store.scan(prefix, start, reverse=True)) == [
        item for item in want[::-1] if item[0] <= start
    ]
    assert all(store.get(key) == view.get(key) for key in (*view, *durable, start))
