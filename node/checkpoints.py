"""Checkpoint notes: signed every K heights, kept when a quorum signed (formats, section 11)."""

from __future__ import annotations

from dataclasses import dataclass, field

from consensus.messages import Checkpoint
from ledger import note
from ledger.crypto import Signer
from ledger.ids import ChainId, Hash, Height, MemberIndex
from ledger.validators import ValidatorSet

OPEN_MAX = 4
"""Heights whose signatures are gathered at once."""


@dataclass(slots=True)
class Checkpoints:
    """Gathers signatures for the latest checkpoint heights."""

    chain: ChainId
    roots: dict[int, bytes] = field(default_factory=dict)
    """Checkpoint height -> root over header hashes 0..height, computed here."""
    votes: dict[int, dict[int, Checkpoint]] = field(default_factory=dict)

    def sign(
        self, height: int, root: bytes, epoch: int, me: MemberIndex, signer: Signer
    ) -> Checkpoint:
        """This node's signature for the block it committed."""
        signature = signer.sign(note.note_text(self.chain, Height(height), Hash(root)))
        return Checkpoint(epoch, height, root, me, signature)

    def committed(self, height: int, root: bytes) -> None:
        """The root of a checkpoint height is known here."""
        self.roots[height] = root
        for old in sorted(self.roots)[:-OPEN_MAX]:
            del self.roots[old]
        for old in sorted(self.votes)[: -2 * OPEN_MAX]:
            del self.votes[old]

    def add(self, message: Checkpoint, head: int, interval: int) -> bool:
        """Keep a verified signature. False when it contradicts the root computed here."""
        lowest = head - OPEN_MAX * interval
        if message.height % interval or not lowest < message.height <= head + interval:
            return True
        root = self.roots.get(message.height)
        if root is not None and root != message.root:
            return False
        self.votes.setdefault(message.height, {})[message.signer] = message
        return True

    def note(self, height: int, validators: ValidatorSet) -> bytes | None:
        """The signed note when a quorum agrees with the root computed here."""
        root = self.roots.get(height)
        if root is None:
            return None
        lines = tuple(
            note.signature_line(
                self.chain,
                validators.members[vote.signer].name,
                validators.vote_keys[vote.signer],
                vote.signature,
            )
            for _, vote in sorted(self.votes.get(height, {}).items())
            if vote.root == root and vote.epoch == validators.epoch
        )
        if len(lines) < validators.quorum:
            return None
        return note.Note(self.chain, Height(height), Hash(root), lines).encode()
