"""Signed texts, votes and the certificates that a quorum of them makes.

Formats: docs/spec/formats.md, sections 6 and 7. A certificate is not byte-unique (any quorum of
valid votes is one), so nothing may depend on a certificate except through a body's `commit`.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise
from typing import Any

import msgspec

from ledger import base64url
from ledger.crypto import Verifier, sha256
from ledger.ids import (
    GENESIS_VIEW,
    BlockHash,
    ChainId,
    Epoch,
    Hash,
    Height,
    MemberIndex,
    View,
    hash_from_hex,
)
from ledger.validators import ValidatorSet


class Phase(StrEnum):
    """What a vote says; the word is part of the signed text."""

    PROPOSE = "propose"
    PREPARE = "prepare"
    COMMIT = "commit"


def vote_text(
    chain: ChainId, epoch: Epoch, phase: Phase, view: View, height: Height, block_hash: BlockHash
) -> bytes:
    """The text that a vote signs: seven lines, decimals plain, final newline."""
    return (
        f"muniment-vote-v1\n{chain}\n{epoch}\n{phase.value}\n{view}\n{height}\n{block_hash.hex()}\n"
    ).encode("ascii")


def message_text(chain: ChainId, epoch: Epoch, kind: str, body: bytes) -> bytes:
    """The text that any other consensus message signs: the hash of its encoded body."""
    return f"muniment-msg-v1\n{chain}\n{epoch}\n{kind}\n{sha256(body).hex()}\n".encode("ascii")


class Certificate(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Votes of one phase for one block; `verify_certificate` says whether they are enough."""

    epoch: int
    phase: Phase
    view: int
    height: int
    block_hash: bytes
    signatures: tuple[tuple[int, bytes], ...]
    """(member index, signature) in strictly rising member order."""

    @property
    def rank(self) -> tuple[int, int]:
        """(view, height): the order in which a view change chooses its tip."""
        return (self.view, self.height)

    def to_json(self) -> dict[str, Any]:
        """The object that bodies, receipts and RPC answers carry."""
        return {
            "epoch": self.epoch,
            "phase": self.phase.value,
            "view": self.view,
            "height": self.height,
            "block_hash": self.block_hash.hex(),
            "signatures": [[m, base64url.encode(signature)] for m, signature in self.signatures],
        }

    @classmethod
    def from_json(cls, value: Any) -> Certificate:
        """Parse `to_json` output. Raises ValueError on any other shape."""
        try:
            document = msgspec.convert(value, _CertificateDocument)
        except msgspec.ValidationError as error:
            raise ValueError(f"certificate: {error}") from None
        return cls(
            epoch=document.epoch,
            phase=document.phase,
            view=document.view,
            height=document.height,
            block_hash=hash_from_hex(document.block_hash),
            signatures=tuple((m, base64url.decode(text)) for m, text in document.signatures),
        )


class _CertificateDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    epoch: int
    phase: Phase
    view: int
    height: int
    block_hash: str
    signatures: tuple[tuple[int, str], ...]


def genesis_certificate(genesis_block: BlockHash) -> Certificate:
    """The certificate that stands for block 0: no votes, because its hash is pinned."""
    return Certificate(0, Phase.COMMIT, GENESIS_VIEW, 0, genesis_block, ())


def verify_certificate(
    certificate: Certificate,
    chain: ChainId,
    validators: ValidatorSet,
    genesis_block: Hash | BlockHash,
    verifier: Verifier,
) -> None:
    """Raises ValueError unless a quorum of distinct members of `validators` signed one text.

    The genesis certificate is valid exactly when it names `genesis_block`.
    """
    if certificate.height == 0:
        if certificate != genesis_certificate(BlockHash(genesis_block)):
            raise ValueError("certificate: height 0 is not this chain's genesis")
        return
    if certificate.epoch != validators.epoch:
        raise ValueError(
            f"certificate: want epoch {validators.epoch}, got epoch {certificate.epoch}"
        )
    if certificate.view < 0 or certificate.height < 0 or len(certificate.block_hash) != 32:
        raise ValueError("certificate: view, height or block hash out of range")
    members = [member for member, _ in certificate.signatures]
    if any(a >= b for a, b in pairwise(members)):
        raise ValueError("certificate: members are not in strictly rising order")
    if members and not 0 <= members[0] <= members[-1] < len(validators):
        raise ValueError("certificate: member index out of range")
    if len(members) < validators.quorum:
        raise ValueError(f"certificate: want {validators.quorum} votes, got {len(members)}")
    text = vote_text(
        chain,
        Epoch(certificate.epoch),
        certificate.phase,
        View(certificate.view),
        Height(certificate.height),
        BlockHash(certificate.block_hash),
    )
    for member, signature in certificate.signatures:
        if not verifier.verify(validators.vote_keys[MemberIndex(member)], text, signature):
            raise ValueError(f"certificate: signature of member {member} is not valid")
