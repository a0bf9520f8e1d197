"""The offline check of a receipt: no socket, no store, only what the reader pinned.

The order of checks is that of docs/spec/formats.md, section 10: genesis hash, epoch chain, anchor
certificate, history proof, entry proof, transaction id, form of the transaction. A pinned
checkpoint is the stronger trust: whoever pins the genesis hash alone trusts that no quorum of any
old epoch lost its retired keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from ledger import merkle, transaction
from ledger.block import Header, header_hash
from ledger.certificate import Certificate, Phase, verify_certificate
from ledger.crypto import Ed25519Verifier, Verifier, sha256
from ledger.entry import Status
from ledger.genesis import Genesis
from ledger.ids import ZERO_HASH, BlockHash, ChainId, Hash, Height
from ledger.parameters import BOUNDS
from ledger.receipt import EpochClose, Receipt, ReceiptInvalid
from ledger.validators import ValidatorSet

_TRANSACTION_BYTES_MAX: Final = BOUNDS["transaction_bytes_max"][1]
_OPERATIONS_MAX: Final = BOUNDS["operations_max"][1]


class Checkpoint(msgspec.Struct, frozen=True):
    """Trust that starts from a block that the reader saw committed.

    The receipt must show this very block: as its anchor, as the entry's block or as an epoch's
    closing block. Ask a node for a receipt that is anchored there.
    """

    chain: ChainId
    height: Height
    block_hash: BlockHash


class Verdict(msgspec.Struct, frozen=True):
    """What a valid receipt proves. Times are block times, milliseconds since 1970."""

    chain: ChainId
    tx: str
    """Transaction id, hex."""
    status: Status
    reason: str
    """Why the transaction was refused; empty when committed."""
    operation: int
    """Index of the operation that was refused, or -1."""
    height: int
    time_ms: int
    anchor_height: int
    anchor_time_ms: int
    epoch: int
    """Epoch of the anchor."""
    signers: int
    """Members whose signature of the anchor is valid."""
    members: int
    """Members of the anchor's epoch."""
    pinned: str
    """`genesis` or `checkpoint`: what the proof starts from."""


def verify(
    receipt: Receipt,
    *,
    genesis_hash: Hash | None = None,
    checkpoint: Checkpoint | None = None,
    verifier: Verifier | None = None,
) -> Verdict:
    """Check all of a receipt against a pinned genesis hash, a pinned checkpoint or both.

    Raises ReceiptInvalid with the first failure's reason, in this order: GENESIS_MISMATCH,
    EPOCH_CHAIN_INVALID, CERTIFICATE_INVALID, CHECKPOINT_MISMATCH, CHECKPOINT_NOT_COVERED,
    HISTORY_PROOF_INVALID, ENTRY_PROOF_INVALID, TRANSACTION_MISMATCH, TRANSACTION_MALFORMED.
    """
    assert genesis_hash is not None or checkpoint is not None, "a check starts from a pin"
    verifier = verifier or Ed25519Verifier()
    chain = receipt.genesis.chain
    _check_genesis(receipt, genesis_hash, checkpoint)
    validators = walk_epochs(receipt.genesis, receipt.epochs, verifier)
    _check_anchor(receipt, chain, validators, verifier)
    if checkpoint is not None:
        _check_checkpoint(receipt, checkpoint)
    _check_history(receipt, chain)
    _check_entry(receipt)
    _check_transaction(receipt, chain)
    entry, anchor = receipt.entry, receipt.anchor
    return Verdict(
        chain=chain,
        tx=entry.tx,
        status=entry.status,
        reason=entry.reason,
        operation=entry.operation,
        height=receipt.header.height,
        time_ms=receipt.header.time_ms,
        anchor_height=anchor.header.height,
        anchor_time_ms=anchor.header.time_ms,
        epoch=anchor.header.epoch,
        signers=len(anchor.certificate.signatures),
        members=len(validators),
        pinned="genesis" if checkpoint is None else "checkpoint",
    )


def _check_genesis(
    receipt: Receipt, genesis_hash: Hash | None, checkpoint: Checkpoint | None
) -> None:
    genesis = receipt.genesis
    if genesis_hash is not None and genesis.hash != genesis_hash:
        raise ReceiptInvalid(
            "GENESIS_MISMATCH", f"want {genesis_hash.hex()}, got {genesis.hash.hex()}"
        )
    # The chain id of a checkpoint holds 128 bits of the genesis hash.
    if checkpoint is not None and genesis.chain != checkpoint.chain:
        raise ReceiptInvalid(
            "GENESIS_MISMATCH", f"want chain {checkpoint.chain}, got {genesis.chain}"
        )


