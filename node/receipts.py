"""Receipts and state proofs out of the chain: what an outsider checks offline (formats 8, 10)."""

from __future__ import annotations

from ledger import canonical
from ledger.block import Header
from ledger.certificate import Certificate
from ledger.entry import TxEntry
from ledger.ids import Height
from ledger.merkle import inclusion_path, inclusion_proof
from ledger.receipt import Anchor, EpochClose, InclusionProof, Receipt
from ledger.state_proof import Proof
from node.archive import Archive
from node.chain import Chain


def receipt(chain: Chain, txid: bytes) -> Receipt | None:
    """The receipt of a committed transaction, anchored at the lowest certified header at or above
    its block; None when it is in no block."""
    archive = chain.archive
    place = archive.location(txid)
    if place is None:
        return None
    height, index = place
    block = archive.block(height)
    header = archive.header(height)
    entries = archive.entries(height)
    assert block is not None
    assert header is not None
    anchor = _anchor(archive, chain.height, header)
    return Receipt(
        tx=block.transactions[index],
        entry=TxEntry.from_json(canonical.decode(entries[index])),
        entry_proof=InclusionProof(index, len(entries), inclusion_proof(entries, index)),
        header=header,
        anchor=anchor,
        genesis=chain.genesis,
        epochs=epoch_chain(archive, anchor.header.epoch),
    )


def _anchor(archive: Archive, head: int, header: Header) -> Anchor:
    height = header.height
    while height <= head:
        certificate = archive.certificate(height)
        anchor_header = archive.header(height)
        assert anchor_header is not None
        if certificate is not None:
            proof = None
            if height > header.height:
                path = inclusion_path(header.height, height, archive.history_node)
                proof = InclusionProof(header.height, height, path)
            return Anchor(anchor_header, certificate, proof)
        height += 1
    raise AssertionError("the head has a certificate")


def epoch_chain(archive: Archive, epoch: int) -> tuple[EpochClose, ...]:
    """The closing headers from epoch 0 up to `epoch`, each with its certificate and next set."""
    steps: list[EpochClose] = []
    for number in range(1, epoch + 1):
        row = archive.epoch_set(number)
        assert row is not None
        closing, validators = row
        header, certificate = archive.header(closing), archive.certificate(closing)
        assert header is not None
        assert certificate is not None
        steps.append(EpochClose(header, certificate, validators))
    return tuple(steps)


def state_proof(chain: Chain, key: bytes) -> tuple[bytes | None, Proof, Header, Certificate]:
    """(value or None, proof, header, certificate) of a state key at the committed head."""
    return chain.state.get(key), chain.state.prove(key), chain.header, chain.certificate


def height_or_head(chain: Chain, height: int | None) -> Height | None:
    """The asked height, the head when none was asked, None when it is not committed."""
    if height is None:
        return chain.height
    return Height(height) if 0 <= height <= chain.height else None
