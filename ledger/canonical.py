"""Canonical JSON (RFC 8785, JCS) for what outsiders check: headers, receipts, genesis, records.

The ledger's own objects hold ASCII member names, strings, integers, booleans and null. For these
msgspec's sorted order is RFC 8785 and is used because it is fast (its deterministic order is not:
it leaves the fields of structs as declared); `encode_any` is the whole standard, floats and UTF-16
key order included, for documents that others made.
"""

from __future__ import annotations

from typing import Any

import msgspec
import rfc8785

_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder()


def encode(value: Any) -> bytes:
    """Canonical JSON of an object of ours: ASCII names, no floats, integers within +-(2^53-1).

    The caller vouches for that; `tests/ledger/test_canonical.py` compares with `encode_any`.
    """
    return _encoder.encode(value)


def encode_any(value: Any) -> bytes:
    """RFC 8785 of any I-JSON value. Raises ValueError when the value has no canonical form."""
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as error:
        raise ValueError(f"no canonical form: {error}") from None


def decode(data: bytes) -> Any:
    """Parse JSON that we wrote ourselves. Raises ValueError when it is not JSON."""
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
