"""Plain counters of the transport, read by the metrics collector."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from p2p.framing import HEADER_BYTES, Frame
from p2p.wire import PAYLOAD_BYTES_MAX


def _by_channel() -> list[int]:
    return [0] * len(PAYLOAD_BYTES_MAX)


@dataclass(slots=True)
class Stats:
    """Totals since start. Lists are indexed by channel; bytes are of frames, before encryption."""

    bytes_received: list[int] = field(default_factory=_by_channel)
    bytes_sent: list[int] = field(default_factory=_by_channel)
    frames_received: list[int] = field(default_factory=_by_channel)
    frames_sent: list[int] = field(default_factory=_by_channel)
    frames_dropped: list[int] = field(default_factory=_by_channel)
    """Outgoing frames thrown away: outbox full, or no session."""
    socket_writes: int = 0
    connections_accepted: int = 0
    handshake_failures: Counter[str] = field(default_factory=Counter)
    """Connections that never became sessions, by reason (a fixed set of codes)."""
    sessions_closed: Counter[str] = field(default_factory=Counter)
    """Sessions that ended, by reason (a fixed set of codes)."""
    faults: Counter[str] = field(default_factory=Counter)
    """Faults charged to members, by Fault."""
    bans: int = 0

    def count_received(self, frames: Sequence[Frame]) -> int:
        """Count received frames; returns their size in bytes, headers included."""
        total = 0
        for channel, payload in frames:
            size = len(payload) + HEADER_BYTES
            total += size
            self.bytes_received[channel] += size
            self.frames_received[channel] += 1
        return total

    def count_sent(self, frames: Sequence[bytes]) -> None:
        """Count encoded frames that go to a socket."""
        for frame in frames:
            channel = frame[HEADER_BYTES - 1]
            self.bytes_sent[channel] += len(frame)
            self.frames_sent[channel] += 1


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """One member as the transport sees it now."""

    name: str
    address: str
    up: bool
    dialled: bool
    """Whether we opened the session."""
    rtt_ms: int | None
    last_seen_ms_ago: int | None
    pending_bytes: int
    """Waiting in the outbox and in the socket's buffer."""
    cost: float
    banned_for_ms: int
