"""Leaving a view and installing the next (docs/spec/protocol.md, section 5)."""

from __future__ import annotations

from consensus import records, votes
from consensus.effects import Accuse, Behind
from consensus.events import Timer
from consensus.evidence import Evidence, contradicts
from consensus.messages import NewView, ViewChange
from consensus.replica import Replica
from consensus.view_change import Plan, SafetyViolation, plan
from ledger.ids import Height, MemberIndex, View


def complain(replica: Replica) -> None:
    """Leave the current view: its primary is slow, silent or provably bad."""
    leave(replica, View(replica.view_in_force + 1))


def leave(replica: Replica, view: View) -> None:
    """Ask for `view`: from here on no vote for anything lower. Durable before it is said."""
    me = replica.me
    if me is None or view <= replica.view:
        return
    replica.failures += 1
    enter(replica, view)
    unsigned = ViewChange(
        epoch=replica.epoch,
        view=view,
        committed=replica.head.certificate,
        highest=replica.highest,
        signer=me,
        signature=b"",
    )
    change = replica.signed(unsigned)
    assert isinstance(change, ViewChange)
    replica.own_view_change = change
    replica.view_changes[me] = change
    replica.persist((records.VIEW, records.encode_view(replica.view_record())))
    replica.broadcast(change)
    replica.disarm(Timer.PROGRESS)
    replica.disarm(Timer.VIEW_CHANGE)
    replica.disarm(Timer.HEARTBEAT)
    replica.arm(Timer.STATUS, replica.timeouts.status_active_ms)
    on_quorum(replica)


def enter(replica: Replica, view: View) -> None:
    """Drop what belonged to the lower view; the highest certificate stays."""
    replica.view = view
    replica.installed = False
    replica.new_view = None
    replica.plan = None
    replica.slots.clear()
    replica.building = None


def on_view_change(replica: Replica, change: ViewChange) -> None:
    """Keep the member's latest VIEW-CHANGE; follow f+1; lead a quorum."""
    if change.epoch != replica.epoch:
        return
    known = replica.view_changes.get(change.signer)
    if known is not None:
        if contradicts(known, change):
            replica.emit(Accuse(Evidence(known, change)))
        if change.view <= known.view:
            return
    replica.view_changes[change.signer] = change
    follow(replica)
    on_quorum(replica)


def follow(replica: Replica) -> None:
    """f+1 members left for higher views: one of them is correct, so go with the lowest."""
    above = replica.view_in_force
    higher = sorted(c.view for c in replica.view_changes.values() if c.view > above)
    if len(higher) >= replica.validators.weak_quorum:
        leave(replica, View(higher[0]))


def on_quorum(replica: Replica) -> None:
    """A quorum asks for this view: give its primary a bounded time, or be that primary."""
    if replica.installed:
        return
    # A member that gave this view up for a higher one asked for this one before. Were it not
    # counted, the others could wait here for ever once it has gone on and another one is dead.
    asking = [c for c in replica.view_changes.values() if c.view >= replica.view]
    if len(asking) < replica.validators.quorum:
        return
    if Timer.VIEW_CHANGE not in replica.tokens:
        patience = replica.timeouts.progress(replica.latency_ms, replica.failures)
        replica.arm(Timer.VIEW_CHANGE, patience)
    agreeing = [c for c in asking if c.view == replica.view]
    if len(agreeing) < replica.validators.quorum:
        return
    me = replica.me
    if me is None or replica.schedule.sender_of_new_view(replica.view) != me:
        return
    chosen = sorted(agreeing, key=lambda change: change.signer)[: replica.validators.quorum]
    unsigned = NewView(
        epoch=replica.epoch,
        view=replica.view,
        view_changes=tuple(chosen),
        signer=me,
        signature=b"",
    )
    message = replica.signed(unsigned)
    assert isinstance(message, NewView)
    install(replica, message)
    if not replica.halted:
        replica.broadcast(message)


def on_new_view(replica: Replica, message: NewView) -> None:
    """Install a view whose quorum of VIEW-CHANGEs was verified; recompute what follows from it."""
    if message.epoch != replica.epoch or message.view < replica.view:
        return
    if message.view == replica.view and replica.installed:
        return
    if message.view > replica.view:
        enter(replica, View(message.view))
    for change in message.view_changes:
        known = replica.view_changes.get(change.signer)
        if known is None or known.view < change.view:
            replica.view_changes[change.signer] = change
    install(replica, message)


def install(replica: Replica, message: NewView) -> None:
    """Begin the view with the plan that its VIEW-CHANGEs dictate."""
    made = recompute(replica, message)
    if made is None:
        return
    replica.plan = made
    replica.start = made.start
    replica.new_view = message
    replica.installed = True
    votes.hold(replica, made.tip_certificate)
    replica.persist((records.VIEW, records.encode_view(replica.view_record())))
    replica.disarm(Timer.VIEW_CHANGE)
    replica.arm_progress()
    replica.arm(Timer.STATUS, replica.timeouts.status_active_ms)
    if made.committed.height > replica.head.height:
        # Whoever showed the certificate has the block; the sender of NEW-VIEW need not have it.
        holder = next(c.signer for c in message.view_changes if c.committed == made.committed)
        votes.on_commit_certificate(replica, MemberIndex(holder), made.committed)


def recompute(replica: Replica, message: NewView) -> Plan | None:
    """The plan, or None after halting because the certificates contradict each other."""
    try:
        made = plan(message.view_changes, replica.epoch)
    except SafetyViolation as violation:
        replica.halt("SAFETY_VIOLATION", str(violation))
        return None
    head = replica.head
    if made.start == head.height and made.tip not in (None, head.block_hash):
        # The block that this replica committed is proposed again; its hash must be the same one.
        replica.halt("SAFETY_VIOLATION", f"view {message.view} contradicts the committed head")
        return None
    return made


def behind_of(replica: Replica, sender: MemberIndex, height: int) -> None:
    """Ask for catch-up when `sender` says that it committed more."""
    if height > replica.head.height:
        replica.emit(Behind(sender, Height(height)))
