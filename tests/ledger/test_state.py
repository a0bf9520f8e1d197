"""States, layers and drafts."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.state import LAYERS_MAX, State
from ledger.state_proof import verify
from ledger.store import MemoryStore
from ledger.tree import Tree


def _root(entries: dict[bytes, bytes]) -> bytes:
    return Tree.build((sha256(k).digest(), sha256(v).digest()) for k, v in entries.items()).root


def test_a_draft_reads_its_writes_and_seals_them() -> None:
    base = State.load(MemoryStore([(b"sold", b"1"), (b"sgone", b"2"), (b"xhead", b"no state")]))
    assert base.root == _root({b"old": b"1", b"gone": b"2"})
    draft = base.draft()
    draft.put(b"new", b"3")
    draft.delete(b"gone")
    draft.write(b"rmark", b"4")
    assert draft.get(b"old") == b"1"
    assert (draft.get(b"new"), draft.get(b"gone"), draft.read(b"rmark")) == (b"3", None, b"4")
    assert [draft.has(key) for key in (b"old", b"new", b"gone", b"never")] == [
        True,
        True,
        False,
        False,
    ]
    assert draft.wrote(b"new")
    assert not draft.wrote(b"old")
    state = draft.seal()
    assert state.root == _root({b"old": b"1", b"new": b"3"})
    assert dict(state.writes) == {b"snew": b"3", b"sgone": None, b"rmark": b"4"}
    assert [state.has(key) for key in (b"new", b"gone")] == [True, False]
    draft.rollback()
    assert draft.has(b"new"), "sealed, so it is kept"
    assert base.get(b"new") is None
    assert base.get(b"gone") == b"2"
    assert verify(state.root, b"new", b"3", state.prove(b"new"))
    assert verify(state.root, b"gone", None, state.prove(b"gone"))


def test_rollback_forgets_what_came_after_the_savepoint() -> None:
    draft = State.load(MemoryStore()).draft()
    draft.put(b"a", b"1")
    draft.savepoint()
    assert draft.wrote(b"a")
    draft.put(b"a", b"2")
    draft.put(b"b", b"2")
    draft.rollback()
    assert (draft.get(b"a"), draft.get(b"b")) == (b"1", None)
    draft.delete(b"a")
    draft.savepoint()
    assert draft.get(b"a") is None
    assert draft.seal().root == Tree.empty().root


def test_the_store_gives_the_same_root_back() -> None:
    store = MemoryStore()
    state = State.load(store)
    for number in range(40):
        draft = state.draft()
        draft.put(b"k%d" % (number % 25), b"%d" % number)
        draft.delete(b"k%d" % (number % 7))
        state = draft.seal()
        store.stage(state.writes)
        store.flush()
        state.detach()
        assert not state.writes
    assert State.load(store).root == state.root


def test_sixteen_layers_stack_and_branches_do_not_see_each_other() -> None:
    store = MemoryStore([(b"sbase", b"0")])
    states = [State.load(store)]
    for number in range(LAYERS_MAX):
        draft = states[-1].draft()
        draft.put(b"k%d" % number, b"v")
        draft.put(b"same", b"%d" % number)
        states.append(draft.seal())
    top = states[-1]
    assert top.layers == LAYERS_MAX + 1
    assert top.get(b"k0") == b"v"
    assert top.get(b"base") == b"0"
    assert top.get(b"same") == b"15"
    assert states[3].get(b"same") == b"2"
    branch = states[3].draft()
    branch.put(b"same", b"branch")
    assert branch.seal().get(b"same") == b"branch"
    assert top.get(b"same") == b"15"
    # The oldest layer goes to the store; the rest still read through it.
    store.stage(states[1].writes)
    states[1].detach()
    assert top.get(b"k0") == b"v"
    assert top.get(b"same") == b"15"


_WRITES = st.dictionaries(
    st.sampled_from([b"ma", b"mb", b"mc", b"md", b"na"]),
    st.one_of(st.none(), st.sampled_from([b"1", b"2"])),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_WRITES, max_size=4))
def test_scan_shows_layers_over_the_store(layers: list[dict[bytes, bytes | None]]) -> None:
    model: dict[bytes, bytes | None] = {b"mb": b"0", b"md": b"0", b"zz": b"0"}
    store = MemoryStore([(k, v) for k, v in model.items() if v is not None])
    state = State.load(store)
    for layer in layers:
        draft = state.draft()
        for key, value in layer.items():
            draft.write(key, value)
        state = draft.seal()
        model.update(layer)
    want = sorted((k, v) for k, v in model.items() if k.startswith(b"m") and v is not None)
    assert list(state.scan(b"m")) == want
