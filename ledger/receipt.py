"""Receipts: everything that shows, years later and without a network, what became of a transaction.

Format: docs/spec/formats.md, section 10. `ledger/receipt_check.py` verifies them.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from ledger import canonical, ijson
from ledger.block import Header
from ledger.certificate import Certificate
from ledger.entry import TxEntry
from ledger.genesis import Genesis
from ledger.ids import INTEGER_MAX, Hash, hash_from_hex
from ledger.validators import ValidatorSet

RECEIPT_BYTES_MAX: Final = 16 * 1024 * 1024
DEPTH_MAX: Final = 32
EPOCHS_MAX: Final = 10_000
PATH_MAX: Final = 64

_T = TypeVar("_T")


class ReceiptInvalid(ValueError):
    """The receipt proves nothing. `reason` is stable; `detail` is for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class InclusionProof(msgspec.Struct, frozen=True):
    """An RFC 9162 inclusion proof."""

    index: int
    size: int
    path: tuple[Hash, ...]

    def to_json(self) -> dict[str, Any]:
        """The object that receipts carry."""
        return {
            "index": self.index,
            "size": self.size,
            "path": [node.hex() for node in self.path],
        }

    @classmethod
    def from_json(cls, value: Any) -> InclusionProof:
        """Parse `to_json` output. Raises ValueError on any other shape."""
        document = _convert(value, _ProofDocument)
        if len(document.path) > PATH_MAX:
            raise ValueError(f"inclusion proof: want at most {PATH_MAX} nodes")
        if not 0 <= document.index < document.size <= INTEGER_MAX:
            raise ValueError("inclusion proof: index or size is out of range")
        return cls(
            document.index, document.size, tuple(hash_from_hex(node) for node in document.path)
        )


class Anchor(msgspec.Struct, frozen=True):
    """A certified header at or above the entry's block."""

    header: Header
    certificate: Certificate
    history_proof: InclusionProof | None
    """From the entry's block to the anchor; None exactly when they are the same."""


class EpochClose(msgspec.Struct, frozen=True):
    """One step of the epoch chain: a closing block, and the set that it hands over to."""

    header: Header
    certificate: Certificate
    """By the set before."""
    validators: ValidatorSet
    """The next set."""

    def to_json(self) -> dict[str, Any]:
        """The object that receipts carry."""
        return {
            "header": msgspec.to_builtins(self.header),
            "certificate": self.certificate.to_json(),
            "validators": self.validators.to_json(),
        }


class Receipt(msgspec.Struct, frozen=True):
    """A receipt whose form is valid; nothing in it is proved yet."""

    tx: bytes
    """Compact JWS."""
    entry: TxEntry
    entry_proof: InclusionProof
    header: Header
    anchor: Anchor
    genesis: Genesis
    epochs: tuple[EpochClose, ...]
    """From epoch 0 to the anchor's."""

    def to_json(self) -> dict[str, Any]:
        """The receipt as a JSON object."""
        proof = self.anchor.history_proof
        return {
            "tx": self.tx.decode("ascii"),
            "entry": msgspec.to_builtins(self.entry),
            "entry_proof": self.entry_proof.to_json(),
            "header": msgspec.to_builtins(self.header),
            "anchor": {
                "header": msgspec.to_builtins(self.anchor.header),
                "certificate": self.anchor.certificate.to_json(),
                "history_proof": None if proof is None else proof.to_json(),
            },
            "epochs": [
                {"genesis": self.genesis.to_json()},
                *(close.to_json() for close in self.epochs),
            ],
        }

    def encode(self) -> bytes:
        """Canonical JSON. `decode` takes any I-JSON spelling of it, so it may be indented."""
        return canonical.encode(self.to_json())


def decode(data: bytes) -> Receipt:
    """Parse a receipt of at most 16 MiB. Raises ReceiptInvalid with RECEIPT_MALFORMED."""
    if len(data) > RECEIPT_BYTES_MAX:
        raise ReceiptInvalid("RECEIPT_MALFORMED", f"want at most {RECEIPT_BYTES_MAX} bytes")
    try:
        return from_json(ijson.decode(data, depth_max=DEPTH_MAX))
    except ValueError as error:
        raise ReceiptInvalid("RECEIPT_MALFORMED", str(error)) from None


def from_json(value: Any) -> Receipt:
    """From a parsed JSON object. Raises ValueError on any other shape."""
    document = _convert(value, _ReceiptDocument)
    anchor = document.anchor
    genesis, epochs = epochs_from_json(document.epochs)
    proof = anchor.history_proof
    return Receipt(
        tx=document.tx.encode("ascii"),
        entry=TxEntry.from_json(document.entry),
        entry_proof=InclusionProof.from_json(document.entry_proof),
        header=Header.from_json(document.header),
        anchor=Anchor(
            header=Header.from_json(anchor.header),
            certificate=Certificate.from_json(anchor.certificate),
            history_proof=None if proof is None else InclusionProof.from_json(proof),
        ),
        genesis=genesis,
        epochs=epochs,
    )


def epochs_from_json(value: Any) -> tuple[Genesis, tuple[EpochClose, ...]]:
    """An epoch chain as receipts and trust files carry it. Raises ValueError on any other shape."""
    steps = _convert(value, tuple[Any, ...])
    if not 0 < len(steps) <= EPOCHS_MAX:
        raise ValueError(f"receipt: epochs: want 1 to {EPOCHS_MAX}, got {len(steps)}")
    first = _convert(steps[0], _GenesisDocument)
    return Genesis.from_json(first.genesis), tuple(_epoch_close(step) for step in steps[1:])


def _epoch_close(value: Any) -> EpochClose:
    document = _convert(value, _EpochDocument)
    return EpochClose(
        header=Header.from_json(document.header),
        certificate=Certificate.from_json(document.certificate),
        validators=ValidatorSet.from_json(document.validators),
    )


class _ProofDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    index: int
    size: int
    path: tuple[str, ...]


class _AnchorDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    header: Any
    certificate: Any
    history_proof: Any


class _GenesisDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    genesis: Any


class _EpochDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    header: Any
    certificate: Any
    validators: Any


class _ReceiptDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tx: str
    entry: Any
    entry_proof: Any
    header: Any
    anchor: _AnchorDocument
    epochs: Any


def _convert(value: Any, form: type[_T]) -> _T:
    try:
        return msgspec.convert(value, form)
    except msgspec.ValidationError as error:
        raise ValueError(f"receipt: {error}") from None
