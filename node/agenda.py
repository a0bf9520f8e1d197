"""What the chain has to do of itself: timers that are due, accepted proposals that take effect.

Without it an idle chain would do such things with its next idle block, up to a minute late. Pure.
"""

from __future__ import annotations

from typing import Final

from consensus.events import Now
from ledger.registry import governance, timers
from node.chain import Chain

PAUSE_MS: Final = 1_000
"""After any block: a timer may set itself again in each, and must not make the chain spin."""


class Agenda:
    """The next timer and the next proposal of the head's state.

    Time is that of the last block, carried on by this node's monotonic clock: all nodes expect a
    block at the same moment, and one whose clock is wrong blames nobody. A node that restarted or
    caught up has the last block later than the others and expects the next one later. So the
    primary, who must not be late, also goes by its wall clock, which dates its block.
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._height = -1
        self._head_mono_ms = 0
        self._timer: tuple[int, str, str] | None = None
        self._proposal: int | None = None

    def is_due(self, now: Now, *, leads: bool) -> bool:
        """Whether the next block would do something even if it were empty; `leads`: whether it is
        this node that proposes it."""
        if self._chain.height != self._height:
            self._read(now.mono_ms)
        since_ms = now.mono_ms - self._head_mono_ms
        if since_ms < PAUSE_MS:
            return False
        if self._proposal is not None and self._proposal <= self._height + 1:
            return True
        if self._timer is None:
            return False
        block_ms = self._chain.header.time_ms + since_ms
        if leads:
            block_ms = max(block_ms, now.wall_ms)
        return self._timer[0] * 1000 <= block_ms

    def _read(self, mono_ms: int) -> None:
        """The head has changed."""
        self._height, self._head_mono_ms = self._chain.height, mono_ms
        self._timer = timers.first(self._chain.state)
        self._proposal = governance.next_effect(self._chain.state)
