"""Identifiers and their sizes. Terms are the field's: see docs/spec/formats.md, section 1."""

from __future__ import annotations

import re
from typing import Final, NewType

Hash = NewType("Hash", bytes)
"""SHA-256 digest, 32 bytes. Written in JSON as 64 lower-case hex digits."""
BlockHash = NewType("BlockHash", bytes)
"""SHA-256 of a header's canonical JSON, 32 bytes."""
TxId = NewType("TxId", bytes)
"""SHA-256 of a transaction's compact JWS bytes, 32 bytes."""
Height = NewType("Height", int)
"""Position of a block in the chain; genesis is 0."""
View = NewType("View", int)
"""PBFT view within an epoch; genesis ranks as view -1."""
Epoch = NewType("Epoch", int)
"""Number of the validator set in force; genesis opens epoch 0."""
MemberIndex = NewType("MemberIndex", int)
"""Index of a member in its epoch's validator set, from 0."""
ChainId = NewType("ChainId", str)
"""`<name>:<first 32 hex digits of the genesis hash>`."""
PartyId = NewType("PartyId", str)
"""Name of an agency or of a client registered by one."""
Kid = NewType("Kid", str)
"""RFC 7638 SHA-256 thumbprint of a JWK, base64url without padding, 43 characters."""

HASH_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
PUBLIC_KEY_BYTES: Final = 32
ZERO_HASH: Final = Hash(bytes(HASH_BYTES))
GENESIS_VIEW: Final = View(-1)
INTEGER_MAX: Final = 2**53 - 1
"""Largest magnitude of an integer in I-JSON (RFC 7493 section 2.2)."""

CHAIN_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?", re.ASCII)
CHAIN_ID: Final = re.compile(CHAIN_NAME.pattern + r":[0-9a-f]{32}", re.ASCII)
PARTY_ID: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,62}[a-z0-9])?", re.ASCII)
JTI: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
CODE: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?", re.ASCII)
"""Type codes, title codes, reason codes given by clients."""
RECORD_ID: Final = re.compile(r"([a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?)/([0-9a-f]{32})", re.ASCII)
HASH_HEX: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


def chain_id(name: str, genesis_hash: Hash) -> ChainId:
    """The chain's identifier. Raises ValueError when `name` is not a chain name."""
    if CHAIN_NAME.fullmatch(name) is None:
        raise ValueError(f"chain name {name!r}: want 1 to 32 of a-z, 0-9 and inner hyphens")
    return ChainId(f"{name}:{genesis_hash.hex()[:32]}")


def hash_from_hex(text: str) -> Hash:
    """Decode 64 lower-case hex digits. Raises ValueError on anything else."""
    if HASH_HEX.fullmatch(text) is None:
        raise ValueError("want 64 lower-case hex digits")
    return Hash(bytes.fromhex(text))
