"""The one shape of X.509 certificate that a member may have, read without a library.

A validator set names whole certificates, and every validator must agree on which can be read:
X.509 libraries differ between versions, and this reader does not. DER: ITU-T X.690, section 10;
certificate: RFC 5280, section 4.1; Ed25519 in it: RFC 8410.
"""

from __future__ import annotations

from typing import Final

_SEQUENCE: Final = 0x30
_INTEGER: Final = 0x02
_BIT_STRING: Final = 0x03
_VERSION: Final = 0xA0
_EXTENSIONS: Final = 0xA3
_VERSION_3: Final = bytes.fromhex("020102")
_ED25519: Final = bytes.fromhex("06032b6570")
"""AlgorithmIdentifier of id-Ed25519: the object identifier alone, no parameters."""


def public_key(certificate: bytes) -> bytes:
    """The Ed25519 key (32 bytes) of a DER X.509 v3 certificate. Raises ValueError.

    The outer structure is checked; names, validity and extensions are left to the TLS library.
    """
    whole = _Elements(certificate)
    outer = _Elements(whole.take(_SEQUENCE))
    whole.end()
    body = _Elements(outer.take(_SEQUENCE))
    _expect(outer.take(_SEQUENCE), _ED25519)
    if len(outer.take(_BIT_STRING)) != 65:
        raise ValueError("certificate: want a 64-byte signature")
    outer.end()
    _expect(body.take(_VERSION), _VERSION_3)
    body.take(_INTEGER)
    _expect(body.take(_SEQUENCE), _ED25519)
    for _ in ("issuer", "validity", "subject"):
        body.take(_SEQUENCE)
    key_info = _Elements(body.take(_SEQUENCE))
    body.take(_EXTENSIONS)
    body.end()
    _expect(key_info.take(_SEQUENCE), _ED25519)
    key = key_info.take(_BIT_STRING)
    key_info.end()
    if len(key) != 33 or key[0] != 0:
        raise ValueError("certificate: want a 32-byte key")
    return key[1:]


def _expect(got: bytes, want: bytes) -> None:
    if got != want:
        raise ValueError("certificate: want X.509 version 3 with Ed25519")


class _Elements:
    """DER elements one after the other, none longer than 65,535 bytes."""

    def __init__(self, data: bytes) -> None:
        self._rest = data

    def take(self, tag: int) -> bytes:
        """Content of the next element, which must have `tag`. Raises ValueError."""
        rest = self._rest
        if len(rest) < 2 or rest[0] != tag:
            raise ValueError(f"certificate: want tag {tag:#04x}")
        length, start = rest[1], 2
        if length >= 0x80:
            digits = length - 0x80
            length, start = int.from_bytes(rest[2 : 2 + digits], "big"), 2 + digits
            shortest = 1 if length < 0x100 else 2
            if digits not in (1, 2) or length < 0x80 or digits != shortest:
                raise ValueError("certificate: a length is not in its shortest form")
        if len(rest) < start + length:
            raise ValueError("certificate: cut short")
        self._rest = rest[start + length :]
        return rest[start : start + length]

    def end(self) -> None:
        """Raises ValueError when something is left."""
        if self._rest:
            raise ValueError("certificate: something follows")
