"""The golden vectors: what this code writes is exactly what it wrote on the day of the format."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ledger import (
    base64url,
    canonical,
    entry,
    ijson,
    merkle,
    note,
    receipt,
    receipt_check,
    transaction,
)
from ledger.block import Header, commit_hash, header_hash
from ledger.certificate import Certificate
from ledger.crypto import Ed25519Verifier, sha256
from ledger.genesis import Genesis
from ledger.ids import Hash
from ledger.jwk import Jwk, PrivateJwk
from ledger.validators import ValidatorSet
from tests.vectors import generate

CHAIN = generate.kit_and_chain()


def vector(name: str) -> Any:
    data = (generate.FOLDER / f"{name}.json").read_bytes()
    return ijson.decode(data, depth_max=32)


@pytest.mark.parametrize("name", generate.VECTORS)
def test_regenerated_byte_for_byte(name: str) -> None:
    stored = (generate.FOLDER / f"{name}.json").read_text(encoding="utf-8")
    assert generate.render(name, CHAIN) == stored


def test_no_file_is_left_over() -> None:
    stored = {path.stem for path in generate.FOLDER.glob("*.json")}
    assert set(generate.VECTORS) <= stored


def test_genesis() -> None:
    golden = vector("genesis")
    genesis = Genesis.decode(golden["canonical"].encode())
    assert genesis.to_json() == golden["document"]
    assert genesis.hash.hex() == golden["hash"] == sha256(golden["canonical"].encode()).hex()
    assert genesis.chain == golden["chain"]
    assert ValidatorSet.from_json(golden["validators"]).hash.hex() == golden["validators_hash"]


def test_jwk() -> None:
    for golden in vector("jwk").values():
        pair = PrivateJwk.from_json(golden["private"])
        assert pair.public == Jwk.from_json(golden["public"])
        assert pair.public.kid == golden["kid"]


def test_transaction() -> None:
    golden = vector("transaction")
    tx = transaction.decode(golden["compact"].encode(), bytes_max=65536, operations_max=16)
    assert (tx.id.hex(), tx.kid) == (golden["id"], golden["kid"])
    assert list(tx.ops) == golden["claims"]["ops"]
    key = Genesis.from_json(vector("genesis")["document"]).agencies[0].jwks()[0].key
    assert Ed25519Verifier().verify(key, tx.signing_input, tx.signature)


def test_header_and_certificate() -> None:
    golden = vector("header")
    header = Header.decode(golden["canonical"].encode())
    assert header == Header.from_json(golden["header"])
    assert header_hash(header).hex() == golden["hash"]
    entries = [data.encode() for data in golden["entries"]]
    assert entry.receipts_root(entries).hex() == header.receipts_root
    ids = [bytes.fromhex(text) for text in golden["transaction_ids"]]
    assert merkle.root(ids).hex() == header.tx_root
    golden = vector("certificate")
    certificate = Certificate.from_json(golden["certificate"])
    assert commit_hash(certificate).hex() == golden["commit_hash"]
    assert canonical.encode_any(golden["certificate"]) == canonical.encode(certificate.to_json())


def test_vote() -> None:
    golden = vector("signed_text")["vote"]
    key = base64url.decode(vector("genesis")["document"]["members"][0]["vote_key"])
    signature = base64url.decode(golden["signature"])
    assert Ed25519Verifier().verify(key, golden["text"].encode(), signature)
    assert golden["text"].count("\n") == 7


def test_receipt() -> None:
    golden = vector("receipt")
    parsed = receipt.decode(json.dumps(golden["receipt"]).encode())
    pin = Hash(bytes.fromhex(golden["genesis_hash"]))
    verdict = receipt_check.verify(parsed, genesis_hash=pin)
    for name, value in golden["verdict"].items():
        assert getattr(verdict, name) == value


def test_note() -> None:
    golden = vector("note")
    parsed = note.parse(golden["note"].encode())
    leaves = [bytes.fromhex(text) for text in golden["header_hashes"]]
    assert parsed.root == merkle.root(leaves)
    members = note.verify(parsed, parsed.chain, CHAIN.kit.validators, Ed25519Verifier())
    assert members == (0, 1, 2)


def test_merkle() -> None:
    golden = vector("merkle")
    leaves = [bytes.fromhex(text) for text in golden["leaves"]]
    roots = [bytes.fromhex(text) for text in golden["roots"]]
    proof = golden["inclusion"]
    path = [bytes.fromhex(text) for text in proof["path"]]
    merkle.verify_inclusion(leaves[4], proof["index"], proof["size"], path, roots[9])
    proof = golden["consistency"]
    path = [bytes.fromhex(text) for text in proof["path"]]
    merkle.verify_consistency(6, 9, roots[6], roots[9], path)
    nodes = {(level, index): bytes.fromhex(text) for level, index, text in golden["nodes"]}
    for size, root in enumerate(roots):
        assert merkle.root_at(size, lambda level, index: nodes[level, index]) == root
