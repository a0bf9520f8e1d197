"""What may happen to the core. Each event comes with the two clocks read by the interpreter."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from consensus.messages import Message
from ledger.block import Header
from ledger.certificate import Certificate
from ledger.ids import BlockHash, Height, MemberIndex, View
from ledger.validators import ValidatorSet


@dataclass(frozen=True, slots=True)
class Now:
    """Clock readings: monotonic for timers, wall for proposal times. Milliseconds."""

    mono_ms: int
    wall_ms: int


class Timer(Enum):
    """The core's timers; each is armed at most once at a time."""

    PROGRESS = "progress"
    """No commit, no heartbeat: complain."""
    VIEW_CHANGE = "view-change"
    """A quorum left, but no NEW-VIEW came."""
    PROPOSE = "propose"
    """The pace allows the next block."""
    IDLE = "idle"
    """block_interval_max_ms passed without a block."""
    HEARTBEAT = "heartbeat"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Started:
    """The replica begins or resumes, after recovery."""


@dataclass(frozen=True, slots=True)
class Received:
    """A verified message. `sender` is the member whose session carried it."""

    sender: MemberIndex
    message: Message


@dataclass(frozen=True, slots=True)
class TimerFired:
    """`token` tells an armed timer from one that was re-armed since."""

    timer: Timer
    token: int


@dataclass(frozen=True, slots=True)
class BlockBuilt:
    """Answer to BuildBlock or FindBlock: a block executed here, its body staged."""

    view: View
    height: Height
    header: Header
    commit: Certificate
    transaction_ids: tuple[bytes, ...]
    evidence: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class BlockJudged:
    """Answer to JudgeBlock. `reason` is empty when valid: whole, executed and staged."""

    view: View
    height: Height
    block_hash: BlockHash
    reason: str


@dataclass(frozen=True, slots=True)
class Applied:
    """A block became the committed head, by consensus or by catch-up."""

    header: Header
    block_hash: BlockHash
    certificate: Certificate
    body_commit: Certificate
    """The commit inside the block's body; the leader schedule reads nothing else."""
    transactions: int
    next_validators: ValidatorSet | None
    """The next epoch's set when the block closes its epoch."""


@dataclass(frozen=True, slots=True)
class Work:
    """Whether transactions or due timers wait, and whether one waits too long although blocks
    had room (a reason to complain about the primary)."""

    pending: bool
    overdue: bool


Event: TypeAlias = Started | Received | TimerFired | BlockBuilt | BlockJudged | Applied | Work
