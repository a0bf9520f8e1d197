"""Transactions: JWS compact serialisation with an I-JSON payload (docs/spec/formats.md, section 3)."""

from __future__ import annotations

from typing import Any

import msgspec

from ledger.ids import Kid, PartyId, TxId


class Inadmissible(Exception):
    """The transaction can be in no valid block. `reason` is stable; `detail` is for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Transaction(msgspec.Struct, frozen=True):
    """A transaction whose form is valid; nothing is said yet about its key or signature."""

    raw: bytes
    """Compact JWS as received; verified and stored as such, never re-made."""
    id: TxId
    kid: Kid
    iss: PartyId
    aud: str
    jti: str
    exp: int
    """Seconds since 1970-01-01T00:00:00Z."""
    ops: tuple[dict[str, Any], ...]
    signature: bytes

    @property
    def signing_input(self) -> bytes:
        """What the signature covers: everything before the second dot."""
        return self.raw[: self.raw.rindex(b".")]
