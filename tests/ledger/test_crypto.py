"""One verifier decides for all validators; its verdicts on the edge cases are frozen here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ledger import base64url
from ledger.crypto import (
    Ed25519Signer,
    Ed25519Verifier,
    ed25519_thumbprint,
    is_valid_public_key,
    sha256,
    x25519_public_key,
    x25519_thumbprint,
)
from tests.builders import seed, signer

VECTORS = Path(__file__).parents[3] / "shared" / "vectors"
VERIFIER = Ed25519Verifier()


SOURCES = {
    "wycheproof/ed25519_test.json": "testvectors_v1/ of C2SP/wycheproof, dac1dd4",
    "speccheck/cases.json": "novifinancial/ed25519-speccheck, 6551933",
}


def official(name: str) -> Any:
    if not VECTORS.is_dir():
        pytest.skip(f"official vectors are not at {VECTORS / name}: {SOURCES[name]}, on GitHub")
    return json.loads((VECTORS / name).read_text())


@pytest.mark.vectors
def test_wycheproof() -> None:
    document = official("wycheproof/ed25519_test.json")
    agreed = 0
    for group in document["testGroups"]:
        public_key = bytes.fromhex(group["publicKey"]["pk"])
        for case in group["tests"]:
            good = VERIFIER.verify(
                public_key, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"])
            )
            assert good is (case["result"] == "valid"), case
            agreed += 1
    assert agreed == 151


@pytest.mark.vectors
def test_speccheck_verdicts_are_frozen() -> None:
    verdicts = ""
    for case in official("speccheck/cases.json"):
        good = VERIFIER.verify(
            bytes.fromhex(case["pub_key"]),
            bytes.fromhex(case["message"]),
            bytes.fromhex(case["signature"]),
        )
        verdicts += "V" if good else "X"
    assert verdicts == "XXXVXXXXXXXX"


def test_rfc_8032_test_1() -> None:
    secret = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    key = Ed25519Signer(secret)
    assert key.public_key.hex() == (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    )
    assert key.sign(b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555"
        "fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    assert ed25519_thumbprint(key.public_key) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_signatures_and_lengths() -> None:
    key = signer("a")
    signature = key.sign(b"message")
    assert VERIFIER.verify(key.public_key, b"message", signature)
    assert not VERIFIER.verify(key.public_key, b"massage", signature)
    assert not VERIFIER.verify(signer("b").public_key, b"message", signature)
    assert not VERIFIER.verify(key.public_key, b"message", signature[:-1])
    assert not VERIFIER.verify(key.public_key, b"message", signature + b"\0")
    assert not VERIFIER.verify(key.public_key[:-1], b"message", signature)
    # The first byte of the message must not be taken for a part of a shorter signature.
    assert not VERIFIER.verify(key.public_key, signature[-1:] + b"message", signature[:-1])
    with pytest.raises(ValueError):
        Ed25519Signer(bytes(31))


def test_points() -> None:
    assert is_valid_public_key(signer("a").public_key)
    for point in (bytes(32), b"\x01" + bytes(31), b"\xff" * 32, bytes(31), b""):
        assert not is_valid_public_key(point)


def test_x25519_as_another_library_does_it() -> None:
    secret = seed("receiver")
    public = x25519_public_key(secret)
    other = X25519PrivateKey.from_private_bytes(secret).public_key()
    assert public == other.public_bytes_raw()
    text = f'{{"crv":"X25519","kty":"OKP","x":"{base64url.encode(public)}"}}'
    assert x25519_thumbprint(public) == base64url.encode(sha256(text.encode()))


def test_sha256_of_fips_180() -> None:
    assert sha256(b"abc").hex() == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
