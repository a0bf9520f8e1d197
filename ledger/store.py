"""The key-value store behind one interface; LevelDB in ledger/leveldb.py, memory here.

Writes are staged and visible to reads at once; `flush` makes all that is staged durable in one
synced, atomic batch. An interpreter flushes before it performs any effect that follows a Persist
effect, so many events share one sync (group commit) and a crash loses only what nobody was told.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Protocol

STATE_TABLE: Final = b"s"
"""What the state root covers."""
MARK_TABLE: Final = b"r"
"""Replay marks (formats.md, section 13): almost every look-up is of one that does not exist."""


class StoreDamaged(Exception):
    """The database does not open, fails its checksums or contradicts itself. Exit code 74."""


class Store(Protocol):
    """Eight verbs. Keys and values are bytes; order is bytewise."""

    def get(self, key: bytes) -> bytes | None:
        """Value of `key`, staged writes included, or None."""
        ...

    def scan(
        self, prefix: bytes, start: bytes = b"", *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Entries whose key begins with `prefix`, from key `start` on (at or after it; with
        `reverse`, at or before it, downwards), staged writes included."""
        ...

    def stage(self, writes: Mapping[bytes, bytes | None]) -> None:
        """Add writes (None deletes) to the batch that the next flush makes durable."""
        ...

    def has_staged(self, prefix: bytes = b"") -> bool:
        """Whether a flush would write a key that begins with `prefix`."""
        ...

    def flush(self) -> None:
        """Make all staged writes durable in one synced atomic batch. Raises OSError."""
        ...

    def discard(self) -> None:
        """Forget staged writes, as a crash would."""
        ...

    def size(self) -> int:
        """Bytes on disk, approximately."""
        ...

    def close(self) -> None:
        """Release the database. Staged writes are lost."""
        ...


class MemoryStore:
    """A store in memory with the same contract; the simulator's disk is built on it."""

    def __init__(self, durable: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._durable: dict[bytes, bytes] = dict(durable)
        self._staged: dict[bytes, bytes | None] = {}
        self._keys: list[bytes] = sorted(self._durable)

    def get(self, key: bytes) -> bytes | None:
        if key in self._staged:
            return self._staged[key]
        return self._durable.get(key)

    def scan(
        self, prefix: bytes, start: bytes = b"", *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        keys = {key for key in self._keys_with(prefix) if self._staged.get(key, b"") is not None}
        keys.update(
            key
            for key, value in self._staged.items()
            if value is not None and key.startswith(prefix)
        )
        for key in sorted(keys, reverse=reverse):
            if start and (key > start if reverse else key < start):
                continue
            value = self.get(key)
            assert value is not None
            yield key, value

    def _keys_with(self, prefix: bytes) -> Iterator[bytes]:
        for index in range(bisect_left(self._keys, prefix), len(self._keys)):
            if not self._keys[index].startswith(prefix):
                return
            yield self._keys[index]

    def stage(self, writes: Mapping[bytes, bytes | None]) -> None:
        self._staged.update(writes)

    def has_staged(self, prefix: bytes = b"") -> bool:
        return any(key.startswith(prefix) for key in self._staged)

    def flush(self) -> None:
        for key, value in self._staged.items():
            if value is None:
                if key in self._durable:
                    del self._durable[key]
                    del self._keys[bisect_left(self._keys, key)]
            else:
                if key not in self._durable:
                    insort(self._keys, key)
                self._durable[key] = value
        self._staged = {}

    def discard(self) -> None:
        self._staged = {}

    def size(self) -> int:
        return sum(len(key) + len(value) for key, value in self._durable.items())

    def durable(self) -> dict[bytes, bytes]:
        """A copy of what a crash would leave."""
        return dict(self._durable)

    def close(self) -> None:
        self._staged = {}
