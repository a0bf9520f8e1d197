"""Durations of the core, in milliseconds, and how they grow."""

from __future__ import annotations

from dataclasses import dataclass

PRECISION_MS = 500
"""How far validators' clocks may differ."""
MESSAGE_DELAY_MS = 2_000
"""How old a fresh proposal may be in view 0; grows by a tenth a view."""
GROWTH_VIEWS_MAX = 60


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Knobs of one node; they never decide validity, so nodes may differ."""

    start_grace_ms: int = 5_000
    """Patience after a start, while sessions are being opened."""
    progress_min_ms: int = 1_000
    progress_max_ms: int = 30_000
    backoff_max_ms: int = 600_000
    heartbeat_ms: int = 400
    status_active_ms: int = 500
    status_idle_ms: int = 5_000
    block_interval_max_ms: int = 60_000
    idle_start_ms: int = 500
    """Shortest wait for an idle block after a start: sessions must open first."""
    pace_max_ms: int = 250
    """Longest pause between loaded blocks; a block of n transactions asks for n ms."""

    def progress(self, latency_ms: int, failures: int) -> int:
        """Patience before a complaint: 4 times the usual commit latency within bounds, doubled for
        every view that failed since the last commit, capped."""
        base = min(max(4 * latency_ms, self.progress_min_ms), self.progress_max_ms)
        return min(base << min(failures, 20), self.backoff_max_ms)


def proposal_time_bounds(now_ms: int, view: int) -> tuple[int, int]:
    """Earliest and latest time of a fresh proposal that is acceptable at `now_ms` (PBTS-style)."""
    growth = min(view, GROWTH_VIEWS_MAX)
    delay = MESSAGE_DELAY_MS * 11**growth // 10**growth
    return now_ms - delay - PRECISION_MS, now_ms + PRECISION_MS
