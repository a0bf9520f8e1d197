"""Base64url without padding (RFC 4648 section 5, RFC 7515 section 2), strict in both directions."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64encode

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_VALUE = {character: index for index, character in enumerate(_ALPHABET)}
_STANDARD = bytes.maketrans(b"-_+/=", b"+/!!!")
"""To the standard alphabet; what is not base64url becomes a character that no alphabet has."""
_PADDING = (b"", b"", b"==", b"=")
_SPARE_BITS = (0, 0, 0b1111, 0b11)
"""By length modulo 4: padding to add, and bits of the last character that encode nothing."""


def encode(data: bytes) -> str:
    """Base64url text without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: bytes | str) -> bytes:
    """Decode strictly: no padding, no white space, no spare bits. Raises ValueError.

    Strictness matters because a transaction's id covers the encoded bytes: if two encodings
    meant the same, a relay could change the id of somebody else's transaction.
    """
    try:
        raw = text.encode("ascii") if isinstance(text, str) else bytes(text)
    except UnicodeEncodeError:
        raise ValueError("not base64url: not ASCII") from None
    if not raw:
        return b""
    rest = len(raw) & 3
    if rest == 1:
        raise ValueError("not base64url: no data has this length")
    try:
        data = binascii.a2b_base64(raw.translate(_STANDARD) + _PADDING[rest], strict_mode=True)
    except binascii.Error as error:
        raise ValueError(f"not base64url: {error}") from None
    if _VALUE[raw[-1]] & _SPARE_BITS[rest]:
        raise ValueError("not base64url: spare bits are set")
    return data
