"""Acts that wait for more signatures: collected on the ledger, with an expiry (registry.md, 5)."""

from __future__ import annotations

from typing import Any

import msgspec

from ledger import canonical
from ledger.crypto import sha256
from ledger.state import Draft, Reader

PENDING_SECONDS = 30 * 86_400


class Pending(msgspec.Struct, frozen=True):
    """Value of `pending/<record id>/<pending id>`."""

    id: str
    record: str
    type: str
    version: int
    transition: str
    input: dict[str, Any]
    """Input of an act, or the data of a record that is to be created."""
    party: str
    """Who began it: the record's registrant when it creates one."""
    agency: str
    signers: tuple[str, ...]
    revision: int
    """`seq` of the record that it is about; -1 before its creation."""
    until: int


_pending = msgspec.json.Decoder(Pending)


def pending_id(tx: str, index: int) -> str:
    """Id of the act that operation `index` of a transaction left waiting."""
    return sha256(f"muniment-pending-v1\n{tx}\n{index}\n".encode("ascii")).hex()[:16]


def pending_key(record: str, name: str) -> bytes:
    """State key of a waiting act."""
    return f"pending/{record}/{name}".encode("ascii")


def find(state: Reader, record: str, name: str) -> Pending | None:
    """A waiting act."""
    value = state.get(pending_key(record, name))
    return None if value is None else _pending.decode(value)


def save(draft: Draft, pending: Pending) -> None:
    """Write a waiting act."""
    draft.put(pending_key(pending.record, pending.id), canonical.encode(pending))


def remove(draft: Draft, pending: Pending) -> None:
    """Forget a waiting act: done, or expired."""
    draft.delete(pending_key(pending.record, pending.id))
