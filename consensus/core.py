"""Core: one replica of the protocol as a pure state machine, `handle(event, now) -> effects`.

No clock, no randomness, no await, no I/O. Peer input never raises out of `handle`; an
AssertionError means that we are wrong and the process must stop.
"""

from __future__ import annotations

from typing import assert_never

from consensus import proposals, records, repair, views, votes
from consensus.effects import Effect
from consensus.events import (
    Applied,
    BlockBuilt,
    BlockJudged,
    Event,
    Now,
    Received,
    Started,
    Timer,
    TimerFired,
    Work,
)
from consensus.leader import Schedule
from consensus.messages import (
    Checkpoint,
    Decided,
    Heartbeat,
    Message,
    NewView,
    Propose,
    Status,
    ViewChange,
    Vote,
)
from consensus.replica import Head, Replica
from ledger.ids import Height, MemberIndex, View
from ledger.validators import ValidatorSet


class Core:
    """The only way in: the asyncio runtime and the simulator both call `handle`."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica

    def handle(self, event: Event, now: Now) -> list[Effect]:
        """Take one event and return what the world must do, in order."""
        replica = self.replica
        replica.now = now
        if replica.halted:
            # Only a halt in `recover` leaves something here: the first event brings it out.
            effects, replica.effects = replica.effects, []
            return effects
        stand = replica.stand
        self._dispatch(event)
        while replica.installed and stand != replica.stand:  # a view begins; its duties may end it
            stand = replica.stand
            self._lead()
            self._replay()
        effects, replica.effects = replica.effects, []
        return effects

    def _dispatch(self, event: Event) -> None:
        replica = self.replica
        match event:
            case Started():
                self._start()
            case Received(sender, message):
                self._receive(sender, message)
            case TimerFired(timer, token):
                if replica.tokens.get(timer) == token:
                    del replica.tokens[timer]
                    self._fire(timer)
            case BlockBuilt():
                proposals.on_built(replica, event)
            case BlockJudged():
                proposals.on_judged(replica, event)
            case Applied():
                self._apply(event)
            case Work(pending, overdue):
                self._work(pending, overdue)
            case _:
                assert_never(event)

    # ----- events

    def _start(self) -> None:
        replica = self.replica
        replica.last_commit_ms = replica.now.mono_ms
        if replica.installed:
            replica.arm(Timer.PROGRESS, replica.timeouts.start_grace_ms)
        elif replica.own_view_change is not None:
            replica.broadcast(replica.own_view_change)
        replica.arm(Timer.STATUS, replica.timeouts.status_active_ms)
        replica.arm(Timer.IDLE, self._idle_left_ms())
        status = repair.own_status(replica)
        if status is not None:
            replica.broadcast(status)
        self._lead()

    def _receive(self, sender: MemberIndex, message: Message) -> None:
        replica = self.replica
        match message:
            case Propose():
                proposals.on_propose(replica, sender, message)
            case Vote():
                votes.on_vote(replica, sender, message)
            case ViewChange():
                views.on_view_change(replica, message)
            case NewView():
                views.on_new_view(replica, message)
            case Status():
                repair.on_status(replica, sender, message)
            case Heartbeat():
                repair.on_heartbeat(replica, sender, message)
            case Decided(certificate):
                votes.on_commit_certificate(replica, sender, certificate)
            case Checkpoint():
                pass  # gathered by the node: a note is no vote of the protocol
            case _:
                assert_never(message)

    def _fire(self, timer: Timer) -> None:
        replica = self.replica
        match timer:
            case Timer.PROGRESS:
                if replica.installed:
                    views.complain(replica)
            case Timer.VIEW_CHANGE:
                if not replica.installed:
                    views.complain(replica)
            case Timer.PROPOSE:
                proposals.try_propose(replica)
            case Timer.IDLE:
                replica.idle_due = True
                proposals.try_propose(replica)
            case Timer.HEARTBEAT:
                repair.heartbeat(replica)
            case Timer.STATUS:
                repair.tick(replica)
            case _:
                assert_never(timer)

    def _work(self, pending: bool, overdue: bool) -> None:
        replica = self.replica
        appeared = pending and not replica.work_pending
        replica.work_pending = pending
        if not replica.installed:
            return
        if overdue and not replica.leads(replica.next_height):
            views.complain(replica)
            return
        if appeared:
            if not replica.in_flight():
                replica.arm_progress()
            replica.hasten(Timer.STATUS, replica.timeouts.status_active_ms)
        if pending:
            proposals.try_propose(replica)

    def _apply(self, event: Applied) -> None:
        replica = self.replica
        header = event.header
        assert header.height == replica.next_height, (header.height, replica.next_height)
        slot = replica.slots.get(header.height)
        if slot is not None and slot.received_ms:
            took = replica.now.mono_ms - slot.received_ms
            replica.latency_ms = (7 * replica.latency_ms + took) // 8
        votes.hold(replica, event.certificate)
        replica.head = Head(
            Height(header.height), event.block_hash, header.time_ms, event.certificate
        )
        if event.certificate.view == replica.view:
            replica.failures = 0
        replica.last_commit_ms = replica.now.mono_ms
        replica.last_transactions = event.transactions
        replica.idle_due = False
        replica.building = None
        self._forget(header.height)
        replica.schedule.advance(header.height, event.body_commit)
        if event.next_validators is not None:
            self._open_epoch(event.next_validators)
        replica.persist((records.SCHEDULE, replica.schedule.encode()))
        if replica.installed:
            replica.arm_progress()
        replica.arm(Timer.IDLE, replica.timeouts.block_interval_max_ms)
        self._lead()
        self._replay()

    # ----- moves

    def _idle_left_ms(self) -> int:
        """After a start: what is left of the idle interval since the head's time."""
        timeouts, replica = self.replica.timeouts, self.replica
        left = replica.head.time_ms + timeouts.block_interval_max_ms - replica.now.wall_ms
        return max(timeouts.idle_start_ms, min(left, timeouts.block_interval_max_ms))

    def _forget(self, height: int) -> None:
        """Votes up to `height` served; the view, the last VIEW-CHANGE and `highest` stay."""
        replica = self.replica
        for stale in [h for h in replica.slots if h <= height]:
            del replica.slots[stale]
        deletes: list[tuple[bytes, bytes | None]] = []
        for vote in [v for v in replica.own_votes.values() if v.height <= height]:
            del replica.own_votes[(vote.view, vote.height, vote.phase)]
            deletes.append((records.vote_key(vote), None))
        for propose in [p for p in replica.own_proposals.values() if p.height <= height]:
            del replica.own_proposals[(propose.view, propose.height)]
            deletes.append((records.propose_key(propose), None))
        if deletes:
            replica.persist(*deletes)

    def _open_epoch(self, validators: ValidatorSet) -> None:
        """The block that was applied closed its epoch: view 0 of the next begins above it."""
        replica = self.replica
        replica.validators = validators
        replica.view = View(0)
        replica.installed = True
        replica.start = replica.next_height
        replica.plan = None
        replica.new_view = None
        replica.own_view_change = None
        replica.view_changes.clear()
        replica.early.clear()
        replica.answered_ms.clear()
        replica.slots.clear()
        replica.failures = 0
        replica.highest = replica.head.certificate
        replica.schedule = Schedule(
            members=len(validators),
            faults=validators.f,
            turn_length=replica.parameters.turn_length,
            window=replica.parameters.window,
            epoch=validators.epoch,
            first=replica.next_height,
        )
        replica.disarm(Timer.VIEW_CHANGE)
        replica.persist(
            (records.HIGHEST, records.encode_certificate(replica.highest)),
            (records.VIEW, records.encode_view(replica.view_record())),
        )
        repair.tick(replica)  # what others said in this epoch before now was dropped unread

    def _lead(self) -> None:
        """Take up, or lay down, the primary's duties at the next height."""
        replica = self.replica
        replica.disarm(Timer.PROPOSE)
        if replica.installed and replica.leads(replica.next_height):
            if Timer.HEARTBEAT not in replica.tokens:
                replica.arm(Timer.HEARTBEAT, replica.timeouts.heartbeat_ms)
            proposals.try_propose(replica)
        else:
            replica.disarm(Timer.HEARTBEAT)

    def _replay(self) -> None:
        """Messages that came too early may be right now."""
        replica = self.replica
        if not replica.early or not replica.installed:
            return
        early, replica.early = replica.early, {}
        for signer in sorted(early):
            for message in early[signer]:
                if isinstance(message, Propose):
                    proposals.on_propose(replica, signer, message)
                elif isinstance(message, Vote):
                    votes.on_vote(replica, signer, message)


def recover(replica: Replica, restored: records.Restored) -> None:
    """Put the records of a crash back into a fresh replica: what was said still binds."""
    if restored.highest is not None and restored.highest.epoch == replica.epoch:
        replica.highest = restored.highest
    record = restored.view
    if record is not None and record.epoch == replica.epoch:
        replica.view = View(record.view)
        replica.installed = record.installed
        replica.own_view_change = record.own_view_change
        if record.own_view_change is not None:
            replica.view_changes[record.own_view_change.signer] = record.own_view_change
        if record.new_view is not None:
            replica.new_view = record.new_view
            replica.plan = views.recompute(replica, record.new_view)
            if replica.plan is not None:
                replica.start = replica.plan.start
    for vote in restored.votes:
        if vote.epoch == replica.epoch and vote.height > replica.head.height:
            replica.own_votes[(vote.view, vote.height, vote.phase)] = vote
    for propose in restored.proposals:
        if propose.epoch == replica.epoch and propose.height > replica.head.height:
            replica.own_proposals[(propose.view, propose.height)] = propose
