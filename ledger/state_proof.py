"""Proofs of presence and absence against a state root (docs/spec/formats.md, section 8)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import msgspec

from ledger.crypto import sha256
from ledger.ids import HASH_BYTES, hash_from_hex

BUCKET_MAX: Final = 16
"""Entries that one bucket holds at most."""
ENTRY_BYTES: Final = 2 * HASH_BYTES
DEPTH_MAX: Final = HASH_BYTES * 4
"""Inner nodes above a bucket at most: two bits of the key hash each."""


class Proof(msgspec.Struct, frozen=True):
    """The bucket where a key is or would be, and what its path needs to be folded up."""

    depth: int
    """Number of inner nodes above the bucket."""
    bucket: tuple[tuple[bytes, bytes], ...]
    """(key hash, value hash) in strictly rising order of key hash."""
    siblings: tuple[tuple[bytes, bytes, bytes], ...]
    """From the root down, the three other children of each inner node in rising order."""

    def to_json(self) -> dict[str, Any]:
        """The object that answers carry."""
        return {
            "depth": self.depth,
            "bucket": [[key.hex(), value.hex()] for key, value in self.bucket],
            "siblings": [[a.hex(), b.hex(), c.hex()] for a, b, c in self.siblings],
        }

    @classmethod
    def from_json(cls, value: Any) -> Proof:
        """Parse `to_json` output. Raises ValueError on any other shape or size."""
        try:
            document = msgspec.convert(value, _ProofDocument)
        except msgspec.ValidationError as error:
            raise ValueError(f"state proof: {error}") from None
        if document.depth != len(document.siblings) or document.depth > DEPTH_MAX:
            raise ValueError("state proof: depth is not the number of siblings")
        if len(document.bucket) > BUCKET_MAX:
            raise ValueError(f"state proof: more than {BUCKET_MAX} entries in the bucket")
        return cls(
            depth=document.depth,
            bucket=tuple((hash_from_hex(k), hash_from_hex(v)) for k, v in document.bucket),
            siblings=tuple(
                (hash_from_hex(a), hash_from_hex(b), hash_from_hex(c))
                for a, b, c in document.siblings
            ),
        )


class _ProofDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    depth: int
    bucket: tuple[tuple[str, str], ...]
    siblings: tuple[tuple[str, str, str], ...]


def verify(root: bytes, key: bytes, value: bytes | None, proof: Proof) -> bool:
    """Whether `proof` shows that the state of `root` maps `key` to `value` (None: has no `key`)."""
    key_hash = sha256(key)
    if proof.depth != len(proof.siblings) or not _is_well_formed(proof):
        return False
    found = dict(proof.bucket).get(key_hash)
    if found != (None if value is None else sha256(value)):
        return False
    node = sha256(b"\x00" + b"".join(k + v for k, v in proof.bucket))
    for depth in range(proof.depth - 1, -1, -1):
        child = key_hash[depth >> 2] >> (6 - 2 * (depth & 3)) & 3
        children: list[bytes] = list(proof.siblings[depth])
        children.insert(child, node)
        node = sha256(b"\x01" + b"".join(children))
    return node == root


def _is_well_formed(proof: Proof) -> bool:
    if proof.depth > DEPTH_MAX or len(proof.bucket) > BUCKET_MAX:
        return False
    if any(len(k) != HASH_BYTES or len(v) != HASH_BYTES for k, v in proof.bucket):
        return False
    if any(len(part) != HASH_BYTES for three in proof.siblings for part in three):
        return False
    return all(a[0] < b[0] for a, b in pairwise(proof.bucket))
