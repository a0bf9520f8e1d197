"""Entries: what a block says about each of its transactions, and about its epoch's close.

Format: docs/spec/formats.md, section 4. Entries are the leaves of `receipts_root`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, Literal

import msgspec

from ledger import canonical, merkle
from ledger.ids import INTEGER_MAX, Epoch, Hash, Height, TxId, hash_from_hex

ENTRY_TYPE: Final = "muniment-entry-v1"
NO_OPERATION: Final = -1
"""`operation` of a committed transaction."""


class Status(StrEnum):
    """What became of a transaction that a block holds."""

    COMMITTED = "committed"
    REFUSED = "refused"


class TxEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The entry of one transaction."""

    height: int
    index: int
    """Position of the transaction in its block, from 0; also the leaf's position."""
    tx: str
    """Transaction id, hex."""
    status: Status
    reason: str
    """Empty when committed."""
    operation: int
    """Index of the operation that was refused, or -1."""
    results: tuple[dict[str, Any], ...]
    """One object for each operation; when refused, at most one that says what failed."""
    kind: Literal["tx"] = "tx"
    type: Literal["muniment-entry-v1"] = ENTRY_TYPE

    @classmethod
    def from_json(cls, value: Any) -> TxEntry:
        """From a parsed JSON object. Raises ValueError on any other shape."""
        try:
            entry = msgspec.convert(value, cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"entry: {error}") from None
        if len(value) != len(cls.__struct_fields__):
            raise ValueError("entry: a member is missing")
        hash_from_hex(entry.tx)
        if not 0 <= entry.height <= INTEGER_MAX or not 0 <= entry.index <= INTEGER_MAX:
            raise ValueError("entry: a number is out of range")
        if entry.status is Status.COMMITTED:
            consistent = entry.reason == "" and entry.operation == NO_OPERATION
        else:
            consistent = entry.reason != "" and entry.operation >= 0 and len(entry.results) <= 1
        if not consistent:
            raise ValueError("entry: status, reason, operation and results do not agree")
        return entry

    def encode(self) -> bytes:
        """Canonical JSON: the leaf's data."""
        return canonical.encode(self)


def committed_entry(
    height: Height, index: int, tx: TxId, results: Sequence[dict[str, Any]]
) -> bytes:
    """Canonical JSON of a committed transaction's entry."""
    return TxEntry(
        height, index, tx.hex(), Status.COMMITTED, "", NO_OPERATION, tuple(results)
    ).encode()


def refused_entry(
    height: Height,
    index: int,
    tx: TxId,
    reason: str,
    operation: int,
    results: tuple[dict[str, Any], ...] = (),
) -> bytes:
    """Canonical JSON of a refused transaction's entry; `operation` is the one that was refused."""
    assert reason
    assert operation >= 0
    return TxEntry(height, index, tx.hex(), Status.REFUSED, reason, operation, results).encode()


def timer_entry(
    height: Height, index: int, record: str, name: str, reason: str, result: dict[str, Any]
) -> bytes:
    """Canonical JSON of the entry of a timer that fired, or was refused with `reason`."""
    return canonical.encode(
        {
            "type": ENTRY_TYPE,
            "kind": "timer",
            "height": height,
            "index": index,
            "record": record,
            "name": name,
            "status": "refused" if reason else "fired",
            "reason": reason,
            "results": [result] if result else [],
        }
    )


def epoch_entry(height: Height, index: int, epoch: Epoch, validators_hash: Hash) -> bytes:
    """Canonical JSON of the entry with which a block closes its epoch and names the next one."""
    return canonical.encode(
        {
            "type": ENTRY_TYPE,
            "kind": "epoch",
            "height": height,
            "index": index,
            "epoch": epoch,
            "validators_hash": validators_hash.hex(),
        }
    )


def receipts_root(entries: Sequence[bytes]) -> Hash:
    """`receipts_root` of a header: RFC 9162 root over the canonical entries in order."""
    return merkle.root(entries)
