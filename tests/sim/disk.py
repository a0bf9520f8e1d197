"""A simulated disk: what was flushed survives a crash, what was only staged does not."""

from __future__ import annotations

from collections.abc import Iterable

from ledger.store import MemoryStore


class SimDisk(MemoryStore):
    """A memory store that can be looked at behind its cache."""

    def __init__(self, durable: Iterable[tuple[bytes, bytes]]) -> None:
        super().__init__(durable)
        self.flushes = 0

    def flush(self) -> None:
        self.flushes += 1
        super().flush()

    def durable_get(self, key: bytes) -> bytes | None:
        """Value on the disk itself; staged writes do not show."""
        return self._durable.get(key)

    def crash(self, *, batch_kept: bool) -> None:
        """Lose what is staged, or, when power failed just after the batch was whole, keep it."""
        if batch_kept:
            super().flush()
        self.discard()
