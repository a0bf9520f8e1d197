"""What each peer may make this node do: work that a small message can ask for is rationed. Pure.

The cost account of the transport counts bytes received. A request of 50 bytes may name 8 MiB of
blocks, and a message of 4 KB may hold 50 signatures, so those are counted here, in milliseconds of
this node's time, roughly. What is refused is asked for again: nothing relies on one message.
"""

from __future__ import annotations

from dataclasses import dataclass, field

BURST_MS = 2_000
BYTES_PER_MS = 32 * 1024
"""Stored bytes that are read, hashed and packed in a millisecond of allowance."""
SIGNATURE_MS = 1


@dataclass(slots=True)
class Allowance:
    """One millisecond of work a millisecond for each peer, with room for bursts."""

    owed_until_ms: dict[str, int] = field(default_factory=dict)
    """peer -> when it will have paid for what it had."""

    def spend(self, peer: str, cost_ms: int, now_ms: int) -> bool:
        """Count `cost_ms` against `peer`. False, and nothing counted, when it had too much.

        A single cost may exceed the burst, so that the largest message passes once in a while.
        """
        owed = max(self.owed_until_ms.get(peer, now_ms), now_ms)
        if owed - now_ms > BURST_MS:
            return False
        self.owed_until_ms[peer] = owed + cost_ms
        return True
