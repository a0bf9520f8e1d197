"""JSON Web Keys of parties (RFC 7517, RFC 8037): Ed25519 to sign, X25519 to receive.

Format: docs/spec/formats.md, section 1.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import msgspec

from ledger import base64url
from ledger.crypto import (
    Ed25519Signer,
    ed25519_thumbprint,
    is_valid_public_key,
    x25519_public_key,
    x25519_thumbprint,
)
from ledger.ids import PUBLIC_KEY_BYTES, Kid

SECRET_BYTES: Final = 32


class Use(StrEnum):
    """What a key is for (RFC 7517 section 4.2); it follows from the curve."""

    SIGNING = "sig"
    ENCRYPTION = "enc"


_CURVES: Final = {Use.SIGNING: "Ed25519", Use.ENCRYPTION: "X25519"}
_USES: Final = {curve: use for use, curve in _CURVES.items()}


class Jwk(msgspec.Struct, frozen=True):
    """A public key. `from_json` checks its shape; `is_valid` checks the point."""

    kid: Kid
    """RFC 7638 thumbprint, 43 characters."""
    key: bytes
    """Public key, 32 bytes."""
    use: Use

    @classmethod
    def signing(cls, public_key: bytes) -> Jwk:
        """The JWK of an Ed25519 public key. Raises ValueError on another length than 32."""
        _check_length("x", public_key)
        return cls(ed25519_thumbprint(public_key), public_key, Use.SIGNING)

    @classmethod
    def encryption(cls, public_key: bytes) -> Jwk:
        """The JWK of an X25519 public key. Raises ValueError on another length than 32."""
        _check_length("x", public_key)
        return cls(x25519_thumbprint(public_key), public_key, Use.ENCRYPTION)

    @classmethod
    def from_json(cls, value: Any) -> Jwk:
        """From a parsed JSON object without private part. Raises ValueError on any other shape."""
        try:
            document = msgspec.convert(value, _JwkDocument)
        except msgspec.ValidationError as error:
            raise ValueError(f"JWK: {error}") from None
        if document.kty != "OKP" or document.crv not in _USES:
            raise ValueError("JWK: want kty OKP and crv Ed25519 or X25519")
        public_key = base64url.decode(document.x)
        signs = _USES[document.crv] is Use.SIGNING
        jwk = cls.signing(public_key) if signs else cls.encryption(public_key)
        # A signing key may leave `use` out, an encryption key may not.
        if document.use != jwk.use and not (signs and document.use is None):
            raise ValueError(f"JWK: use of a {document.crv} key: want {jwk.use.value}")
        if document.kid is not None and document.kid != jwk.kid:
            raise ValueError("JWK: kid is not the key's thumbprint")
        return jwk

    def to_json(self) -> dict[str, str]:
        """The one form in which the state holds the key: kty, crv, x, use; no kid."""
        return {
            "kty": "OKP",
            "crv": _CURVES[self.use],
            "x": base64url.encode(self.key),
            "use": self.use.value,
        }

    @property
    def is_valid(self) -> bool:
        """Whether a signing key is a point that we accept. Any 32 bytes are an X25519 key."""
        return self.use is Use.ENCRYPTION or is_valid_public_key(self.key)


class PrivateJwk(msgspec.Struct, frozen=True):
    """A key pair as a key file holds it: the JWK with the member `d`."""

    public: Jwk
    secret: bytes
    """Ed25519 seed or X25519 secret, 32 bytes."""

    @classmethod
    def signing(cls, seed: bytes) -> PrivateJwk:
        """The Ed25519 key pair of a 32-byte seed. Raises ValueError on another length."""
        _check_length("d", seed)
        return cls(Jwk.signing(Ed25519Signer(seed).public_key), seed)

    @classmethod
    def encryption(cls, secret: bytes) -> PrivateJwk:
        """The X25519 key pair of a 32-byte secret. Raises ValueError on another length."""
        _check_length("d", secret)
        return cls(Jwk.encryption(x25519_public_key(secret)), secret)

    @classmethod
    def from_json(cls, value: Any) -> PrivateJwk:
        """From a parsed key file. Raises ValueError, also when `x` is not the public key of `d`."""
        d = value.get("d") if isinstance(value, dict) else None
        if d is None or type(d) is not str:
            raise ValueError("private JWK: want an object with a string d")
        public = Jwk.from_json({name: part for name, part in value.items() if name != "d"})
        secret = base64url.decode(d)
        pair = cls.signing(secret) if public.use is Use.SIGNING else cls.encryption(secret)
        if pair.public != public:
            raise ValueError("private JWK: x is not the public key of d")
        return pair

    def to_json(self) -> dict[str, str]:
        """The public members, kid and the secret `d`."""
        return {
            **self.public.to_json(),
            "kid": self.public.kid,
            "d": base64url.encode(self.secret),
        }

    def signer(self) -> Ed25519Signer:
        """The signer of a signing key. Raises ValueError for an encryption key."""
        if self.public.use is not Use.SIGNING:
            raise ValueError("private JWK: an X25519 key cannot sign")
        return Ed25519Signer(self.secret)

    def __repr__(self) -> str:
        """Without the secret, so that no log line can carry it."""
        return f"PrivateJwk({self.public.kid})"


class _JwkDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kty: str
    crv: str
    x: str
    use: str | None = None
    kid: str | None = None


def _check_length(member: str, key: bytes) -> None:
    if len(key) != PUBLIC_KEY_BYTES:
        raise ValueError(f"JWK: {member}: want 32 bytes, got {len(key)}")
