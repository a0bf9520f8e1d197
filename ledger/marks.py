"""Replay marks: each (iss, jti) is used once while its transaction has not expired.

Formats: docs/spec/formats.md, sections 3 and 13. Marks stand in tables `r`, `m` and `n`, outside
the tree; the tree holds a rolling hash for each expiry minute, so that a snapshot's marks can be
checked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import msgspec

from ledger import canonical
from ledger.crypto import sha256
from ledger.ids import ZERO_HASH, Hash, Height, TxId
from ledger.state import Draft, Reader, State
from ledger.store import MARK_TABLE
from ledger.transaction import Transaction

MINUTE_SECONDS: Final = 60
MINUTE_MS: Final = 60_000
_MINUTE_TABLE: Final = b"m"
_COUNT_TABLE: Final = b"n"


class MinuteHash(msgspec.Struct, frozen=True):
    """Value of `mark/<minute>`: how many marks expire in it, and their rolling hash."""

    count: int
    hash: str


_EMPTY: Final = MinuteHash(0, ZERO_HASH.hex())
_minute_decoder = msgspec.json.Decoder(MinuteHash)
_Row = tuple[str, str, str]
_rows_encoder = msgspec.msgpack.Encoder()
_rows_decoder: msgspec.msgpack.Decoder[list[_Row]] = msgspec.msgpack.Decoder(list[_Row])


def mark_key(iss: str, jti: str) -> bytes:
    """Raw key of a mark."""
    return MARK_TABLE + iss.encode("ascii") + b"\x00" + jti.encode("ascii")


def minute_key(minute: int) -> bytes:
    """State key of a minute's rolling hash."""
    return f"mark/{minute}".encode("ascii")


def minute_of(exp: int) -> int:
    """The minute in which a mark with expiry `exp` (seconds since 1970) is deleted."""
    return exp // MINUTE_SECONDS


def find_mark(state: Reader, iss: str, jti: str, time_ms: int) -> TxId | None:
    """The transaction that used (iss, jti), if its mark is live at `time_ms`."""
    value = state.read(mark_key(iss, jti))
    if value is None or time_ms >= int.from_bytes(value[:8], "big") * 1000:
        return None
    return TxId(value[8:])


def count_marks(state: Reader, agency: str) -> int:
    """Marks of the agency's parties that no block has deleted yet."""
    value = state.read(_COUNT_TABLE + agency.encode("ascii"))
    return 0 if value is None else int.from_bytes(value, "big")


@dataclass(slots=True)
class Marks:
    """The marks that one block makes. `write` puts hashes, lists and counts into the draft."""

    draft: Draft
    height: Height
    _hashes: dict[int, tuple[int, Hash]] = field(default_factory=dict)
    _rows: dict[int, list[_Row]] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def count(self, agency: str) -> int:
        """Live marks of the agency, this block's included."""
        count = self._counts.get(agency)
        return count_marks(self.draft, agency) if count is None else count

    def add(self, transaction: Transaction, agency: str) -> None:
        """Use up (iss, jti). The caller has seen that no live mark stands."""
        iss, jti, exp = transaction.iss, transaction.jti, transaction.exp
        self.draft.write(mark_key(iss, jti), exp.to_bytes(8, "big") + transaction.id)
        minute = minute_of(exp)
        if minute not in self._hashes:
            value = self.draft.get(minute_key(minute))
            old = _EMPTY if value is None else _minute_decoder.decode(value)
            self._hashes[minute] = (old.count, Hash(bytes.fromhex(old.hash)))
            self._rows[minute] = []
        count, link = self._hashes[minute]
        name = sha256(f"{iss}\n{jti}\n".encode("ascii"))
        self._hashes[minute] = (count + 1, sha256(link + name + transaction.id))
        self._rows[minute].append((iss, jti, agency))
        self._counts[agency] = self.count(agency) + 1

    def expire(self, state: State, time_ms: int) -> None:
        """Delete every minute that ended at or before `time_ms`; first thing in a block."""
        for key, value in state.scan(_MINUTE_TABLE):
            minute = int.from_bytes(key[1:9], "big")
            if (minute + 1) * MINUTE_MS > time_ms:
                return
            self.draft.write(key, None)
            self.draft.delete(minute_key(minute))
            for iss, jti, agency in _rows_decoder.decode(value):
                self._counts[agency] = self.count(agency) - 1
                self._delete(iss, jti, minute)

    def _delete(self, iss: str, jti: str, minute: int) -> None:
        key = mark_key(iss, jti)
        value = self.draft.read(key)
        # Once expired, (iss, jti) may be used anew before the minute ends; that mark stays.
        if value is not None and minute_of(int.from_bytes(value[:8], "big")) == minute:
            self.draft.write(key, None)

    def write(self) -> None:
        """Put everything but the marks themselves into the draft; last thing in a block."""
        for minute, (count, link) in self._hashes.items():
            self.draft.put(minute_key(minute), canonical.encode(MinuteHash(count, link.hex())))
            key = _MINUTE_TABLE + minute.to_bytes(8, "big") + self.height.to_bytes(8, "big")
            self.draft.write(key, _rows_encoder.encode(self._rows[minute]))
        for agency, count in self._counts.items():
            assert count >= 0
            value = count.to_bytes(8, "big") if count else None
            self.draft.write(_COUNT_TABLE + agency.encode("ascii"), value)
