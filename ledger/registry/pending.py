"""Acts that wait for more signatures: collected on the ledger, with an expiry (registry.md, 5)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ledger import canonical
from ledger.crypto import sha256
from ledger.records import history_key
from ledger.state import Draft, Reader, State

PENDING_SECONDS: Final = 30 * 86_400
EXPIRED_PER_BLOCK_MAX: Final = 200
"""Waiting acts that one block removes; the rest is removed by the next ones."""
EXPIRY_TABLE: Final = b"p"


class Pending(msgspec.Struct, frozen=True):
    """Value of `pending/<record id>/<pending id>`."""

    id: str
    """Empty until it turns out that the act has to wait."""
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


def find_expired(state: Reader, record: str, name: str) -> Pending | None:
    """An act that waited in vain and was removed."""
    value = state.read(history_key(pending_key(record, name), 0))
    return None if value is None else _pending.decode(value)


def save(draft: Draft, pending: Pending) -> None:
    """Write a waiting act."""
    draft.put(pending_key(pending.record, pending.id), canonical.encode(pending))
    draft.write(_expiry_key(pending), b"")


def remove(draft: Draft, pending: Pending) -> None:
    """Forget a waiting act that is done."""
    draft.delete(pending_key(pending.record, pending.id))
    draft.write(_expiry_key(pending), None)


def _expiry_key(pending: Pending) -> bytes:
    place = pending.until.to_bytes(8, "big")
    return EXPIRY_TABLE + place + f"{pending.record}\x00{pending.id}".encode("ascii")


def expire(draft: Draft, parent: State, now: int) -> int:
    """Remove acts that waited until `now` (seconds) in vain, those that expired first before the
    others; what they were stays in the history. How many they were."""
    gone = 0
    for key, _ in parent.scan(EXPIRY_TABLE):
        if int.from_bytes(key[1:9], "big") > now or gone == EXPIRED_PER_BLOCK_MAX:
            break
        record, _, name = key[9:].decode("ascii").partition("\x00")
        value = draft.get(pending_key(record, name))
        assert value is not None, key
        pending = _pending.decode(value)
        draft.write(history_key(pending_key(record, name), 0), value)
        remove(draft, pending)
        gone += 1
    return gone
