"""What waits to be written to one member: bounded for each channel, urgent channels first."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from p2p.framing import HEADER_BYTES
from p2p.wire import CONSENSUS, CONTROL, OFFER_PREFIX, PAYLOAD_BYTES_MAX

_CHANNEL_OFFSET: Final = HEADER_BYTES - 1


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """Bounds of each channel's queue; the index is the channel."""

    bytes_max: Sequence[int] = (65_536, 8_388_608, 16_777_216, 33_554_432)
    frames_max: Sequence[int] = (64, 4_096, 4_096, 256)

    def __post_init__(self) -> None:
        for bytes_max, payload_max in zip(self.bytes_max, PAYLOAD_BYTES_MAX, strict=True):
            assert bytes_max >= payload_max + HEADER_BYTES, "one frame of any size must fit"


class Put(NamedTuple):
    """What became of a frame."""

    accepted: bool
    dropped: int
    """Frames of its channel thrown away, itself included."""


class Outbox:
    """Frames in the order they were put, by channel; lower channels leave first."""

    def __init__(self, limits: OutboxLimits | None = None) -> None:
        self._limits = limits or OutboxLimits()
        self._queues: tuple[deque[bytes], ...] = tuple(deque() for _ in PAYLOAD_BYTES_MAX)
        self._bytes = [0] * len(PAYLOAD_BYTES_MAX)

    @property
    def pending_bytes(self) -> int:
        """Bytes of all waiting frames, headers included."""
        return sum(self._bytes)

    def put(self, frame: bytes) -> Put:
        """Queue an encoded frame.

        Control and consensus repair themselves, and their newest word is the best: the oldest
        goes. Elsewhere offers of transactions go, because the next offer repeats them; when there
        are none, the new frame itself is dropped.
        """
        channel = frame[_CHANNEL_OFFSET]
        dropped = 0
        while not self._fits(channel, len(frame)):
            dropped += 1
            if channel in (CONTROL, CONSENSUS):
                self._bytes[channel] -= len(self._queues[channel].popleft())
            elif frame.startswith(OFFER_PREFIX, HEADER_BYTES) or not self._drop_offer(channel):
                return Put(False, dropped)
        self._queues[channel].append(frame)
        self._bytes[channel] += len(frame)
        return Put(True, dropped)

    def take(self, bytes_max: int) -> list[bytes]:
        """Remove the next frames, up to `bytes_max`, but one at least if any waits."""
        frames: list[bytes] = []
        for channel, queue in enumerate(self._queues):
            while queue and (not frames or bytes_max >= len(queue[0])):
                frame = queue.popleft()
                bytes_max -= len(frame)
                self._bytes[channel] -= len(frame)
                frames.append(frame)
            if queue:
                break
        return frames

    def __bool__(self) -> bool:
        return any(self._queues)

    def clear(self) -> list[int]:
        """Throw everything away; returns how many frames of each channel that was."""
        dropped = [len(queue) for queue in self._queues]
        for channel, queue in enumerate(self._queues):
            queue.clear()
            self._bytes[channel] = 0
        return dropped

    def _fits(self, channel: int, size: int) -> bool:
        return (
            self._bytes[channel] + size <= self._limits.bytes_max[channel]
            and len(self._queues[channel]) < self._limits.frames_max[channel]
        )

    def _drop_offer(self, channel: int) -> bool:
        queue = self._queues[channel]
        for index, frame in enumerate(queue):
            if frame.startswith(OFFER_PREFIX, HEADER_BYTES):
                self._bytes[channel] -= len(frame)
                del queue[index]
                return True
        return False
