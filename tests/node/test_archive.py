"""Committed blocks, receipts and state proofs out of a store."""

from __future__ import annotations

import pytest

from ledger import receipt_check
from ledger.crypto import Ed25519Verifier, sha256
from ledger.ids import ZERO_HASH, BlockHash, hash_from_hex
from ledger.state_proof import verify
from ledger.store import MemoryStore, StoreDamaged
from node import receipts
from node.archive import HEAD, Archive, height_key
from node.chain import Chain
from tests.builders import make_genesis
from tests.node.chains import Grown


@pytest.fixture(scope="module")
def grown() -> Grown:
    made = Grown()
    for count in (1, 3, 0, 2):
        made.block(*[made.tx() for _ in range(count)])
    return made


def copied(grown: Grown) -> MemoryStore:
    """A store with the same rows."""
    store = MemoryStore()
    store.stage(dict(grown.store.scan(b"")))
    store.flush()
    return store


def test_what_was_committed_is_found(grown: Grown) -> None:
    archive = grown.chain.archive
    assert archive.head() == 4
    for height in range(1, 5):
        block = archive.block(height)
        header, block_hash = archive.header(height), archive.block_hash(height)
        assert block is not None
        assert header is not None
        assert block_hash == BlockHash(sha256(block.header))
        assert header.height == height
        assert len(archive.entries(height)) == len(block.transactions)
        for index, raw in enumerate(block.transactions):
            assert archive.location(sha256(raw)) == (height, index)
    assert archive.location(bytes(32)) is None
    assert archive.header(5) is None
    assert archive.block(5) is None
    assert archive.note(4) is None


def test_every_receipt_holds_with_any_anchor(grown: Grown) -> None:
    pinned = grown.kit.genesis.hash
    store = copied(grown)
    store.stage({height_key(b"c", 2): None})  # certified through the block above
    store.flush()
    chain = Chain(store, grown.kit.genesis, Ed25519Verifier())
    for height in (1, 2, 4):
        block = chain.archive.block(height)
        assert block is not None
        for raw in block.transactions:
            made = receipts.receipt(chain, sha256(raw))
            assert made is not None
            verdict = receipt_check.verify(made, genesis_hash=pinned)
            assert (verdict.height, verdict.anchor_height) == (height, 3 if height == 2 else height)
    assert receipts.receipt(chain, bytes(32)) is None


def test_state_proofs_are_against_the_head(grown: Grown) -> None:
    value, proof, header, certificate = receipts.state_proof(grown.chain, b"party/agency-1")
    assert certificate.height == header.height == 4
    root = hash_from_hex(header.state_root)
    assert verify(root, b"party/agency-1", value, proof)
    value, proof, _, _ = receipts.state_proof(grown.chain, b"party/nobody")
    assert value is None
    assert verify(root, b"party/nobody", None, proof)


def test_heights(grown: Grown) -> None:
    assert receipts.height_or_head(grown.chain, None) == 4
    assert receipts.height_or_head(grown.chain, 0) == 0
    assert receipts.height_or_head(grown.chain, 5) is None
    assert receipts.height_or_head(grown.chain, -1) is None


def test_a_chain_is_opened_as_it_was_left(grown: Grown) -> None:
    again = Chain(copied(grown), grown.kit.genesis, Ed25519Verifier())
    assert (again.height, again.block_hash) == (4, grown.chain.block_hash)
    assert again.state.root == grown.chain.state.root


@pytest.mark.parametrize(
    "writes",
    [
        {height_key(b"h", 4): None},
        {height_key(b"b", 4): None},
        {height_key(b"b", 0): None},
        {height_key(b"c", 4): None},
        {height_key(b"E", 0): None},
        {HEAD: (9).to_bytes(8, "big")},
        {b"sparty/agency-0": None},
        {b"sparty/agency-0": b"{}"},
    ],
    ids=lambda writes: repr(next(iter(writes))),
)
def test_a_store_that_contradicts_itself_is_damaged(
    grown: Grown, writes: dict[bytes, bytes | None]
) -> None:
    store = copied(grown)
    store.stage(writes)
    store.flush()
    with pytest.raises(StoreDamaged):
        Chain(store, grown.kit.genesis, Ed25519Verifier())


def test_a_lost_body_and_another_genesis_are_damage(grown: Grown) -> None:
    store = copied(grown)
    below = grown.chain.archive.block_hash(3)
    assert below is not None
    store.stage(Archive.no_body_rows(3, below))
    chain = Chain(store, grown.kit.genesis, Ed25519Verifier())
    with pytest.raises(StoreDamaged):
        chain.archive.block(3)
    with pytest.raises(StoreDamaged):
        Chain(copied(grown), make_genesis(4, name="other").genesis, Ed25519Verifier())


def test_genesis_has_no_parent(grown: Grown) -> None:
    header = grown.chain.archive.header(0)
    assert header is not None
    assert header.parent == ZERO_HASH.hex()
