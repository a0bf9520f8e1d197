"""The state of one replica and the few primitive moves that all its rules share.

The rules themselves stand in files named after them: proposals, votes, views, repair, recovery.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import msgspec

from consensus.effects import Broadcast, CancelTimer, Effect, Halt, Persist, SetTimer
from consensus.events import Now, Timer
from consensus.leader import Schedule
from consensus.messages import Message, NewView, Propose, Signed, ViewChange, Vote, signed_text
from consensus.records import ViewRecord
from consensus.timeouts import Timeouts
from consensus.view_change import Plan
from ledger.certificate import Certificate, Phase
from ledger.crypto import Signer
from ledger.ids import BlockHash, ChainId, Epoch, Height, MemberIndex, View
from ledger.parameters import Parameters
from ledger.validators import ValidatorSet

EARLY_MESSAGES_MAX = 64
"""Messages of one member kept for a view or height that this replica has not reached."""
EARLY_PROPOSALS_MAX = 2
"""Proposals among them: each may take a megabyte."""


@dataclass(slots=True)
class Slot:
    """One height in the current view."""

    propose: Propose | None = None
    judged: bool = False
    """The proposed block is whole, executed and staged."""
    bad: bool = False
    received_ms: int = 0
    prepares: dict[int, Vote] = field(default_factory=dict)
    commits: dict[int, Vote] = field(default_factory=dict)
    prepared: Certificate | None = None
    decided: bool = False

    def votes(self, phase: Phase) -> dict[int, Vote]:
        """The tally of one phase, by signer."""
        return self.prepares if phase is Phase.PREPARE else self.commits


@dataclass(frozen=True, slots=True)
class Head:
    """The committed tip."""

    height: Height
    block_hash: BlockHash
    time_ms: int
    certificate: Certificate


@dataclass(slots=True)
class Replica:
    """Everything a replica knows; mutated only inside `Core.handle`."""

    chain: ChainId
    parameters: Parameters
    timeouts: Timeouts
    signer: Signer | None
    """None: this node follows and serves, but does not vote."""
    validators: ValidatorSet
    head: Head
    schedule: Schedule
    highest: Certificate
    """Highest certificate ever held, by rank in this epoch."""
    view: View
    start: Height
    """First height of the current view."""
    installed: bool = True
    plan: Plan | None = None
    new_view: NewView | None = None
    """The NEW-VIEW that installed the current view; None in view 0."""
    own_view_change: ViewChange | None = None
    slots: dict[int, Slot] = field(default_factory=dict)
    own_votes: dict[tuple[int, int, Phase], Vote] = field(default_factory=dict)
    """(view, height, phase) -> what this key signed above the committed height."""
    own_proposals: dict[tuple[int, int], Propose] = field(default_factory=dict)
    view_changes: dict[int, ViewChange] = field(default_factory=dict)
    """The latest VIEW-CHANGE of each member."""
    early: dict[int, deque[Message]] = field(default_factory=dict)
    answered_ms: dict[int, int] = field(default_factory=dict)
    """Member -> when its STATUS was last answered (monotonic)."""
    failures: int = 0
    """Views that failed since the last commit."""
    latency_ms: int = 0
    work_pending: bool = False
    idle_due: bool = False
    building: tuple[int, int] | None = None
    """(view, height) of the BuildBlock or FindBlock that is under way."""
    last_commit_ms: int = 0
    last_transactions: int = 0
    halted: str = ""
    now: Now = field(default_factory=lambda: Now(0, 0))
    effects: list[Effect] = field(default_factory=list)
    tokens: dict[Timer, int] = field(default_factory=dict)
    due_ms: dict[Timer, int] = field(default_factory=dict)
    """When each timer that was armed last fires, monotonic."""
    token: int = 0

    # ----- identity

    @property
    def epoch(self) -> Epoch:
        return self.validators.epoch

    @property
    def me(self) -> MemberIndex | None:
        """This node's index in the current set, if its key is in it and it may vote."""
        if self.signer is None or self.halted:
            return None
        return self.validators.index_of_vote_key(self.signer.public_key)

    @property
    def next_height(self) -> Height:
        """The lowest height that is not committed."""
        return Height(self.head.height + 1)

    @property
    def stand(self) -> tuple[int, int, bool]:
        """(epoch, view, installed): which view's duties this node has."""
        return (self.epoch, self.view, self.installed)

    @property
    def view_in_force(self) -> View:
        """The highest view that this node takes part in, or knows to have certified a block.

        Catching up brings certificates of views whose NEW-VIEW is not here yet; what lies below
        such a view is over, and a VIEW-CHANGE must ask for one above it.
        """
        if self.highest.epoch == self.epoch and self.highest.view > self.view:
            return View(self.highest.view)
        return self.view

    def slot(self, height: int) -> Slot:
        """The slot of `height`, made when it is not there."""
        return self.slots.setdefault(height, Slot())

    def primary(self, height: Height) -> MemberIndex | None:
        """Who proposes `height` in the current view."""
        return self.schedule.primary(self.view, height, self.start)

    def leads(self, height: Height) -> bool:
        """Whether this node proposes `height` in the current view."""
        me = self.me
        return me is not None and self.primary(height) == me

    def owes_tip(self, height: int) -> bool:
        """Whether the view must propose its tip again at `height`."""
        return self.plan is not None and self.plan.tip is not None and height == self.start

    def in_flight(self) -> bool:
        """Whether the next height has a proposal or votes, or this view owes a certified block."""
        if self.owes_tip(self.next_height):
            return True
        slot = self.slots.get(self.next_height)
        return slot is not None and (slot.propose is not None or bool(slot.prepares))

    def has_left(self, view: int) -> bool:
        """Whether this node asked for a view above `view`; then it votes in `view` no more."""
        mine = self.own_view_change
        return mine is not None and mine.epoch == self.epoch and mine.view > view

    def view_record(self) -> ViewRecord:
        """The view change state as it must survive a crash."""
        return ViewRecord(
            self.epoch, self.view, self.installed, self.new_view, self.own_view_change
        )

    # ----- effects

    def emit(self, effect: Effect) -> None:
        """Add an effect to this event's list."""
        self.effects.append(effect)

    def persist(self, *writes: tuple[bytes, bytes | None]) -> None:
        """Make `writes` durable before anything that follows."""
        self.effects.append(Persist(writes))

    def broadcast(self, message: Message) -> None:
        """Say `message` to every other member."""
        self.effects.append(Broadcast(message))

    def arm(self, timer: Timer, delay_ms: int) -> None:
        """Arm or re-arm `timer`."""
        self.token += 1
        self.tokens[timer] = self.token
        self.due_ms[timer] = self.now.mono_ms + delay_ms
        self.effects.append(SetTimer(timer, self.token, delay_ms))

    def disarm(self, timer: Timer) -> None:
        """Cancel `timer` if it is armed."""
        if self.tokens.pop(timer, None) is not None:
            self.effects.append(CancelTimer(timer))

    def hasten(self, timer: Timer, delay_ms: int) -> None:
        """Arm `timer` unless it fires sooner anyway: otherwise what hastens it could put it off."""
        waits = timer in self.tokens and self.due_ms[timer] <= self.now.mono_ms + delay_ms
        if not waits:
            self.arm(timer, delay_ms)

    def arm_progress(self) -> None:
        """Give the primary a full measure of patience from now."""
        self.arm(Timer.PROGRESS, self.timeouts.progress(self.latency_ms, self.failures))

    def halt(self, reason: str, detail: str) -> None:
        """Stop voting for good in this process."""
        if not self.halted:
            self.halted = reason
            self.effects.append(Halt(reason, detail))

    # ----- signing

    def signed(self, message: Signed) -> Signed:
        """`message` with this node's signature. Votes are made in votes.py only."""
        assert self.signer is not None
        assert not self.halted
        return msgspec.structs.replace(
            message, signature=self.signer.sign(signed_text(message, self.chain))
        )

    def keep_early(self, sender: int, message: Message) -> None:
        """Keep a message that may be right later; the oldest of its signer goes first."""
        queue = self.early.setdefault(sender, deque(maxlen=EARLY_MESSAGES_MAX))
        if message in queue:
            return  # a replay must not push the others out
        queue.append(message)
        proposals = [kept for kept in queue if isinstance(kept, Propose)]
        if len(proposals) > EARLY_PROPOSALS_MAX:
            queue.remove(proposals[0])
