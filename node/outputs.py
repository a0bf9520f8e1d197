"""Events into the node's machine and what it asks of its interpreter.

Order is meaning: a Flush makes everything staged in the store durable before any later output of
this list, or of any later list, is performed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from consensus.effects import CancelTimer, SetTimer
from consensus.events import Started, TimerFired
from ledger.block import Header
from ledger.certificate import Certificate
from ledger.ids import BlockHash, TxId
from p2p.wire import PeerFault


@dataclass(frozen=True, slots=True)
class Frames:
    """Complete frames that one peer's session delivered together."""

    peer: str
    frames: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class PeerUp:
    """A session with this peer is open."""

    peer: str


@dataclass(frozen=True, slots=True)
class PeerDown:
    """The session with this peer ended."""

    peer: str


@dataclass(frozen=True, slots=True)
class Submitted:
    """A client's transactions; `ticket` names the answer."""

    transactions: tuple[bytes, ...]
    ticket: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Some time passed: re-ask, expire, complain."""


NodeEvent: TypeAlias = Started | TimerFired | Frames | PeerUp | PeerDown | Submitted | Tick


@dataclass(frozen=True, slots=True)
class Flush:
    """Everything staged must be durable before what follows."""


@dataclass(frozen=True, slots=True)
class SendFrame:
    """One frame to one peer."""

    peer: str
    channel: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class BroadcastFrame:
    """One frame to every peer."""

    channel: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Charge:
    """The peer did what no correct peer does."""

    peer: str
    fault: PeerFault


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of one submitted transaction."""

    id: TxId | None
    status: str
    """accepted, known, or empty when it was not taken."""
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Outcomes of a Submitted event, in its order."""

    ticket: int
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class BlockCommitted:
    """A block is the durable head (a Flush stands before this)."""

    header: Header
    block_hash: BlockHash
    certificate: Certificate
    ids: tuple[TxId, ...]
    entries: tuple[bytes, ...]
    local: bool
    """Decided here, not caught up."""


@dataclass(frozen=True, slots=True)
class EpochOpened:
    """The validator set changed: sessions of removed members must close."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Accused:
    """Evidence against a member was found here."""

    kind: str
    member: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Going on could break safety: stop the process. `reason` is stable."""

    reason: str
    detail: str


Output: TypeAlias = (
    Flush
    | SendFrame
    | BroadcastFrame
    | SetTimer
    | CancelTimer
    | Charge
    | Answer
    | BlockCommitted
    | EpochOpened
    | Accused
    | Stop
)