def walk_epochs(genesis: Genesis, epochs: Sequence[EpochClose], verifier: Verifier) -> ValidatorSet:
    """The validator set that the epoch chain leads to from genesis.

    The caller has compared the genesis hash with the pinned one. Raises ReceiptInvalid with
    EPOCH_CHAIN_INVALID.
    """
    chain = genesis.chain
    validators, height = genesis.validators(), 0
    for close in epochs:
        where = f"close of epoch {validators.epoch}"
        header, following = close.header, close.validators
        try:
            _check_certified(header, close.certificate, chain, validators, verifier)
        except ValueError as error:
            raise ReceiptInvalid("EPOCH_CHAIN_INVALID", f"{where}: {error}") from None
        if header.height <= height:
            raise ReceiptInvalid("EPOCH_CHAIN_INVALID", f"{where}: heights do not rise")
        if following.epoch != validators.epoch + 1:
            raise ReceiptInvalid("EPOCH_CHAIN_INVALID", f"{where}: epochs do not follow")
        if header.next_validators_hash != following.hash.hex():
            raise ReceiptInvalid("EPOCH_CHAIN_INVALID", f"{where}: header names another next set")
        validators, height = following, header.height
    return validators


def _check_anchor(
    receipt: Receipt, chain: ChainId, validators: ValidatorSet, verifier: Verifier
) -> None:
    header = receipt.anchor.header
    try:
        _check_certified(header, receipt.anchor.certificate, chain, validators, verifier)
    except ValueError as error:
        raise ReceiptInvalid("CERTIFICATE_INVALID", str(error)) from None
    if receipt.epochs and header.height <= receipt.epochs[-1].header.height:
        raise ReceiptInvalid("CERTIFICATE_INVALID", "the anchor is not above its epoch's opening")


def _check_certified(
    header: Header,
    certificate: Certificate,
    chain: ChainId,
    validators: ValidatorSet,
    verifier: Verifier,
) -> None:
    """Raises ValueError unless `certificate` commits `header` in the epoch of `validators`."""
    if header.chain != chain:
        raise ValueError(f"header of chain {header.chain}")
    if header.height < 1:
        raise ValueError("the genesis block has no certificate")
    if header.epoch != validators.epoch or header.validators_hash != validators.hash.hex():
        raise ValueError("header names another validator set")
    if certificate.phase is not Phase.COMMIT:
        raise ValueError(f"certificate of phase {certificate.phase.value}")
    if certificate.height != header.height or certificate.block_hash != header_hash(header):
        raise ValueError("certificate of another block")
    verify_certificate(certificate, chain, validators, ZERO_HASH, verifier)


def _check_checkpoint(receipt: Receipt, checkpoint: Checkpoint) -> None:
    headers = (
        receipt.anchor.header,
        receipt.header,
        *(close.header for close in receipt.epochs),
    )
    shown = [header for header in headers if header.height == checkpoint.height]
    for header in shown:
        if header_hash(header) != checkpoint.block_hash:
            raise ReceiptInvalid(
                "CHECKPOINT_MISMATCH", f"another block stands at height {checkpoint.height}"
            )
    if not shown:
        raise ReceiptInvalid(
            "CHECKPOINT_NOT_COVERED",
            f"block {checkpoint.height} is not shown; ask for a receipt that is anchored there",
        )


def _check_history(receipt: Receipt, chain: ChainId) -> None:
    header, anchor = receipt.header, receipt.anchor.header
    block_hash, proof = header_hash(header), receipt.anchor.history_proof
    if header.chain != chain:
        raise ReceiptInvalid("HISTORY_PROOF_INVALID", f"header of chain {header.chain}")
    if proof is None:
        if block_hash != header_hash(anchor):
            raise ReceiptInvalid(
                "HISTORY_PROOF_INVALID", "no proof, but the anchor is another block"
            )
        return
    if proof.index != header.height or proof.size != anchor.height:
        raise ReceiptInvalid("HISTORY_PROOF_INVALID", "the proof is for other heights")
    try:
        merkle.verify_inclusion(
            block_hash, proof.index, proof.size, proof.path, bytes.fromhex(anchor.history_root)
        )
    except ValueError as error:
        raise ReceiptInvalid("HISTORY_PROOF_INVALID", str(error)) from None


def _check_entry(receipt: Receipt) -> None:
    entry, proof, header = receipt.entry, receipt.entry_proof, receipt.header
    if entry.height != header.height or entry.index != proof.index:
        raise ReceiptInvalid("ENTRY_PROOF_INVALID", "the entry is of another block or position")
    try:
        merkle.verify_inclusion(
            entry.encode(),
            proof.index,
            proof.size,
            proof.path,
            bytes.fromhex(header.receipts_root),
        )
    except ValueError as error:
        raise ReceiptInvalid("ENTRY_PROOF_INVALID", str(error)) from None


def _check_transaction(receipt: Receipt, chain: ChainId) -> None:
    if sha256(receipt.tx).hex() != receipt.entry.tx:
        raise ReceiptInvalid("TRANSACTION_MISMATCH", "the entry is of another transaction")
    try:
        # The widest bounds that any chain may set: the block's validators applied its own.
        tx = transaction.decode(
            receipt.tx, bytes_max=_TRANSACTION_BYTES_MAX, operations_max=_OPERATIONS_MAX
        )
    except transaction.Inadmissible as error:
        raise ReceiptInvalid("TRANSACTION_MALFORMED", str(error)) from None
    if tx.aud != chain:
        raise ReceiptInvalid("TRANSACTION_MALFORMED", f"the transaction is for chain {tx.aud}")
