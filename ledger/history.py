"""The history tree: a growing RFC 9162 tree over header hashes, one leaf for each height.

A header's `history_root` covers the heights below it, so a header vouches for all its ancestors.
The tree keeps only the roots of the perfect subtrees on its right edge; each append names the
nodes that it completes, and whoever stores them (docs/spec/formats.md, section 13, table `T`) can
prove any height against any later size.
"""

from __future__ import annotations

from ledger.ids import Hash
from ledger.merkle import EMPTY_ROOT, ReadNode, leaf_hash, node_hash


class HistoryTree:
    """An append-only tree held by its right edge."""

    def __init__(self, size: int = 0, read: ReadNode | None = None) -> None:
        """A tree of `size` leaves whose edge comes from `read`. An empty tree needs no `read`."""
        assert size >= 0
        self._size = size
        self._edge: list[Hash] = []
        begin = 0
        for level in range(size.bit_length() - 1, -1, -1):
            if size >> level & 1:
                assert read is not None
                node = read(level, begin >> level)
                assert node is not None, f"history tree: ({level}, {begin >> level}) is missing"
                self._edge.append(Hash(node))
                begin += 1 << level

    @property
    def size(self) -> int:
        """Leaves appended so far."""
        return self._size

    def append(self, data: bytes) -> tuple[tuple[int, int, Hash], ...]:
        """Add a leaf; the (level, index, hash) of the perfect subtrees that it completes."""
        node, level = leaf_hash(data), 0
        completed = [(level, self._size, node)]
        while self._size >> level & 1:
            node, level = node_hash(self._edge.pop(), node), level + 1
            completed.append((level, self._size >> level, node))
        self._edge.append(node)
        self._size += 1
        return tuple(completed)

    def root(self) -> Hash:
        """Root of all leaves."""
        if not self._edge:
            return EMPTY_ROOT
        computed = self._edge[-1]
        for node in reversed(self._edge[:-1]):
            computed = node_hash(node, computed)
        return computed

    def copy(self) -> HistoryTree:
        """A tree that grows apart from this one: a proposal's root before it is committed."""
        other = HistoryTree()
        other._size = self._size
        other._edge = list(self._edge)
        return other
