"""A WebSocket client written by hand, that may do what libraries do not let one do."""

from __future__ import annotations

import os

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def frame(text: str) -> bytes:
    """A masked text frame of at most 125 bytes, or with a 16-bit length."""
    data, mask = text.encode(), os.urandom(4)
    length = len(data)
    size = bytes((0x80 | length,)) if length < 126 else b"\xfe" + length.to_bytes(2, "big")
    return b"\x81" + size + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data))


def closing(code: int, reason: str) -> bytes:
    """The close frame that a server sends."""
    return b"\x88" + bytes((2 + len(reason),)) + code.to_bytes(2, "big") + reason.encode()
