"""The authenticated state tree (docs/spec/formats.md, section 8), immutable with copy-on-write.

A bucket is one `bytes` of 64-byte entries in rising order. An inner node is a tuple of its four
children and, joined, their four hashes: a changed child then costs one hash at each level and no
sibling is ever hashed again. A million keys are some 130,000 buckets rather than a million objects.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from hashlib import sha256
from itertools import pairwise
from typing import Final, TypeAlias

from ledger.ids import HASH_BYTES, Hash
from ledger.state_proof import BUCKET_MAX, ENTRY_BYTES, Proof

_Inner: TypeAlias = "tuple[_Node, _Node, _Node, _Node, bytes]"
_Node: TypeAlias = "bytes | _Inner"
_Change: TypeAlias = tuple[bytes, bytes | None]
"""Key hash, and the value's hash or None to delete."""

_FULL: Final = BUCKET_MAX * ENTRY_BYTES
_QUARTERS: Final = (1, 2, 3)


class Tree:
    """One version of the tree. Older versions stay valid and share what did not change."""

    __slots__ = ("_node", "root")

    root: Hash
    """Root of the state, 32 bytes; depends on the set of entries alone."""

    def __init__(self, node: _Node) -> None:
        self._node = node
        self.root = Hash(_hash(node))

    @classmethod
    def empty(cls) -> Tree:
        """The tree of the empty state."""
        return cls(b"")

    @classmethod
    def build(cls, entries: Iterable[tuple[bytes, bytes]]) -> Tree:
        """From (SHA-256 of key, SHA-256 of value) pairs in any order, each key once."""
        joined = [key + value for key, value in entries]
        joined.sort()
        return cls(_build(joined, 0, len(joined), 0))

    def __len__(self) -> int:
        return _count(self._node)

    def update(self, changes: Mapping[bytes, bytes | None]) -> Tree:
        """A new tree with entries set, or deleted where the value hash is None.

        Every touched node is hashed once, however many of its entries change.
        """
        if not changes:
            return self
        ordered = sorted(changes.items())
        return Tree(_update(self._node, ordered, 0, len(ordered), 0))

    def has(self, key_hash: bytes) -> bool:
        """Whether `key_hash` is present."""
        node: _Node = self._node
        for byte in key_hash:  # four levels each
            if isinstance(node, bytes):
                break
            node = node[byte >> 6]
            if isinstance(node, bytes):
                break
            node = node[byte >> 4 & 3]
            if isinstance(node, bytes):
                break
            node = node[byte >> 2 & 3]
            if isinstance(node, bytes):
                break
            node = node[byte & 3]
        assert isinstance(node, bytes)
        return _position(node, key_hash) >= 0

    def prove(self, key_hash: bytes) -> Proof:
        """Proof that `key_hash` is present with its value, or absent."""
        node, depth = self._node, 0
        siblings: list[tuple[bytes, bytes, bytes]] = []
        while isinstance(node, tuple):
            child = key_hash[depth >> 2] >> (6 - 2 * (depth & 3)) & 3
            hashes = node[4]
            others = [hashes[32 * i : 32 * i + 32] for i in range(4) if i != child]
            siblings.append((others[0], others[1], others[2]))
            node = node[child]
            depth += 1
        bucket = tuple(
            (node[at : at + HASH_BYTES], node[at + HASH_BYTES : at + ENTRY_BYTES])
            for at in range(0, len(node), ENTRY_BYTES)
        )
        return Proof(depth, bucket, tuple(siblings))


def _hash(node: _Node) -> bytes:
    if isinstance(node, bytes):
        return sha256(b"\x00" + node).digest()
    return sha256(b"\x01" + node[4]).digest()


def _count(node: _Node) -> int:
    if isinstance(node, bytes):
        return len(node) // ENTRY_BYTES
    return _count(node[0]) + _count(node[1]) + _count(node[2]) + _count(node[3])


def _inner(c0: _Node, c1: _Node, c2: _Node, c3: _Node) -> _Inner:
    return (c0, c1, c2, c3, b"".join((_hash(c0), _hash(c1), _hash(c2), _hash(c3))))


def _boundary(depth: int, above: bytes, quarter: int) -> bytes:
    """The least key hash of child `quarter` below the node that `above` passes at `depth`."""
    whole, shift = depth >> 2, 6 - 2 * (depth & 3)
    return above[:whole] + bytes(((above[whole] >> (shift + 2) << 2 | quarter) << shift,))


def _build(entries: list[bytes], low: int, high: int, depth: int) -> _Node:
    """The node of entries[low:high], sorted, which share their first 2 * depth bits."""
    if high - low <= BUCKET_MAX:
        return b"".join(entries[low:high])
    cuts = [low]
    for quarter in _QUARTERS:
        bound = _boundary(depth, entries[low], quarter)
        cuts.append(bisect_left(entries, bound, cuts[-1], high))
    cuts.append(high)
    c0, c1, c2, c3 = (_build(entries, a, b, depth + 1) for a, b in pairwise(cuts))
    return _inner(c0, c1, c2, c3)


