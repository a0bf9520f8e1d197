"""Merkle trees of RFC 9162 section 2: roots, inclusion proofs, consistency proofs.

Leaf `H(0x00 || data)`, node `H(0x01 || left || right)`, empty tree `H("")`. A node's level is 0 for
a leaf hash; the node (level, index) is the root of the perfect subtree over the leaves
[index * 2^level, (index + 1) * 2^level). Perfect subtrees never change as a tree grows, so a store
of them answers for every past size (ledger/history.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final, TypeAlias

from ledger.ids import HASH_BYTES, Hash

ReadNode: TypeAlias = Callable[[int, int], bytes | None]
"""(level, index) -> root of that perfect subtree, or None when it is not there."""

EMPTY_ROOT: Final = Hash(sha256(b"").digest())
SIZE_MAX: Final = 2**53 - 1


def leaf_hash(data: bytes) -> Hash:
    """Hash of a leaf's data."""
    return Hash(sha256(b"\x00" + data).digest())


def node_hash(left: bytes, right: bytes) -> Hash:
    """Hash of an inner node."""
    return Hash(sha256(b"\x01" + left + right).digest())


def root(leaves: Sequence[bytes]) -> Hash:
    """Root over the data of all leaves in order."""
    if not leaves:
        return EMPTY_ROOT
    level = [leaf_hash(data) for data in leaves]
    while len(level) > 1:
        level = _parents(level)
    return level[0]


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[Hash, ...]:
    """Path from leaf `index` up to the root; linear in the number of leaves."""
    assert 0 <= index < len(leaves)
    path: list[Hash] = []
    level = [leaf_hash(data) for data in leaves]
    while len(level) > 1:
        # The last node of an odd level has no sibling and moves up unchanged.
        if index ^ 1 < len(level):
            path.append(level[index ^ 1])
        level = _parents(level)
        index >>= 1
    return tuple(path)


def consistency_proof(leaves: Sequence[bytes], first: int) -> tuple[Hash, ...]:
    """Proof that the tree of the first `first` leaves is a prefix of the tree of all."""
    levels = [[leaf_hash(data) for data in leaves]]
    while len(levels[-1]) > 1:
        levels.append(_parents(levels[-1]))
    return consistency_path(first, len(leaves), lambda level, index: levels[level][index])


def verify_inclusion(
    leaf_data: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> None:
    """RFC 9162 section 2.1.3.2. Raises ValueError unless `path` leads from the leaf to `root`."""
    verify_leaf_inclusion(leaf_hash(leaf_data), index, size, path, root)


def verify_leaf_inclusion(
    leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> None:
    """`verify_inclusion` for a leaf whose hash is given instead of its data."""
    if not 0 <= index < size <= SIZE_MAX:
        raise ValueError(f"inclusion proof: no leaf {index} in a tree of {size}")
    _check_hashes(leaf, root, *path)
    node, last, computed = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise ValueError("inclusion proof: the path is too long")
        if node & 1 or node == last:
            computed = node_hash(sibling, computed)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            computed = node_hash(computed, sibling)
        node >>= 1
        last >>= 1
    if last != 0:
        raise ValueError("inclusion proof: the path is too short")
    if computed != root:
        raise ValueError("inclusion proof: the path leads to another root")


def verify_consistency(
    first: int, second: int, first_root: bytes, second_root: bytes, path: Sequence[bytes]
) -> None:
    """RFC 9162 section 2.1.4.2. Raises ValueError unless the first tree is a prefix of the second.

    `first` = 0 is an error: every tree extends the empty one, so there is nothing to prove.
    """
    if not 0 < first <= second <= SIZE_MAX:
        raise ValueError(f"consistency proof: sizes {first} and {second}")
    if first == second:
        if path or first_root != second_root:
            raise ValueError("consistency proof: equal sizes want equal roots and no path")
        return
    _check_hashes(first_root, second_root, *path)
    # A first tree that is perfect is a node of the second one, and the proof leaves it out.
    nodes = [first_root, *path] if first & (first - 1) == 0 else list(path)
    if not path:
        raise ValueError("consistency proof: the path is empty")
    node, last = first - 1, second - 1
    while node & 1:
        node >>= 1
        last >>= 1
    old = new = nodes[0]
    for sibling in nodes[1:]:
        if last == 0:
            raise ValueError("consistency proof: the path is too long")
        if node & 1 or node == last:
            old = node_hash(sibling, old)
            new = node_hash(sibling, new)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            new = node_hash(new, sibling)
        node >>= 1
        last >>= 1
    if last != 0:
        raise ValueError("consistency proof: the path is too short")
    if old != first_root or new != second_root:
        raise ValueError("consistency proof: the path leads to other roots")


def root_at(size: int, read: ReadNode) -> Hash:
    """Root of the first `size` leaves from stored perfect subtrees; O(log size) reads."""
    return _range_root(0, size, read) if size else EMPTY_ROOT


def inclusion_path(index: int, size: int, read: ReadNode) -> tuple[Hash, ...]:
    """Path of leaf `index` in the tree of the first `size` leaves; O(log size) reads."""
    assert 0 <= index < size
    path: list[Hash] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(_range_root(middle, end, read))
            end = middle
        else:
            path.append(_range_root(begin, middle, read))
            begin = middle
    return tuple(reversed(path))


def consistency_path(first: int, second: int, read: ReadNode) -> tuple[Hash, ...]:
    """Proof from tree size `first` to tree size `second`; O(log second) reads."""
    assert 0 < first <= second
    path: list[Hash] = []
    begin, end = 0, second
    while end > first:
        middle = begin + _split(end - begin)
        if first <= middle:
            path.append(_range_root(middle, end, read))
            end = middle
        else:
            path.append(_range_root(begin, middle, read))
            begin = middle
    # What is left is [begin, first). From begin 0 it is the first tree, which the verifier holds.
    if begin > 0:
        path.append(_range_root(begin, end, read))
    return tuple(reversed(path))


def _parents(level: list[Hash]) -> list[Hash]:
    pairs = iter(level)
    parents = [
        Hash(sha256(b"\x01" + left + right).digest())
        for left, right in zip(pairs, pairs, strict=False)
    ]
    if len(level) & 1:
        parents.append(level[-1])
    return parents


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def _range_root(begin: int, end: int, read: ReadNode) -> Hash:
    """Root of the leaves [begin, end), where begin is a multiple of the range's largest subtree."""
    nodes: list[Hash] = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        node = read(level, begin >> level)
        assert node is not None, f"history tree: node ({level}, {begin >> level}) is missing"
        nodes.append(Hash(node))
        begin += 1 << level
    computed = nodes.pop()
    while nodes:
        computed = node_hash(nodes.pop(), computed)
    return computed


def _check_hashes(*hashes: bytes) -> None:
    if any(len(value) != HASH_BYTES for value in hashes):
        raise ValueError("proof: a hash is not 32 bytes")
