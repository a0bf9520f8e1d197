"""A two-epoch chain in memory that hands out receipts; the state root is of no concern here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from ledger import entry, merkle
from ledger.block import Header, header_hash
from ledger.certificate import Certificate
from ledger.crypto import Ed25519Signer, sha256
from ledger.ids import BlockHash, Epoch, Height, TxId
from ledger.receipt import Anchor, EpochClose, InclusionProof, Receipt
from ledger.validators import ValidatorSet
from tests.builders import GenesisKit

REGISTER = {
    "op": "document.register",
    "type": "permit",
    "title_code": "building",
    "commitment": "ab" * 32,
}


@dataclass
class PaperChain:
    """Headers with real trees and certificates, grown block by block."""

    kit: GenesisKit
    validators: ValidatorSet
    vote_signers: dict[int, Ed25519Signer]
    headers: list[Header] = field(default_factory=list)
    entries: list[list[bytes]] = field(default_factory=list)
    transactions: list[list[bytes]] = field(default_factory=list)
    certificates: list[Certificate] = field(default_factory=list)
    closes: list[EpochClose] = field(default_factory=list)

    @classmethod
    def start(cls, kit: GenesisKit) -> PaperChain:
        """With block 0."""
        quorum = kit.validators.quorum
        signers = dict(enumerate(kit.vote_signers[:quorum]))
        chain = cls(kit, kit.validators, signers)
        chain.append([])
        return chain

    def append(
        self,
        transactions: list[bytes],
        *,
        refused: dict[int, str] | None = None,
        following: ValidatorSet | None = None,
    ) -> None:
        """A block in which the transactions in `refused` (index -> reason) fail at operation 0."""
        height = Height(len(self.headers))
        entries: list[bytes] = []
        for index, raw in enumerate(transactions):
            tx = TxId(sha256(raw))
            reason = (refused or {}).get(index)
            results: list[dict[str, Any]] = [{"record": "permit/" + "0" * 32, "seq": 0}]
            entries.append(
                entry.committed_entry(height, index, tx, results)
                if reason is None
                else entry.refused_entry(height, index, tx, reason, 0)
            )
        if following is not None:
            entries.append(entry.epoch_entry(height, len(entries), following.epoch, following.hash))
        header = Header(
            chain=self.kit.chain,
            epoch=self.validators.epoch,
            height=height,
            parent=header_hash(self.headers[-1]).hex() if self.headers else "0" * 64,
            proposer=0,
            time_ms=self.kit.genesis.time_ms + 1000 * height,
            tx_root=merkle.root([sha256(raw) for raw in transactions]).hex(),
            receipts_root=entry.receipts_root(entries).hex(),
            state_root=sha256(b"state %d" % height).hex(),
            validators_hash=self.validators.hash.hex(),
            next_validators_hash=(following or self.validators).hash.hex(),
            history_root=merkle.root(self.hashes(height)).hex(),
            evidence_root=merkle.EMPTY_ROOT.hex(),
            commit_hash=sha256(b"").hex(),
        )
        self.headers.append(header)
        self.entries.append(entries)
        self.transactions.append(transactions)
        self.certificates.append(self.certify(header))
        if following is not None:
            self.closes.append(EpochClose(header, self.certificates[-1], following))
            self.validators = following

    def hashes(self, size: int) -> list[BlockHash]:
        """Hashes of the first `size` headers."""
        return [header_hash(header) for header in self.headers[:size]]

    def certify(self, header: Header) -> Certificate:
        """A commit certificate by the quorum in force."""
        return self.kit.certify(
            header.height, header_hash(header), epoch=header.epoch, signers=self.vote_signers
        )

    def receipt(self, height: int, index: int, *, anchor: int) -> Receipt:
        """The receipt of one transaction, anchored at height `anchor`."""
        history = None
        if anchor != height:
            path = merkle.inclusion_proof(self.hashes(anchor), height)
            history = InclusionProof(height, anchor, path)
        entries = self.entries[height]
        leaf = msgspec.json.decode(entries[index])
        return Receipt(
            tx=self.transactions[height][index],
            entry=entry.TxEntry.from_json(leaf),
            entry_proof=InclusionProof(index, len(entries), merkle.inclusion_proof(entries, index)),
            header=self.headers[height],
            anchor=Anchor(self.headers[anchor], self.certificates[anchor], history),
            genesis=self.kit.genesis,
            epochs=tuple(close for close in self.closes if close.header.height < anchor),
        )


def next_set(validators: ValidatorSet) -> ValidatorSet:
    """The same members in the next epoch."""
    return ValidatorSet(Epoch(validators.epoch + 1), validators.members)


def grow(kit: GenesisKit) -> PaperChain:
    """Eight blocks: transactions in 1, 2, 3, 6; epoch 0 closes in 4."""
    chain = PaperChain.start(kit)
    for height in range(1, 9):
        party = f"agency-{height % len(kit.agency_signers)}"
        busy = height in {1, 2, 3, 6}
        transactions = [
            kit.sign(party, f"jti-{height}-{i}", [REGISTER]) for i in range(height if busy else 0)
        ]
        following = next_set(chain.validators) if height == 4 else None
        chain.append(
            transactions, refused={1: "NOT_AUTHORISED"} if busy else None, following=following
        )
    return chain
