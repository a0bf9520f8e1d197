"""Catching up with the others: asks for ranges, believes certificates only. Pure.

A peer's claim of a height counts for nothing; it only says whom to ask.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from node.wire import BLOCKS_MAX, WantBlocks

PATIENCE_MS = 2_000


@dataclass(slots=True)
class Catchup:
    """One outstanding request at a time; a peer that does not answer yields to the next."""

    claims: dict[str, int] = field(default_factory=dict)
    """peer -> highest height it claimed."""
    asked: str = ""
    asked_ms: int = 0
    tried: list[str] = field(default_factory=list)

    def claim(self, peer: str, height: int) -> None:
        """A peer says that it committed `height`."""
        if height > self.claims.get(peer, -1):
            self.claims[peer] = height

    def behind(self, head: int, faults: int) -> int:
        """How many blocks beyond `head` more than `faults` peers claim, so that one of them is
        honest: a single liar must not make a node look as if it were catching up."""
        heights = sorted(self.claims.values(), reverse=True)
        return max(0, heights[faults] - head) if len(heights) > faults else 0

    def next_request(self, head: int, now_ms: int) -> tuple[str, WantBlocks] | None:
        """Whom to ask for what now, or None while a request is open or nobody claims more."""
        if self.asked and now_ms - self.asked_ms < PATIENCE_MS:
            return None
        ahead = sorted(peer for peer, height in self.claims.items() if height > head)
        if not ahead:
            self.asked = ""
            self.tried.clear()
            return None
        fresh = [peer for peer in ahead if peer not in self.tried]
        if not fresh:
            self.tried.clear()
            fresh = ahead
        self.asked = fresh[0]
        self.asked_ms = now_ms
        self.tried.append(self.asked)
        return self.asked, WantBlocks(head + 1, BLOCKS_MAX)

    def answered(self, peer: str, head_before: int, head_after: int) -> bool:
        """An answer of `peer` moved the head (or did not). False when nobody asked this peer."""
        if peer != self.asked:
            return False
        self.asked = ""
        # It stays among those that were tried: whoever gives little, and slowly, has to wait for
        # its turn like the others.
        if head_after <= head_before:
            # It claimed more than it could show; it is believed again when it claims anew.
            self.claims.pop(peer, None)
        return True
