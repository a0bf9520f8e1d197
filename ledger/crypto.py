"""SHA-256, Ed25519 and JWK thumbprints. The only file that imports nacl.

One verifier decides for every validator: libraries differ on edge cases (small-order keys,
non-canonical points), and two of them would split the chain. The verdicts of this one on the
speccheck cases are frozen in tests/ledger/test_crypto.py.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

from nacl import bindings
from nacl.exceptions import BadSignatureError

from ledger import base64url
from ledger.ids import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, Hash, Kid


def sha256(data: bytes) -> Hash:
    """SHA-256 (FIPS 180-4), 32 bytes."""
    return Hash(hashlib.sha256(data).digest())


class Verifier(Protocol):
    """Decides whether a signature is valid. Injected, so that a simulator may use a fast one."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether `signature` (64 bytes) over `message` was made by `public_key` (32 bytes)."""
        ...


class Signer(Protocol):
    """Holds one private key."""

    @property
    def public_key(self) -> bytes:
        """Public key, 32 bytes."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Signature over `message`, 64 bytes."""
        ...


class Ed25519Verifier:
    """RFC 8032 verification exactly as libsodium does it (strict, cofactorless)."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
            return False
        try:
            bindings.crypto_sign_open(signature + message, public_key)
        except BadSignatureError:
            return False
        return True


class Ed25519Signer:
    """An Ed25519 private key held in memory."""

    def __init__(self, seed: bytes) -> None:
        """From a 32-byte seed (RFC 8032 section 5.1.5). Raises ValueError on another length."""
        if len(seed) != 32:
            raise ValueError(f"Ed25519 seed: want 32 bytes, got {len(seed)}")
        self._public, self._secret = bindings.crypto_sign_seed_keypair(seed)

    @property
    def public_key(self) -> bytes:
        return self._public

    def sign(self, message: bytes) -> bytes:
        return bindings.crypto_sign(message, self._secret)[:SIGNATURE_BYTES]


def is_valid_public_key(public_key: bytes) -> bool:
    """Whether the point is on the main subgroup, canonical and not of small order (libsodium)."""
    if len(public_key) != PUBLIC_KEY_BYTES:
        return False
    return bool(bindings.crypto_core_ed25519_is_valid_point(public_key))


def ed25519_thumbprint(public_key: bytes) -> Kid:
    """RFC 7638 thumbprint of an Ed25519 JWK (RFC 8037): members crv, kty, x in that order."""
    x = base64url.encode(public_key)
    return Kid(base64url.encode(sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode())))


def x25519_thumbprint(public_key: bytes) -> Kid:
    """RFC 7638 thumbprint of an X25519 JWK (RFC 8037)."""
    x = base64url.encode(public_key)
    return Kid(base64url.encode(sha256(f'{{"crv":"X25519","kty":"OKP","x":"{x}"}}'.encode())))


def x25519_public_key(secret: bytes) -> bytes:
    """X25519 public key of a 32-byte secret (RFC 7748)."""
    return bindings.crypto_scalarmult_base(secret)
