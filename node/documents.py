"""Documents: salted commitments on the chain, and the receipt file that a person keeps."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import Any

import msgspec

from ledger.crypto import sha256
from ledger.ids import ChainId, PartyId
from ledger.records import record_id
from ledger.transaction import Transaction
from node.answers import NEGATIVE, NOT_FOUND, TEMPORARY, CommandError
from node.home import write_private

COMMITMENT_DOMAIN = b"muniment-commitment-v1\n"
SUFFIX = ".receipt.json"
CHUNK = 1 << 20


class DocumentReceipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """FILE.receipt.json (docs/spec/files.md)."""

    v: int
    file: str
    sha256: str
    salt: str
    commitment: str
    record: str
    receipt: dict[str, Any]


def file_digest(path: Path) -> bytes:
    """SHA-256 of a file. Raises CommandError when it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as source:
            while chunk := source.read(CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise CommandError(NOT_FOUND, "FILE_UNREADABLE", f"{path}: {error.strerror}") from None
    return digest.digest()


def commitment(salt: bytes, digest: bytes) -> str:
    """What the chain sees: SHA-256 over domain, 32-byte salt and the file's SHA-256, hex."""
    return sha256(COMMITMENT_DOMAIN + salt + digest).hex()


class Registration:
    """One file on its way to the chain."""

    def __init__(self, path: Path, kind: str, title_code: str) -> None:
        self.path = path
        self.digest = file_digest(path)
        self.salt = secrets.token_bytes(32)
        self.commitment = commitment(self.salt, self.digest)
        self.kind = kind
        self.title_code = title_code
        self.jti = f"doc-{secrets.token_hex(12)}"

    @property
    def receipt_path(self) -> Path:
        """Where the receipt file goes."""
        return self.path.with_name(self.path.name + SUFFIX)

    def operation(self) -> dict[str, Any]:
        """The document.register operation."""
        return {
            "op": "document.register",
            "type": self.kind,
            "title_code": self.title_code,
            "commitment": self.commitment,
        }

    def record(self, chain: ChainId, party: PartyId) -> str:
        """The record's id, known before it is committed."""
        return record_id(self.kind, chain, party, self.jti, 0)

    def prepare(self) -> None:
        """Make sure that the receipt can be kept before anything is sent. Raises CommandError."""
        if self.receipt_path.exists():
            raise CommandError(
                NEGATIVE,
                "RECEIPT_EXISTS",
                f"{self.receipt_path} is there already; it is never replaced",
                "move it away to register the file again",
            )
        if not os.access(self.receipt_path.parent, os.W_OK):
            detail = f"cannot write {self.receipt_path}"
            raise CommandError(TEMPORARY, "RECEIPT_UNWRITABLE", detail)

    def keep(self, chain: ChainId, party: PartyId, receipt: dict[str, Any]) -> None:
        """Write FILE.receipt.json, 0600: without the salt nobody can show what was committed."""
        document = DocumentReceipt(
            v=1,
            file=self.path.name,
            sha256=self.digest.hex(),
            salt=self.salt.hex(),
            commitment=self.commitment,
            record=self.record(chain, party),
            receipt=receipt,
        )
        data = msgspec.json.format(msgspec.json.encode(document)) + b"\n"
        write_private(self.receipt_path, data)


def check_salt(document: DocumentReceipt) -> None:
    """Raises CommandError (exit 1) unless salt and digest open the commitment: no file needed."""
    try:
        salt, digest = bytes.fromhex(document.salt), bytes.fromhex(document.sha256)
    except ValueError:
        salt = digest = b""
    if document.v != 1 or commitment(salt, digest) != document.commitment:
        detail = "salt and SHA-256 do not open the commitment"
        raise CommandError(NEGATIVE, "COMMITMENT_MISMATCH", detail)


def check_document(document: DocumentReceipt, path: Path) -> None:
    """Raises CommandError (exit 1) unless `path` is the file whose commitment is in the receipt."""
    if file_digest(path).hex() != document.sha256:
        detail = f"{path} is not the registered file: its content changed"
        raise CommandError(NEGATIVE, "FILE_CHANGED", detail)


def check_operation(document: DocumentReceipt, chain: str, transaction: Transaction) -> None:
    """Raises CommandError (exit 1) unless the signed transaction registers this commitment as
    this record."""
    for index, operation in enumerate(transaction.ops):
        if operation.get("commitment") == document.commitment:
            kind = str(operation.get("type"))
            registered = record_id(kind, ChainId(chain), transaction.iss, transaction.jti, index)
            if registered == document.record:
                return
    detail = "the transaction in the receipt registers another document"
    raise CommandError(NEGATIVE, "COMMITMENT_MISMATCH", detail)