def _update(node: _Node, changes: list[_Change], low: int, high: int, depth: int) -> _Node:
    """`node` with changes[low:high] applied; they are sorted and all fall below it."""
    if high - low == 1:
        return _update_one(node, changes[low], depth)
    if isinstance(node, bytes):
        return _update_bucket(node, changes, low, high, depth)
    whole, shift = depth >> 2, 6 - 2 * (depth & 3)
    children: list[_Node] = [node[0], node[1], node[2], node[3]]
    hashes = node[4]
    parts = [hashes[0:32], hashes[32:64], hashes[64:96], hashes[96:128]]
    at = low
    while at < high:
        child = changes[at][0][whole] >> shift & 3
        end = at + 1
        while end < high and changes[end][0][whole] >> shift & 3 == child:
            end += 1
        fresh = _update(children[child], changes, at, end, depth + 1)
        children[child] = fresh
        parts[child] = _hash(fresh)
        at = end
    c0, c1, c2, c3 = children
    return _merged((c0, c1, c2, c3, b"".join(parts)))


def _update_one(node: _Node, change: _Change, depth: int) -> _Node:
    """The path of a single change, without recursion: most of a block's changes end here."""
    key = change[0]
    path: list[tuple[_Inner, int]] = []
    while isinstance(node, tuple):
        child = key[depth >> 2] >> (6 - 2 * (depth & 3)) & 3
        path.append((node, child))
        node = node[child]
        depth += 1
    fresh: _Node = _set_entry(node, change, depth)
    shrunk = change[1] is None
    for (c0, c1, c2, c3, hashes), child in reversed(path):
        digest = sha256(
            b"\x00" + fresh if isinstance(fresh, bytes) else b"\x01" + fresh[4]
        ).digest()
        hashes = b"".join((hashes[: 32 * child], digest, hashes[32 * child + 32 :]))
        if child == 0:
            fresh = (fresh, c1, c2, c3, hashes)
        elif child == 1:
            fresh = (c0, fresh, c2, c3, hashes)
        elif child == 2:
            fresh = (c0, c1, fresh, c3, hashes)
        else:
            fresh = (c0, c1, c2, fresh, hashes)
        if shrunk:
            fresh = _merged(fresh)
    return fresh


def _merged(node: _Inner) -> _Node:
    """A bucket again when deletions left no more than one bucket holds.

    A child that is an inner node holds more than a bucket by itself, so four buckets are the only
    case. This keeps the shape a function of the set.
    """
    c0, c1, c2, c3, _ = node
    if (
        isinstance(c0, bytes)
        and isinstance(c1, bytes)
        and isinstance(c2, bytes)
        and isinstance(c3, bytes)
        and len(c0) + len(c1) + len(c2) + len(c3) <= _FULL
    ):
        return b"".join((c0, c1, c2, c3))
    return node


def _position(bucket: bytes, key: bytes) -> int:
    """Where the key's entry begins in the bucket, or -1."""
    at = bucket.find(key)
    while at > 0 and at % ENTRY_BYTES:  # bytes of another entry happen to spell this key
        at = bucket.find(key, at + 1)
    return at


def _set_entry(bucket: bytes, change: _Change, depth: int) -> _Node:
    key, value = change
    at = _position(bucket, key)
    if at >= 0:
        if value is None:
            return bucket[:at] + bucket[at + ENTRY_BYTES :]
        return b"".join((bucket[: at + HASH_BYTES], value, bucket[at + ENTRY_BYTES :]))
    if value is None:
        return bucket
    at = 0
    while at < len(bucket) and bucket[at : at + HASH_BYTES] < key:
        at += ENTRY_BYTES
    bucket = b"".join((bucket[:at], key, value, bucket[at:]))
    return bucket if len(bucket) <= _FULL else _split(bucket, depth)


def _update_bucket(bucket: bytes, changes: list[_Change], low: int, high: int, depth: int) -> _Node:
    entries: dict[bytes, bytes | None] = {
        bucket[at : at + HASH_BYTES]: bucket[at + HASH_BYTES : at + ENTRY_BYTES]
        for at in range(0, len(bucket), ENTRY_BYTES)
    }
    entries.update(changes[low:high])
    joined = sorted(key + value for key, value in entries.items() if value is not None)
    return _build(joined, 0, len(joined), depth)


def _split(bucket: bytes, depth: int) -> _Node:
    entries = [bucket[at : at + ENTRY_BYTES] for at in range(0, len(bucket), ENTRY_BYTES)]
    return _build(entries, 0, len(entries), depth)
