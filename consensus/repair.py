"""STATUS: whoever is ahead answers with what the other lacks (docs/spec/protocol.md, section 6).

Nothing in the protocol relies on one send: every loss is repaired here.
"""

from __future__ import annotations

from consensus import views
from consensus.effects import Send
from consensus.events import Timer
from consensus.messages import Heartbeat, Status
from consensus.replica import Replica
from ledger.ids import MemberIndex


def own_status(replica: Replica) -> Status | None:
    """This replica's STATUS, or None when it may not sign."""
    me = replica.me
    if me is None:
        return None
    slot = replica.slots.get(replica.next_height)
    unsigned = Status(
        epoch=replica.epoch,
        view=replica.view,
        installed=replica.installed,
        committed=replica.head.height,
        prepared=slot is not None and slot.prepared is not None,
        signer=me,
        signature=b"",
    )
    status = replica.signed(unsigned)
    assert isinstance(status, Status)
    return status


def tick(replica: Replica) -> None:
    """The STATUS timer: speak, and come back sooner while something hangs."""
    status = own_status(replica)
    if status is not None:
        replica.broadcast(status)
    replica.arm(Timer.STATUS, interval_ms(replica))


def interval_ms(replica: Replica) -> int:
    """Twice a second while something is under way, every few seconds when idle."""
    active = not replica.installed or replica.in_flight() or replica.work_pending
    return replica.timeouts.status_active_ms if active else replica.timeouts.status_idle_ms


def on_status(replica: Replica, sender: MemberIndex, status: Status) -> None:
    """Answer a member that is behind with the messages that bring it here."""
    if status.epoch > replica.epoch or status.committed > replica.head.height:
        views.behind_of(replica, sender, status.committed)
        return
    to = MemberIndex(status.signer)
    if status.epoch < replica.epoch or status.committed < replica.head.height:
        mine = own_status(replica)
        if mine is not None and to != replica.me:
            replica.emit(Send(to, mine))
        return
    if status.view > replica.view:
        return
    if status.view < replica.view or not status.installed:
        _send_view(replica, to)
        if status.view < replica.view:
            return
    if replica.installed:
        _send_slot(replica, to)


def _send_view(replica: Replica, to: MemberIndex) -> None:
    if replica.new_view is not None:
        replica.emit(Send(to, replica.new_view))
    elif replica.own_view_change is not None and replica.own_view_change.epoch == replica.epoch:
        replica.emit(Send(to, replica.own_view_change))


def _send_slot(replica: Replica, to: MemberIndex) -> None:
    slot = replica.slots.get(replica.next_height)
    if slot is None:
        return
    if slot.propose is not None:
        replica.emit(Send(to, slot.propose))
    me = replica.me
    if me is None:
        return
    for tally in (slot.prepares, slot.commits):
        vote = tally.get(me)
        if vote is not None:
            replica.emit(Send(to, vote))


def heartbeat(replica: Replica) -> None:
    """The HEARTBEAT timer of the primary: alive, nothing to propose."""
    me = replica.me
    if me is None or not replica.installed or not replica.leads(replica.next_height):
        return
    if not replica.in_flight():
        unsigned = Heartbeat(
            epoch=replica.epoch,
            view=replica.view,
            committed=replica.head.height,
            signer=me,
            signature=b"",
        )
        replica.broadcast(replica.signed(unsigned))
        if not replica.work_pending:
            replica.arm_progress()  # nobody sends the primary its own heartbeat
    replica.arm(Timer.HEARTBEAT, replica.timeouts.heartbeat_ms)


def on_heartbeat(replica: Replica, sender: MemberIndex, message: Heartbeat) -> None:
    """Renews the patience with an idle primary, never with one that owes a block."""
    if message.epoch != replica.epoch or message.view != replica.view or not replica.installed:
        return
    views.behind_of(replica, sender, message.committed)
    if message.signer != replica.primary(replica.next_height):
        return
    if message.committed != replica.head.height:
        return
    if not replica.work_pending and not replica.in_flight():
        replica.arm_progress()
