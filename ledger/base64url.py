"""Base64url without padding (RFC 4648 section 5, RFC 7515 section 2), strict in both directions."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64encode


def encode(data: bytes) -> str:
    """Base64url text without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: bytes | str) -> bytes:
    """Decode strictly: no padding, no white space, no spare bits. Raises ValueError.

    Strictness matters because a transaction's id covers the encoded bytes: if two encodings
    meant the same, a relay could change the id of somebody else's transaction.
    """
    raw = text.encode("ascii") if isinstance(text, str) else bytes(text)
    if b"+" in raw or b"/" in raw or b"=" in raw:
        raise ValueError("not base64url: only A-Z, a-z, 0-9, '-' and '_' are allowed")
    standard = raw.replace(b"-", b"+").replace(b"_", b"/") + b"=" * (-len(raw) % 4)
    try:
        data = binascii.a2b_base64(standard, strict_mode=True)
    except binascii.Error as error:
        raise ValueError(f"not base64url: {error}") from None
    if urlsafe_b64encode(data).rstrip(b"=") != raw:
        raise ValueError("not base64url: spare bits are set")
    return data
