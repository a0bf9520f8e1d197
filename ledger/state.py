"""The state after one block: the store, a few layers of writes not yet in it, and the tree.

A `State` never changes. A `Draft` collects one block's writes and is sealed into the next state,
so several states can stand on one parent, and a chain of them can wait for its certificates
(docs/spec/formats.md, sections 8 and 13).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Final, Protocol

from ledger.ids import Hash
from ledger.overlay import merge
from ledger.state_proof import Proof
from ledger.store import STATE_TABLE, Store
from ledger.tree import Tree

LAYERS_MAX: Final = 16
"""States that may stand on the store before the oldest must be detached."""


class Reader(Protocol):
    """What a state and a draft have in common."""

    def get(self, key: bytes) -> bytes | None:
        """Value of a state key, or None."""
        ...

    def has(self, key: bytes) -> bool:
        """Whether a state key has a value; cheaper than `get` when it has none."""
        ...

    def read(self, raw_key: bytes) -> bytes | None:
        """Value of a raw key (table byte first), or None."""
        ...


class State:
    """Immutable view of everything after one block."""

    __slots__ = ("_parent", "layers", "store", "tree", "writes")

    store: Store
    """What the oldest layer stands on."""
    tree: Tree
    writes: Mapping[bytes, bytes | None]
    """This block's writes by raw key (None deletes), for the store; empty once detached."""
    layers: int
    """How many layers, this one included, reads go through before the store."""

    def __init__(
        self,
        store: Store,
        tree: Tree,
        parent: State | None = None,
        writes: Mapping[bytes, bytes | None] | None = None,
    ) -> None:
        self.store = store
        self._parent = parent
        self.tree = tree
        self.writes = writes or {}
        self.layers = 1 + (parent.layers if parent is not None else 0)
        assert self.layers <= LAYERS_MAX + 1, "a state was committed without detach"

    @classmethod
    def load(cls, store: Store) -> State:
        """The state that the store holds; rebuilds the tree from table `s`, about 4 us a key.

        Raises StoreDamaged when the store does.
        """
        entries = (
            (sha256(key[1:]).digest(), sha256(value).digest())
            for key, value in store.scan(STATE_TABLE)
        )
        return cls(store, Tree.build(entries))

    @property
    def root(self) -> Hash:
        """`state_root` of this state, 32 bytes."""
        return self.tree.root

    def get(self, key: bytes) -> bytes | None:
        """Value of a state key (without the table byte), or None."""
        return self.read(STATE_TABLE + key)

    def has(self, key: bytes) -> bool:
        """Whether a state key has a value. The tree in memory tells; most records that are asked
        for in this way do not exist, and the store would look for them in every one of its files.
        """
        return self.tree.has(sha256(key).digest())

    def read(self, raw_key: bytes) -> bytes | None:
        """Value of a raw key of any table, layers before store, or None."""
        state: State | None = self
        while state is not None:
            if raw_key in state.writes:
                return state.writes[raw_key]
            state = state._parent
        return self.store.get(raw_key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Raw keys that begin with `prefix`, rising, with their values.

        Costs a pass over the writes of every layer before the first entry comes.
        """
        changed: dict[bytes, bytes | None] = {}
        state: State | None = self
        while state is not None:
            for key, value in state.writes.items():
                if key.startswith(prefix):
                    changed.setdefault(key, value)
            state = state._parent
        return merge(self.store.scan(prefix), changed)

    def prove(self, key: bytes) -> Proof:
        """Proof that the state key `key` is present with its value, or absent."""
        return self.tree.prove(sha256(key).digest())

    def draft(self) -> Draft:
        """An empty draft of the next state."""
        return Draft(self)

    def child(self, tree: Tree, writes: Mapping[bytes, bytes | None]) -> State:
        """The state one layer above this one."""
        return State(self.store, tree, self, writes)

    def detach(self) -> None:
        """Forget this layer and those below: their writes are staged in the store.

        Every state of another branch must be dropped first, since the store has moved under it.
        """
        self._parent = None
        self.writes = {}
        self.layers = 1


class Draft:
    """The writes of a block in the making. Reads see them at once."""

    __slots__ = ("_before", "_block", "_transaction", "parent")

    def __init__(self, parent: State) -> None:
        self.parent = parent
        self._block: dict[bytes, bytes | None] = {}
        self._transaction: dict[bytes, bytes | None] = {}
        self._before: dict[bytes, bytes | None] = {}
        """What the parent answered: a block's transactions ask for the same parties, services and
        records again and again."""

    def get(self, key: bytes) -> bytes | None:
        """Value of a state key, or None."""
        raw_key = STATE_TABLE + key
        if raw_key in self._transaction:  # as `read`, without a call
            return self._transaction[raw_key]
        if raw_key in self._block:
            return self._block[raw_key]
        if raw_key in self._before:
            return self._before[raw_key]
        value = self._before[raw_key] = self.parent.read(raw_key)
        return value

    def has(self, key: bytes) -> bool:
        """Whether a state key has a value; cheaper than `get` when it has none."""
        raw_key = STATE_TABLE + key
        if raw_key in self._transaction:
            return self._transaction[raw_key] is not None
        if raw_key in self._block:
            return self._block[raw_key] is not None
        if raw_key in self._before:
            return self._before[raw_key] is not None
        return self.parent.has(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Set a state key (ASCII) to its value (canonical JSON)."""
        self._transaction[STATE_TABLE + key] = value

    def delete(self, key: bytes) -> None:
        """Remove a state key."""
        self._transaction[STATE_TABLE + key] = None

    def read(self, raw_key: bytes) -> bytes | None:
        """Value of a raw key of any table, or None."""
        if raw_key in self._transaction:
            return self._transaction[raw_key]
        if raw_key in self._block:
            return self._block[raw_key]
        if raw_key in self._before:
            return self._before[raw_key]
        value = self._before[raw_key] = self.parent.read(raw_key)
        return value

    def write(self, raw_key: bytes, value: bytes | None) -> None:
        """Set a raw key of a table beside the state; None deletes."""
        assert not raw_key.startswith(STATE_TABLE), "state keys go through put and delete"
        self._transaction[raw_key] = value

    def written(self, raw_key: bytes) -> bytes | None:
        """What this block has written at a raw key so far, or None."""
        if raw_key in self._transaction:
            return self._transaction[raw_key]
        return self._block.get(raw_key)

    def wrote(self, key: bytes) -> bool:
        """Whether this draft has set or deleted the state key, so that a parent's value is old."""
        raw_key = STATE_TABLE + key
        return raw_key in self._transaction or raw_key in self._block

    def savepoint(self) -> None:
        """Keep all writes so far; a rollback returns to here."""
        if self._transaction:
            self._block.update(self._transaction)
            self._transaction = {}

    def rollback(self) -> None:
        """Forget the writes since the last savepoint."""
        self._transaction = {}

    def seal(self) -> State:
        """The next state. The draft must not be written to afterwards."""
        self.savepoint()
        changes = {
            sha256(key[1:]).digest(): None if value is None else sha256(value).digest()
            for key, value in self._block.items()
            if key.startswith(STATE_TABLE)
        }
        return self.parent.child(self.parent.tree.update(changes), self._block)
