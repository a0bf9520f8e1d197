"""Versioned values: each names its predecessor's hash, so one proof covers the whole history.

Format: docs/spec/formats.md, section 9. Superseded versions go to table `v`, outside the tree.
"""

from __future__ import annotations

from typing import Any, Final

from ledger import canonical
from ledger.crypto import sha256
from ledger.ids import ChainId, PartyId
from ledger.state import Draft

HISTORY_TABLE: Final = b"v"
_NO_PREVIOUS: Final = "0" * 64


def record_id(type_code: str, chain: ChainId, iss: PartyId, jti: str, index: int) -> str:
    """Id of the record that operation `index` of transaction (`iss`, `jti`) creates."""
    digest = sha256(f"muniment-record-v1\n{chain}\n{iss}\n{jti}\n{index}\n".encode("ascii"))
    return f"{type_code}/{digest.hex()[:32]}"


def create(draft: Draft, key: bytes, fields: dict[str, Any]) -> bytes:
    """Write version 0 of a value; its bytes. `seq` and `prev` are set in `fields`."""
    fields["seq"], fields["prev"] = 0, _NO_PREVIOUS
    value = canonical.encode(fields)
    draft.put(key, value)
    return value


def supersede(draft: Draft, key: bytes, old: bytes, fields: dict[str, Any]) -> int:
    """Write the version that follows `old`, the value's bytes so far; its `seq`."""
    seq: int = canonical.decode(old)["seq"] + 1
    next_version(draft, key, old, fields, seq)
    return seq


def next_version(draft: Draft, key: bytes, old: bytes, fields: dict[str, Any], seq: int) -> bytes:
    """Write version `seq`, which follows `old`, the value's bytes so far; its bytes. `seq` and
    `prev` are set in `fields`."""
    draft.write(history_key(key, seq - 1), old)
    fields["seq"], fields["prev"] = seq, sha256(old).hex()
    value = canonical.encode(fields)
    draft.put(key, value)
    return value


def history_key(key: bytes, seq: int) -> bytes:
    """Raw key of a superseded version. State keys hold no zero byte."""
    return HISTORY_TABLE + key + b"\x00" + seq.to_bytes(8, "big")
