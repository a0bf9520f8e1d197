"""STATUS: whoever is ahead answers with what the other lacks (docs/spec/protocol.md, section 6).

Nothing in the protocol relies on one send: every loss is repaired here.
"""

from __future__ import annotations

from consensus import views
from consensus.effects import Send
from consensus.events import Timer
from consensus.messages import (
    Decided,
    Heartbeat,
    Message,
    NewView,
    Propose,
    Status,
    ViewChange,
    Vote,
)
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
    if not _may_answer(replica, sender):
        return
    to = sender  # the signer's index may be one of an older set, or the STATUS a replayed one
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


def _may_answer(replica: Replica, to: MemberIndex) -> bool:
    """A STATUS is small and what it asks for is not: a member has one answer in a while."""
    now_ms = replica.now.mono_ms
    last_ms = replica.answered_ms.get(to)
    if last_ms is not None and now_ms - last_ms < replica.timeouts.status_active_ms // 4:
        return False
    replica.answered_ms[to] = now_ms
    return True


def is_moot(replica: Replica, message: Message) -> bool:
    """Whether the rules would pass over `message` whatever its signatures are, so that nobody
    need verify them."""
    if isinstance(message, Decided):
        certificate = message.certificate
        return certificate.epoch != replica.epoch or certificate.height <= replica.head.height
    if not isinstance(message, Propose | Vote | ViewChange | NewView):
        return False
    if message.epoch != replica.epoch:
        return message.epoch < replica.epoch
    if isinstance(message, ViewChange):
        known = replica.view_changes.get(message.signer)
        return known is not None and (message.view < known.view or message == known)
    if isinstance(message, NewView):
        past = message.view < replica.view
        return past or (message.view == replica.view and replica.installed)
    return message.height <= replica.head.height


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
    if not replica.in_flight() and not replica.idle_due:  # else it owes a block: no excuse
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
