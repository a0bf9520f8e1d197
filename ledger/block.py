"""Blocks: a header that outsiders check, and the body that it commits to.

Format: docs/spec/formats.md, section 4. The header holds no view, so that a block re-proposed in a
later view keeps its hash.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from ledger import canonical, merkle
from ledger.certificate import Certificate
from ledger.crypto import sha256
from ledger.ids import BlockHash, Epoch, Hash, Height, TxId, hash_from_hex

HEADER_TYPE = "muniment-header-v1"


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a block's votes sign. Hashes are 64 lower-case hex digits, as in the canonical JSON."""

    chain: str
    epoch: int
    height: int
    parent: str
    proposer: int
    time_ms: int
    """Proposer's wall clock, milliseconds since 1970-01-01T00:00:00Z."""
    tx_root: str
    """RFC 9162 tree over transaction ids, so that bodies can be pruned."""
    receipts_root: str
    """RFC 9162 tree over canonical entries (tx, timer, epoch)."""
    state_root: str
    """Root of the state after this block."""
    validators_hash: str
    next_validators_hash: str
    """Differs from validators_hash exactly in an epoch's closing block."""
    history_root: str
    """RFC 9162 tree over the header hashes of heights 0 to height-1."""
    evidence_root: str
    """RFC 9162 tree over the canonical evidence objects of the body."""
    commit_hash: str
    """SHA-256 of the canonical JSON of the body's commit."""
    type: str = HEADER_TYPE

    def encode(self) -> bytes:
        """Canonical JSON (RFC 8785); its SHA-256 is the block hash."""
        return canonical.encode(self)

    @property
    def closes_epoch(self) -> bool:
        """Whether the next block opens a new epoch."""
        return self.next_validators_hash != self.validators_hash

    @classmethod
    def decode(cls, data: bytes) -> Header:
        """Parse canonical JSON. Raises ValueError unless `encode` gives the same bytes back."""
        try:
            header = _header_decoder.decode(data)
        except msgspec.DecodeError as error:
            raise ValueError(f"header: {error}") from None
        header.check()
        if header.encode() != data:
            raise ValueError("header: not canonical JSON")
        return header

    @classmethod
    def from_json(cls, value: Any) -> Header:
        """From a parsed JSON object. Raises ValueError on any other shape."""
        try:
            header = msgspec.convert(value, cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"header: {error}") from None
        if len(value) != len(cls.__struct_fields__):
            raise ValueError("header: a member is missing")
        header.check()
        return header

    def check(self) -> None:
        """Raises ValueError when a field is out of range."""
        if self.type != HEADER_TYPE:
            raise ValueError(f"header: unknown type {self.type!r}")
        for number in (self.epoch, self.height, self.proposer, self.time_ms):
            if not 0 <= number < 2**53:
                raise ValueError("header: a number is out of range")
        for text in (
            self.parent,
            self.tx_root,
            self.receipts_root,
            self.state_root,
            self.validators_hash,
            self.next_validators_hash,
            self.history_root,
            self.evidence_root,
            self.commit_hash,
        ):
            hash_from_hex(text)


_header_decoder = msgspec.json.Decoder(Header)


@lru_cache(maxsize=4096)
def header_hash(header: Header) -> BlockHash:
    """The block hash: SHA-256 of the header's canonical JSON."""
    return BlockHash(sha256(header.encode()))


def commit_hash(commit: Certificate) -> Hash:
    """commit_hash of a header: SHA-256 of the canonical JSON of the body's commit."""
    return sha256(canonical.encode(commit.to_json()))


class Block(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A whole block as peers exchange it and as the store keeps it."""

    header: bytes
    """Canonical JSON of the header."""
    commit: Certificate
    """The newest certificate that the proposer held, for height-W to height-1."""
    transactions: tuple[bytes, ...]
    """Compact JWS bytes, in execution order."""
    evidence: tuple[bytes, ...] = ()
    """Canonical JSON evidence objects, in rising order of their bytes."""


class BlockRef(msgspec.Struct, frozen=True):
    """Names one block: enough to vote on it."""

    epoch: Epoch
    height: Height
    block_hash: BlockHash


def transaction_ids(block: Block) -> tuple[TxId, ...]:
    """Ids of the block's transactions: SHA-256 of their compact bytes."""
    return _ids(block.transactions)


@lru_cache(maxsize=8)
def _ids(transactions: tuple[bytes, ...]) -> tuple[TxId, ...]:
    """Asked for at every step from the proposal to the commit; the few blocks in hand are kept."""
    return tuple(TxId(sha256(data)) for data in transactions)


@lru_cache(maxsize=8)
def transactions_root(ids: tuple[bytes, ...]) -> Hash:
    """`tx_root` of a header: RFC 9162 root over the ids in order. Proposal, body and execution each
    ask for the same one."""
    return merkle.root(ids)


def body_matches(block: Block, header: Header) -> bool:
    """Whether the body is the one that the header commits to: transactions, evidence, commit."""
    return (
        transactions_root(transaction_ids(block)).hex() == header.tx_root
        and merkle.root(block.evidence).hex() == header.evidence_root
        and commit_hash(block.commit).hex() == header.commit_hash
    )
