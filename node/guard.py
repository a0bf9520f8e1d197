"""The vote store's guard: a high-water mark beside the key (docs/spec/protocol.md, section 7).

A vote store that was lost, replaced or rolled back to a backup does not know what its key signed.
So the store carries a random id and a counter of its vote batches, and a small file beside the key
carries the same two, written and synced after each batch and before the votes are said. A store
whose id differs, or whose counter is lower than the file's, must not vote.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from consensus.records import PREFIX as VOTES
from ledger.store import Store

STORE_ID = b"xstore"
COUNTER = b"xmark"
VOTE_STORE_LOST = "VOTE_STORE_LOST"
_SLOT_BYTES = 128
_LINE_BYTES = 32 + 1 + 20 + 1 + 64


def _slot(store_id: str, counter: int) -> bytes:
    text = f"{store_id} {counter:020d}"
    check = hashlib.sha256(text.encode("ascii")).hexdigest()
    return f"{text} {check}".encode("ascii").ljust(_SLOT_BYTES, b"\n")


def _read_slot(data: bytes) -> tuple[str, int] | None:
    """(store id, counter), or None for a slot that was never or not wholly written."""
    parts = data[:_LINE_BYTES].split(b" ")
    if len(parts) != 3 or not parts[1].isdigit():
        return None
    store_id, counter = parts[0].decode("ascii", "replace"), int(parts[1])
    return (store_id, counter) if _slot(store_id, counter) == data else None


class VoteGuard:
    """Flushes the store, and moves the mark after every batch that holds votes."""

    def __init__(self, store: Store, path: Path) -> None:
        """Open an existing mark. `lost` says why this node must not vote, or is empty."""
        self._store = store
        self._path = path
        self._counter = 0
        self._store_id = ""
        self._file: int | None = None
        self.lost = self._check()
        if not self.lost:
            self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def _check(self) -> str:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return f"{VOTE_STORE_LOST}: {self._path} is missing"
        slots = [_read_slot(data[i * _SLOT_BYTES : (i + 1) * _SLOT_BYTES]) for i in (0, 1)]
        marks = [slot for slot in slots if slot is not None]
        if not marks:
            return f"{VOTE_STORE_LOST}: {self._path} is damaged"
        marked_id, marked = max(marks, key=lambda slot: slot[1])
        held = self._store.get(STORE_ID)
        if held is None:
            return f"{VOTE_STORE_LOST}: the vote store is gone; this key may have signed before"
        if held.decode("ascii") != marked_id:
            return f"{VOTE_STORE_LOST}: the vote store is another one than this key's"
        counter = int.from_bytes(self._store.get(COUNTER) or b"", "big")
        if counter < marked:
            return (
                f"{VOTE_STORE_LOST}: the vote store is at batch {counter}, the key signed up to "
                f"batch {marked}: it was restored from a backup"
            )
        self._store_id, self._counter = marked_id, counter
        return ""

    def flush(self) -> None:
        """Make staged writes durable; when votes are among them, move the mark as well.

        Raises OSError on a full or failing disk; then nothing staged may be said.
        """
        if self._file is None:
            self._store.flush()
            return
        if not self._store.has_staged(VOTES):
            self._store.flush()
            return
        self._counter += 1
        self._store.stage({COUNTER: self._counter.to_bytes(8, "big")})
        self._store.flush()
        slot = (self._counter & 1) * _SLOT_BYTES
        os.pwrite(self._file, _slot(self._store_id, self._counter), slot)
        os.fdatasync(self._file)

    def close(self) -> None:
        """Release the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def create(store: Store, path: Path) -> None:
    """Bind a fresh vote store to its key: by `init` only. Raises FileExistsError."""
    store_id = secrets.token_hex(16)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        store.stage({STORE_ID: store_id.encode("ascii"), COUNTER: (0).to_bytes(8, "big")})
        store.flush()
        os.write(descriptor, _slot(store_id, 0) + bytes(_SLOT_BYTES))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
