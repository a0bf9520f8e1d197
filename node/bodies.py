"""Proposals whose transactions are not all here, and blocks wanted for re-proposal. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from consensus.messages import Propose
from ledger.block import Block
from ledger.crypto import sha256
from ledger.parameters import BOUNDS

ASK_AGAIN_MS = 400
WAITING_MAX = 8
BODY_BYTES_MAX = BOUNDS["block_bytes_max"][1]
"""No chain's blocks hold more; what a proposal asks for beyond it cannot be valid."""


@dataclass(slots=True)
class Incomplete:
    """A proposal and the transactions of it that are here."""

    propose: Propose
    found: dict[bytes, bytes]
    asked_ms: int
    asked: int = 0
    """How often somebody was asked; chooses whom to ask next."""

    def missing(self) -> tuple[bytes, ...]:
        """Ids that are not here, in block order."""
        return tuple(i for i in self.propose.transaction_ids if i not in self.found)

    def block(self) -> Block:
        """The whole block."""
        return Block(
            self.propose.header,
            self.propose.commit,
            tuple(self.found[i] for i in self.propose.transaction_ids),
            self.propose.evidence,
        )


@dataclass(slots=True)
class Wanted:
    """A certified block that a new primary must propose again and does not have."""

    view: int
    height: int
    block_hash: bytes
    holders: tuple[int, ...]
    asked_ms: int
    asked: int = 0


@dataclass(slots=True)
class Bodies:
    """What is being fetched for the next heights."""

    incomplete: dict[bytes, Incomplete] = field(default_factory=dict)
    """By block hash."""
    wanted: Wanted | None = None

    def begin(self, propose: Propose, found: dict[bytes, bytes], now_ms: int) -> Incomplete:
        """Start to complete a proposal; the oldest one makes room."""
        if len(self.incomplete) >= WAITING_MAX:
            del self.incomplete[next(iter(self.incomplete))]
        item = Incomplete(propose, found, now_ms)
        self.incomplete[propose.block_hash] = item
        return item

    def receive(self, block_hash: bytes, transactions: tuple[bytes, ...]) -> Incomplete | None:
        """Add bodies; the proposal when it became whole. Bodies that are not its own are left."""
        item = self.incomplete.get(block_hash)
        if item is None:
            return None
        wanted = set(item.missing())
        room = BODY_BYTES_MAX - sum(map(len, item.found.values()))
        for raw in transactions:
            txid = sha256(raw)
            if txid in wanted and len(raw) <= room:
                room -= len(raw)
                item.found[txid] = raw
        if item.missing():
            return None
        del self.incomplete[block_hash]
        return item

    def due(self, now_ms: int) -> list[Incomplete]:
        """Proposals for which somebody must be asked again."""
        late = [i for i in self.incomplete.values() if now_ms - i.asked_ms >= ASK_AGAIN_MS]
        for item in late:
            item.asked_ms = now_ms
            item.asked += 1
        return late

    def forget(self, height: int) -> None:
        """Heights up to `height` are committed."""
        for block_hash in [
            h for h, item in self.incomplete.items() if item.propose.height <= height
        ]:
            del self.incomplete[block_hash]
        if self.wanted is not None and self.wanted.height <= height:
            self.wanted = None
