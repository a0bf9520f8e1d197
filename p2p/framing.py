"""Frames on the byte stream of a session: 4-byte big-endian length, 1 byte channel, payload.

The length counts what follows it: the channel byte and the payload (formats section 12). Bytes in,
frames out; no socket here.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, TypeAlias

from p2p.wire import CONTROL, PAYLOAD_BYTES_MAX, Fault, PeerFault

Frame: TypeAlias = tuple[int, bytes]
"""Channel and payload."""

HEADER_BYTES: Final = 5
_HEADER: Final = Struct(">IB")
_LENGTH_MAX: Final = tuple(size + 1 for size in PAYLOAD_BYTES_MAX)


def encode(channel: int, payload: bytes) -> bytes:
    """One frame. The payload must be within its channel's limit."""
    assert len(payload) <= PAYLOAD_BYTES_MAX[channel], (
        f"channel {channel}: payload of {len(payload)} bytes, at most {PAYLOAD_BYTES_MAX[channel]}"
    )
    return _HEADER.pack(len(payload) + 1, channel) + payload


class FrameDecoder:
    """Cuts a stream into frames. However the stream is chunked, the frames are the same.

    A faulty header ends the stream: `fault` is set after the frames that came before it, and all
    further bytes are thrown away, because nobody can say where the next frame begins.
    """

    def __init__(self) -> None:
        self.fault: PeerFault | None = None
        self._buffer = bytearray()
        self._wanted_bytes = HEADER_BYTES
        """Bytes from the start of the buffer without which nothing can be said."""
        self._channels = CONTROL + 1

    def open_all_channels(self) -> None:
        """Accept every channel. Until then only control frames are, so that a peer which has not
        said hello cannot make us hold more than a control payload."""
        self._channels = len(PAYLOAD_BYTES_MAX)

    @property
    def buffered_bytes(self) -> int:
        """Bytes held of a frame that is not complete."""
        return len(self._buffer)

    def receive(self, data: bytes, frames_max: int | None = None) -> list[Frame]:
        """Add `data` and take the complete frames, at most `frames_max`; the rest stays for the
        next call, which may pass no data."""
        frames: list[Frame] = []
        if self.fault is not None:
            return frames
        if self._buffer:
            self._buffer += data
            # A large frame comes in many chunks: nothing is looked at until it may be complete.
            if len(self._buffer) < self._wanted_bytes:
                return frames
            data = bytes(self._buffer)
            self._buffer.clear()
        position = self._cut(data, frames, frames_max)
        if position < len(data):
            self._buffer += data[position:]
        return frames

    def _cut(self, data: bytes, frames: list[Frame], frames_max: int | None) -> int:
        """Append complete frames to `frames`; return how much of `data` is used up."""
        position, end = 0, len(data)
        self._wanted_bytes = HEADER_BYTES
        while end - position >= HEADER_BYTES and len(frames) != frames_max:
            length, channel = _HEADER.unpack_from(data, position)
            if channel >= self._channels or not 0 < length <= _LENGTH_MAX[channel]:
                self.fault = self._header_fault(length, channel)
                return end
            following = position + length + 4
            if following > end:
                self._wanted_bytes = length + 4
                break
            frames.append((channel, data[position + HEADER_BYTES : following]))
            position = following
        return position

    def _header_fault(self, length: int, channel: int) -> PeerFault:
        if length == 0:
            return PeerFault(Fault.MALFORMED, "frame of length 0: no channel")
        if channel >= self._channels:
            return PeerFault(Fault.MALFORMED, f"frame on channel {channel}, not open")
        detail = f"channel {channel}: {length - 1} bytes, at most {PAYLOAD_BYTES_MAX[channel]}"
        return PeerFault(Fault.TOO_LARGE, detail)
