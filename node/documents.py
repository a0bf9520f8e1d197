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
PENDING_SUFFIX = ".receipt.pending.json"
CHUNK = 1 << 20
SALT_BYTES = 32


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


class Commitment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """FILE.commitment.json: what opens a commitment that stands in some field."""

    v: int
    file: str
    sha256: str
    salt: str
    commitment: str


def file_commitment(path: Path) -> Commitment:
    """A commitment of a file under a new salt. Raises CommandError when it cannot be read."""
    digest, salt = file_digest(path), secrets.token_bytes(SALT_BYTES)
    return Commitment(1, path.name, digest.hex(), salt.hex(), commitment(salt, digest))


class PendingReceipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """FILE.receipt.pending.json: what must not be lost between sending and the receipt."""

    v: int
    file: str
    sha256: str
    salt: str
    commitment: str
    record: str
    tx: str
    """Compact JWS: it can be sent again, and is the same transaction."""


def receipt_path(path: Path) -> Path:
    """Where the receipt file of a document goes."""
    return path.with_name(path.name + SUFFIX)


def pending_path(path: Path) -> Path:
    """Where the pending file of a document goes."""
    return path.with_name(path.name + PENDING_SUFFIX)


def read_pending(path: Path) -> PendingReceipt:
    """The pending file of a document. Raises CommandError (exit 3) when there is none."""
    try:
        return msgspec.json.decode(pending_path(path).read_bytes(), type=PendingReceipt)
    except FileNotFoundError:
        detail = f"nothing is pending for {path}"
        raise CommandError(NOT_FOUND, "NOTHING_PENDING", detail) from None
    except (OSError, msgspec.DecodeError) as error:
        raise CommandError(NEGATIVE, "PENDING_INVALID", f"{pending_path(path)}: {error}") from None


def keep_receipt(path: Path, pending: PendingReceipt, receipt: dict[str, Any]) -> None:
    """Write FILE.receipt.json, 0600, and only then forget the pending file."""
    document = DocumentReceipt(
        v=1,
        file=pending.file,
        sha256=pending.sha256,
        salt=pending.salt,
        commitment=pending.commitment,
        record=pending.record,
        receipt=receipt,
    )
    data = msgspec.json.format(msgspec.json.encode(document)) + b"\n"
    write_private(receipt_path(path), data)
    pending_path(path).unlink(missing_ok=True)


class Registration:
    """One file on its way to the chain."""

    def __init__(self, path: Path, kind: str, title_code: str) -> None:
        self.path = path
        self.digest = file_digest(path)
        self.salt = secrets.token_bytes(SALT_BYTES)
        self.commitment = commitment(self.salt, self.digest)
        self.kind = kind
        self.title_code = title_code
        self.jti = f"doc-{secrets.token_hex(12)}"

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
        """Refuse what could not be kept, before anything is sent. Raises CommandError."""
        kept, waiting = receipt_path(self.path), pending_path(self.path)
        if kept.exists():
            raise CommandError(
                NEGATIVE,
                "RECEIPT_EXISTS",
                f"{kept} is there already; it is never replaced",
                "move it away to register the file again",
            )
        if waiting.exists():
            raise CommandError(
                NEGATIVE,
                "RECEIPT_PENDING",
                f"{waiting}: this file was sent before",
                f"muniment document finish {self.path}",
            )
        if not os.access(kept.parent, os.W_OK):
            raise CommandError(TEMPORARY, "RECEIPT_UNWRITABLE", f"cannot write {kept}")

    def write_pending(self, chain: ChainId, party: PartyId, compact: str) -> PendingReceipt:
        """Write FILE.receipt.pending.json, 0600, synced: without the salt nobody could show what
        was committed, whatever becomes of this process."""
        pending = PendingReceipt(
            v=1,
            file=self.path.name,
            sha256=self.digest.hex(),
            salt=self.salt.hex(),
            commitment=self.commitment,
            record=self.record(chain, party),
            tx=compact,
        )
        data = msgspec.json.format(msgspec.json.encode(pending)) + b"\n"
        write_private(pending_path(self.path), data)
        return pending


def check_salt(document: DocumentReceipt | Commitment) -> None:
    """Raises CommandError (exit 1) unless salt and digest open the commitment: no file needed."""
    try:
        salt, digest = bytes.fromhex(document.salt), bytes.fromhex(document.sha256)
    except ValueError:
        salt = digest = b""
    sizes = (len(salt), len(digest)) == (SALT_BYTES, 32)
    if document.v != 1 or not sizes or commitment(salt, digest) != document.commitment:
        detail = "salt and SHA-256 do not open the commitment"
        raise CommandError(NEGATIVE, "COMMITMENT_MISMATCH", detail)


def check_document(document: DocumentReceipt | Commitment, path: Path) -> None:
    """Raises CommandError (exit 1) unless `path` is the file that was committed to."""
    if file_digest(path).hex() != document.sha256:
        known = "registered" if isinstance(document, DocumentReceipt) else "committed"
        detail = f"{path} is not the {known} file: its content changed"
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
