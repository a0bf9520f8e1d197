"""PREPARE and COMMIT: casting, counting, certificates (docs/spec/protocol.md, section 4)."""

from __future__ import annotations

from consensus import records
from consensus.effects import Accuse, Behind, Decide
from consensus.evidence import Evidence, contradicts
from consensus.messages import Propose, Vote
from consensus.replica import Replica, Slot
from consensus.view_change import rank
from ledger.certificate import Certificate, Phase
from ledger.ids import Height, MemberIndex


def cast(replica: Replica, phase: Phase, propose: Propose) -> None:
    """Sign a vote for the proposed block, once: the record is durable before the vote is said."""
    assert propose.height >= replica.start, "a view votes from its start on"
    me = replica.me
    if me is None or replica.has_left(propose.view) or propose.view < replica.view_in_force:
        return
    key = (propose.view, propose.height, phase)
    mine = replica.own_votes.get(key)
    if mine is not None:
        if mine.block_hash == propose.block_hash:  # said before a crash: say it again
            replica.slot(propose.height).votes(phase)[me] = mine
            replica.broadcast(mine)
        return
    unsigned = Vote(
        epoch=replica.epoch,
        phase=phase,
        view=propose.view,
        height=propose.height,
        block_hash=propose.block_hash,
        signer=me,
        signature=b"",
    )
    vote = replica.signed(unsigned)
    assert isinstance(vote, Vote)
    replica.own_votes[key] = vote
    replica.slot(propose.height).votes(phase)[me] = vote
    replica.persist((records.vote_key(vote), records.encode_statement(vote)))
    replica.broadcast(vote)


def on_vote(replica: Replica, sender: int, vote: Vote) -> None:
    """Count a vote of the current view, keep an early one, ignore the rest."""
    if vote.epoch != replica.epoch or vote.height <= replica.head.height:
        return
    if _is_mine_but_unknown(replica, vote):
        replica.halt("CLONED_KEY", f"a {vote.phase} vote of this key that this node did not cast")
        return
    ahead = vote.height > replica.head.height + replica.parameters.window
    if vote.view > replica.view or not replica.installed or ahead:
        if vote.view >= replica.view:
            replica.keep_early(vote.signer, vote)
        if vote.phase is Phase.COMMIT and vote.height > replica.next_height:
            replica.emit(Behind(MemberIndex(sender), Height(vote.height - 1)))
        return
    if vote.view < replica.view or vote.height < replica.start:
        return
    tally = replica.slot(vote.height).votes(vote.phase)
    known = tally.get(vote.signer)
    if known is not None:
        if contradicts(known, vote):
            replica.emit(Accuse(Evidence(known, vote)))
        return
    tally[vote.signer] = vote
    count(replica, Height(vote.height))


def _is_mine_but_unknown(replica: Replica, vote: Vote) -> bool:
    """Two live instances of one key: a restored backup or a cloned machine."""
    if vote.signer != replica.me:
        return False
    mine = replica.own_votes.get((vote.view, vote.height, vote.phase))
    return mine is None or mine.block_hash != vote.block_hash


def count(replica: Replica, height: Height) -> None:
    """Take the steps that the votes for `height` allow."""
    slot = replica.slot(height)
    propose = slot.propose
    if propose is not None and slot.judged and slot.prepared is None:
        prepared = _certificate(replica, slot, Phase.PREPARE, propose.block_hash)
        if prepared is not None:
            slot.prepared = prepared
            hold(replica, prepared)
            if replica.installed:
                cast(replica, Phase.COMMIT, propose)
    decide(replica, height)


def decide(replica: Replica, height: Height) -> None:
    """A quorum of COMMITs decides, whatever this replica itself voted."""
    slot = replica.slot(height)
    if slot.decided or height != replica.next_height or not slot.commits:
        return
    hashes = sorted({vote.block_hash for vote in slot.commits.values()})
    for block_hash in hashes:
        certificate = _certificate(replica, slot, Phase.COMMIT, block_hash)
        if certificate is None:
            continue
        on_commit_certificate(replica, None, certificate)
        return


def on_commit_certificate(
    replica: Replica, sender: MemberIndex | None, certificate: Certificate
) -> None:
    """A commit certificate for the next height decides it; a higher one says we are behind."""
    if certificate.epoch != replica.epoch or certificate.height <= replica.head.height:
        return
    hold(replica, certificate)
    slot = replica.slots.get(replica.next_height)
    ours = (
        certificate.height == replica.next_height
        and slot is not None
        and slot.judged
        and slot.propose is not None
        and slot.propose.block_hash == certificate.block_hash
    )
    if ours:
        assert slot is not None
        if not slot.decided:
            slot.decided = True
            replica.emit(Decide(certificate))
        return
    if sender is None:
        sender = MemberIndex(certificate.signatures[0][0])
    replica.emit(Behind(sender, Height(certificate.height)))


def _certificate(
    replica: Replica, slot: Slot, phase: Phase, block_hash: bytes
) -> Certificate | None:
    """The certificate that the tally makes for `block_hash`, every vote listed, if it is one."""
    agreeing = sorted(
        (vote for vote in slot.votes(phase).values() if vote.block_hash == block_hash),
        key=lambda vote: vote.signer,
    )
    if len(agreeing) < replica.validators.quorum:
        return None
    first = agreeing[0]
    return Certificate(
        epoch=first.epoch,
        phase=phase,
        view=first.view,
        height=first.height,
        block_hash=block_hash,
        signatures=tuple((vote.signer, vote.signature) for vote in agreeing),
    )


def hold(replica: Replica, certificate: Certificate) -> None:
    """Remember the highest certificate ever held; forgetting one is amnesia."""
    held = rank(replica.highest, replica.epoch)
    new = rank(certificate, replica.epoch)
    stronger = new == held and certificate.phase is Phase.COMMIT
    if new > held or (stronger and replica.highest.phase is not Phase.COMMIT):
        replica.highest = certificate
        replica.persist((records.HIGHEST, records.encode_certificate(certificate)))
