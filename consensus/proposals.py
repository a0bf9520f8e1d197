"""Proposing, and what a backup does with a proposal (docs/spec/protocol.md, section 4)."""

from __future__ import annotations

from consensus import records, views, votes
from consensus.effects import Accuse, Behind, BuildBlock, FindBlock, JudgeBlock
from consensus.events import BlockBuilt, BlockJudged, Timer
from consensus.evidence import Evidence, contradicts
from consensus.messages import Propose
from consensus.replica import Replica
from consensus.timeouts import proposal_time_bounds
from ledger.block import Header, header_hash
from ledger.certificate import Phase
from ledger.ids import Height, MemberIndex


def pace_ms(replica: Replica) -> int:
    """Pause after a block before the next: the fuller the last one, the more it pays to batch."""
    return min(replica.last_transactions, replica.timeouts.pace_max_ms)


def try_propose(replica: Replica) -> None:
    """Start the next block if this node leads, may, and has a reason to."""
    height = replica.next_height
    if not replica.installed or height < replica.start or not replica.leads(height):
        return
    slot = replica.slot(height)
    if slot.propose is not None or replica.building == (replica.view, height):
        return
    made = replica.own_proposals.get((replica.view, height))
    if made is not None:  # made before a crash: never another one for this (view, height)
        on_propose(replica, made.signer, made)
        replica.broadcast(made)
        return
    plan = replica.plan
    if plan is not None and plan.tip is not None and replica.owes_tip(height):
        replica.building = (replica.view, height)
        holders = tuple(MemberIndex(member) for member, _ in plan.tip_certificate.signatures)
        replica.emit(FindBlock(replica.view, height, plan.tip, holders))
        return
    if not (replica.work_pending or replica.idle_due):
        return
    wait_ms = replica.last_commit_ms + pace_ms(replica) - replica.now.mono_ms
    if wait_ms > 0:
        if Timer.PROPOSE not in replica.tokens:
            replica.arm(Timer.PROPOSE, wait_ms)
        return
    replica.building = (replica.view, height)
    replica.emit(BuildBlock(replica.view, height, replica.now.wall_ms))


def on_built(replica: Replica, event: BlockBuilt) -> None:
    """The block is executed and staged: sign it, and prepare it as its first backup."""
    if replica.building != (event.view, event.height):
        return
    replica.building = None
    fits = event.view == replica.view and replica.installed and event.height == replica.next_height
    if not fits or not replica.leads(event.height) or replica.slot(event.height).propose:
        return
    me = replica.me
    assert me is not None
    unsigned = Propose(
        epoch=replica.epoch,
        view=event.view,
        height=event.height,
        header=event.header.encode(),
        block_hash=header_hash(event.header),
        commit=event.commit,
        transaction_ids=event.transaction_ids,
        evidence=event.evidence,
        signer=me,
        signature=b"",
    )
    propose = replica.signed(unsigned)
    assert isinstance(propose, Propose)
    replica.own_proposals[(propose.view, propose.height)] = propose
    slot = replica.slot(event.height)
    slot.propose = propose
    slot.received_ms = replica.now.mono_ms
    replica.persist((records.propose_key(propose), records.encode_statement(propose)))
    replica.broadcast(propose)
    accept(replica, Height(event.height))


def on_propose(replica: Replica, sender: int, propose: Propose) -> None:
    """Judge a proposal of the current view, keep an early one, ignore the rest."""
    if propose.epoch != replica.epoch or propose.height <= replica.head.height:
        return
    ahead = propose.height > replica.head.height + replica.parameters.window
    if propose.view > replica.view or not replica.installed or ahead:
        if propose.view >= replica.view:
            replica.keep_early(propose.signer, propose)
        if propose.commit.height > replica.head.height:
            replica.emit(Behind(MemberIndex(sender), Height(propose.commit.height)))
        return
    if propose.view < replica.view or propose.height < replica.start:
        return  # what lies below a view's start is committed; it comes by catching up
    if propose.signer != replica.primary(Height(propose.height)):
        return
    slot = replica.slot(propose.height)
    if slot.propose is not None:
        if contradicts(slot.propose, propose):
            replica.emit(Accuse(Evidence(slot.propose, propose)))
            views.complain(replica)
        return
    if slot.bad or not _acceptable(replica, propose):
        return
    slot.propose = propose
    slot.received_ms = replica.now.mono_ms
    replica.emit(JudgeBlock(propose))


def _acceptable(replica: Replica, propose: Propose) -> bool:
    """The checks that need no execution: tip, parent, clock."""
    try:
        header = Header.decode(propose.header)
    except ValueError:
        return False
    if (header.epoch, header.height) != (propose.epoch, propose.height):
        return False
    if header.parent != replica.head.block_hash.hex():
        return False
    plan = replica.plan
    if plan is not None and replica.owes_tip(propose.height):
        # A certified block may be old by now: its time was checked when it was fresh.
        return propose.block_hash == plan.tip
    if header.proposer != propose.signer:
        return False
    earliest, latest = proposal_time_bounds(replica.now.wall_ms, replica.view)
    return earliest <= header.time_ms <= latest


def on_judged(replica: Replica, event: BlockJudged) -> None:
    """The world answered JudgeBlock."""
    slot = replica.slots.get(event.height)
    if slot is None or slot.propose is None or event.height != replica.next_height:
        return
    if event.view != replica.view or slot.propose.block_hash != event.block_hash:
        return
    if not event.reason:
        accept(replica, event.height)
        return
    slot.propose = None
    slot.bad = True
    views.complain(replica)


def accept(replica: Replica, height: Height) -> None:
    """The proposed block is whole, valid and staged: PREPARE it, and count what is here."""
    slot = replica.slot(height)
    assert slot.propose is not None
    slot.judged = True
    if replica.installed:
        votes.cast(replica, Phase.PREPARE, slot.propose)
    votes.count(replica, height)
