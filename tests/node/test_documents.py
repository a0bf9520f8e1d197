"""Salted commitments and the receipt file that a person keeps."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.admission import parse
from ledger.ids import PartyId
from node.answers import NEGATIVE, NOT_FOUND, CommandError
from node.documents import (
    DocumentReceipt,
    Registration,
    check_document,
    check_operation,
    check_salt,
    commitment,
    file_digest,
    keep_receipt,
    pending_path,
    read_pending,
    receipt_path,
)
from tests.node.chains import PARTY, Grown


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "deed.pdf"
    path.write_bytes(b"deed" * 1000)
    return path


def kept(file: Path) -> tuple[DocumentReceipt, bytes, Grown]:
    """A registration that was committed: its receipt file, its transaction, its chain."""
    grown = Grown()
    made = Registration(file, "deed", "title")
    made.prepare()
    raw = grown.tx(made.operation(), jti=made.jti)
    pending = made.write_pending(grown.chain.id, PartyId(PARTY), raw.decode())
    assert pending_path(file).stat().st_mode & 0o777 == 0o600
    assert read_pending(file) == pending
    keep_receipt(file, pending, {"tx": raw.decode()})
    assert not pending_path(file).exists()
    value = msgspec.json.decode(receipt_path(file).read_bytes(), type=DocumentReceipt)
    return value, raw, grown


def test_the_commitment_is_as_specified(file: Path) -> None:
    digest = hashlib.sha256(file.read_bytes()).digest()
    assert file_digest(file) == digest
    salt = bytes(range(32))
    expected = hashlib.sha256(b"muniment-commitment-v1\n" + salt + digest).hexdigest()
    assert commitment(salt, digest) == expected
    first, second = Registration(file, "deed", "t"), Registration(file, "deed", "t")
    assert first.commitment != second.commitment, "each registration has a salt of its own"
    assert first.jti != second.jti


def test_the_receipt_file_is_private_new_and_complete(file: Path) -> None:
    value, raw, grown = kept(file)
    path = file.with_name("deed.pdf.receipt.json")
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_bytes())["v"] == 1
    check_salt(value)
    check_document(value, file)
    transaction = parse(raw, grown.chain.parameters, grown.chain.id).transaction
    check_operation(value, grown.chain.id, transaction)
    candidate = grown.block(raw)
    entry = json.loads(candidate.execution.entries[0])
    assert entry["results"] == [{"record": value.record, "seq": 0}]
    with pytest.raises(CommandError) as caught:
        Registration(file, "deed", "title").prepare()
    assert (caught.value.code, caught.value.reason) == (NEGATIVE, "RECEIPT_EXISTS")


@pytest.mark.parametrize(
    "changes",
    [
        {"salt": "00" * 32},
        {"salt": "zz"},
        {"sha256": "00" * 32},
        {"sha256": ""},
        {"commitment": "00" * 32},
        {"v": 2},
    ],
)
def test_salt_digest_and_commitment_belong_together(file: Path, changes: dict[str, Any]) -> None:
    value = msgspec.structs.replace(kept(file)[0], **changes)
    with pytest.raises(CommandError) as caught:
        check_salt(value)
    assert caught.value.code == NEGATIVE


def test_another_record_or_commitment_is_not_what_was_signed(file: Path) -> None:
    value, raw, grown = kept(file)
    transaction = parse(raw, grown.chain.parameters, grown.chain.id).transaction
    for changes in ({"record": "deed/" + "0" * 32}, {"commitment": "00" * 32}):
        other = msgspec.structs.replace(value, **changes)
        with pytest.raises(CommandError):
            check_operation(other, grown.chain.id, transaction)
    with pytest.raises(CommandError):
        check_operation(value, "other:" + "0" * 32, transaction)


def test_a_changed_or_missing_file(file: Path, tmp_path: Path) -> None:
    value = kept(file)[0]
    file.write_bytes(b"deed" * 999 + b"deeD")
    with pytest.raises(CommandError) as caught:
        check_document(value, file)
    assert (caught.value.code, caught.value.reason) == (NEGATIVE, "FILE_CHANGED")
    for missing in (tmp_path / "none", tmp_path):
        with pytest.raises(CommandError) as caught:
            check_document(value, missing)
        assert caught.value.code == NOT_FOUND


def test_a_registration_that_was_interrupted_is_finished_not_repeated(file: Path) -> None:
    grown = Grown()
    made = Registration(file, "deed", "title")
    made.prepare()
    raw = grown.tx(made.operation(), jti=made.jti)
    made.write_pending(grown.chain.id, PartyId(PARTY), raw.decode())
    with pytest.raises(CommandError) as caught:
        Registration(file, "deed", "title").prepare()
    assert caught.value.reason == "RECEIPT_PENDING"
    assert "document finish" in caught.value.hint
    pending_path(file).write_text("{}")
    with pytest.raises(CommandError) as caught:
        read_pending(file)
    assert caught.value.reason == "PENDING_INVALID"
    pending_path(file).unlink()
    with pytest.raises(CommandError) as caught:
        read_pending(file)
    assert caught.value.code == NOT_FOUND
