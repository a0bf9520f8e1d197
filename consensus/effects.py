"""What the core may ask of the world. Order is the durability contract: a Persist is on disk
before any later effect of this list, or of any later list, happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from consensus.events import Timer
from consensus.evidence import Evidence
from consensus.messages import Message, Propose
from ledger.certificate import Certificate
from ledger.ids import BlockHash, Height, MemberIndex, View


@dataclass(frozen=True, slots=True)
class Persist:
    """Store writes (None deletes) of table `w` and the leader schedule."""

    writes: tuple[tuple[bytes, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Send:
    """One message to one member."""

    to: MemberIndex
    message: Message


@dataclass(frozen=True, slots=True)
class Broadcast:
    """One message to every other member."""

    message: Message


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Arm, or re-arm, a timer."""

    timer: Timer
    token: int
    delay_ms: int


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Disarm a timer."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class BuildBlock:
    """Build and execute a fresh block on the committed head; answer with BlockBuilt."""

    view: View
    height: Height
    time_ms: int
    """Lower bound for the block's time: this node's wall clock."""


@dataclass(frozen=True, slots=True)
class FindBlock:
    """Find the uncommitted block `block_hash` for re-proposal; fetch it from `holders` if it is
    not here; answer with BlockBuilt."""

    view: View
    height: Height
    block_hash: BlockHash
    holders: tuple[MemberIndex, ...]


@dataclass(frozen=True, slots=True)
class JudgeBlock:
    """Complete, execute and check the proposed block; answer with BlockJudged."""

    propose: Propose


@dataclass(frozen=True, slots=True)
class Decide:
    """Commit the judged block `certificate` names; answer with Applied."""

    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Behind:
    """Others have committed more; catch up, believing certificates only."""

    member: MemberIndex
    height: Height


@dataclass(frozen=True, slots=True)
class Accuse:
    """Transferable proof that a member broke the protocol."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Halt:
    """Voting stops for good in this process: going on could break safety."""

    reason: str
    detail: str


Effect: TypeAlias = (
    Persist
    | Send
    | Broadcast
    | SetTimer
    | CancelTimer
    | BuildBlock
    | FindBlock
    | JudgeBlock
    | Decide
    | Behind
    | Accuse
    | Halt
)
