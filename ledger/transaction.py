"""Transactions: JWS compact serialisation with an I-JSON payload.

Format: docs/spec/formats.md, section 3.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

import msgspec

from ledger import base64url, canonical, ijson
from ledger.crypto import Signer, ed25519_thumbprint, sha256
from ledger.ids import CHAIN_ID, JTI, PARTY_ID, SIGNATURE_BYTES, Kid, PartyId, TxId

HEADER_TYP: Final = "muniment+jwt"
ALGORITHMS: Final = ("Ed25519", "EdDSA")
"""RFC 9864 and RFC 8037 names of the same signature."""
DEPTH_MAX: Final = 48
"""Of a payload; a proposal holds a definition of depth 40 in its fifth level."""
_CLAIMS: Final = frozenset({"iss", "aud", "jti", "exp", "ops"})
_KID: Final = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]", re.ASCII)
"""Base64url of 32 bytes: the last character holds four bits and no spare ones."""
_HEADER_BYTES_CACHED_MAX: Final = 256


class Inadmissible(Exception):
    """The transaction can be in no valid block. `reason` is stable; `detail` is for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Transaction(msgspec.Struct, frozen=True, gc=False):
    """A transaction whose form is valid; nothing is said yet about its key or signature."""

    raw: bytes
    """Compact JWS as received; verified and stored as such, never re-made."""
    id: TxId
    kid: Kid
    iss: PartyId
    aud: str
    jti: str
    exp: int
    """Seconds since 1970-01-01T00:00:00Z."""
    ops: tuple[dict[str, Any], ...]
    signature: bytes

    @property
    def signing_input(self) -> bytes:
        """What the signature covers: everything before the second dot."""
        return self.raw[: self.raw.rindex(b".")]


def decode(
    raw: bytes, *, bytes_max: int, operations_max: int, txid: TxId | None = None
) -> Transaction:
    """Parse a compact JWS of at most `bytes_max` bytes, whose id is `txid` if the caller has hashed
    it before. Raises Inadmissible.

    The reasons, in the order in which they are tested: TX_TOO_LARGE, TX_MALFORMED,
    TX_HEADER_INVALID, TX_PAYLOAD_INVALID, TX_TOO_MANY_OPERATIONS.
    """
    if len(raw) > bytes_max:
        raise Inadmissible("TX_TOO_LARGE", f"want at most {bytes_max} bytes, got {len(raw)}")
    parts = raw.split(b".")
    if len(parts) != 3:
        raise Inadmissible("TX_MALFORMED", f"want three parts with dots between, got {len(parts)}")
    header, payload, signature = parts
    try:
        payload_bytes = base64url.decode(payload)
        signature_bytes = base64url.decode(signature)
    except ValueError as error:
        raise Inadmissible("TX_MALFORMED", str(error)) from None
    if len(signature_bytes) != SIGNATURE_BYTES:
        raise Inadmissible("TX_MALFORMED", f"want a 64-byte signature, got {len(signature_bytes)}")
    # A party sends the same header each time. Long headers are not kept: they would fill memory.
    short = len(header) <= _HEADER_BYTES_CACHED_MAX
    kid = _header_kid(header) if short else _header_kid.__wrapped__(header)
    claims = _claims(payload_bytes)
    ops = claims["ops"]
    if len(ops) > operations_max:
        raise Inadmissible(
            "TX_TOO_MANY_OPERATIONS", f"want at most {operations_max} operations, got {len(ops)}"
        )
    return Transaction(
        raw=raw,
        id=TxId(sha256(raw)) if txid is None else txid,
        kid=kid,
        iss=claims["iss"],
        aud=claims["aud"],
        jti=claims["jti"],
        exp=claims["exp"],
        ops=tuple(ops),
        signature=signature_bytes,
    )


@lru_cache(maxsize=8192)
def _header_kid(encoded: bytes) -> Kid:
    """The kid of a base64url protected header. Raises Inadmissible."""
    try:
        data = base64url.decode(encoded)
    except ValueError as error:
        raise Inadmissible("TX_MALFORMED", str(error)) from None
    try:
        header = ijson.decode(data, depth_max=1)
    except ValueError as error:
        raise Inadmissible("TX_HEADER_INVALID", str(error)) from None
    if type(header) is not dict or header.keys() != {"alg", "kid", "typ"}:
        raise Inadmissible("TX_HEADER_INVALID", "want exactly the members alg, kid and typ")
    if header["alg"] not in ALGORITHMS:
        raise Inadmissible("TX_HEADER_INVALID", "alg: want Ed25519 or EdDSA")
    if header["typ"] != HEADER_TYP:
        raise Inadmissible("TX_HEADER_INVALID", f"typ: want {HEADER_TYP}")
    kid = header["kid"]
    if type(kid) is not str or _KID.fullmatch(kid) is None:
        raise Inadmissible("TX_HEADER_INVALID", "kid: want a thumbprint of 43 characters")
    return Kid(kid)


def _claims(payload: bytes) -> dict[str, Any]:
    """The payload's claims, well typed. Raises Inadmissible with TX_PAYLOAD_INVALID."""
    try:
        claims = ijson.decode(payload, depth_max=DEPTH_MAX)
    except ValueError as error:
        raise Inadmissible("TX_PAYLOAD_INVALID", str(error)) from None
    if type(claims) is not dict:
        raise Inadmissible("TX_PAYLOAD_INVALID", "want an object")
    names = claims.keys()
    if names != _CLAIMS and names != _CLAIMS | {"iat"}:
        raise Inadmissible(
            "TX_PAYLOAD_INVALID", "want exactly the claims iss, aud, jti, exp, ops, optionally iat"
        )
    for name, pattern in (("iss", PARTY_ID), ("aud", CHAIN_ID), ("jti", JTI)):
        text = claims[name]
        if type(text) is not str or pattern.fullmatch(text) is None:
            raise Inadmissible("TX_PAYLOAD_INVALID", f"{name}: not of its form")
    # type() and not isinstance(): True is an int in Python.
    if type(claims["exp"]) is not int or claims["exp"] < 0:
        raise Inadmissible("TX_PAYLOAD_INVALID", "exp: want seconds since 1970")
    if "iat" in claims and type(claims["iat"]) is not int:
        raise Inadmissible("TX_PAYLOAD_INVALID", "iat: want an integer")
    ops = claims["ops"]
    if type(ops) is not list or not ops:
        raise Inadmissible("TX_PAYLOAD_INVALID", "ops: want an array of one operation or more")
    for operation in ops:
        if type(operation) is not dict or type(operation.get("op")) is not str:
            raise Inadmissible("TX_PAYLOAD_INVALID", "ops: want objects, each with a string op")
    return claims


def encode_signing(kid: Kid, claims: dict[str, Any]) -> bytes:
    """The JWS signing input: encoded header, dot, encoded payload."""
    header = canonical.encode({"alg": "Ed25519", "kid": kid, "typ": HEADER_TYP})
    payload = canonical.encode(claims)
    return f"{base64url.encode(header)}.{base64url.encode(payload)}".encode("ascii")


def sign(claims: dict[str, Any], signer: Signer, kid: Kid | None = None) -> bytes:
    """A compact JWS over `claims`; `kid` is the thumbprint of the signer's key when not given."""
    if kid is None:
        kid = ed25519_thumbprint(signer.public_key)
    signing_input = encode_signing(kid, claims)
    signature = base64url.encode(signer.sign(signing_input))
    return signing_input + b"." + signature.encode("ascii")
