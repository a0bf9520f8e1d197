"""The store on LevelDB. The only file that imports plyvel."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import plyvel

from ledger.overlay import merge
from ledger.presence import Presence
from ledger.recent import UNKNOWN, Recent
from ledger.store import MARK_TABLE, StoreDamaged

_WRITE_BUFFER_BYTES: Final = 256 * 1024 * 1024
"""Every row is written again at each level of the merge; the larger the first step, the fewer."""
_TABLE_BYTES: Final = 64 * 1024 * 1024
_CACHE_BYTES: Final = 64 * 1024 * 1024
_BLOOM_BITS: Final = 10
_NO_KEY: Final = b"\x00"
"""No table's name: no row has such a key."""
_MERGE_NICE: Final = 10
"""Of the thread that merges, above the process's own: a tenth of the share of one that decides on
blocks."""
_NICE_MAX: Final = 19


class LevelStore:
    """`ledger.store.Store` in one LevelDB directory, held open by one process."""

    def __init__(self, directory: Path, *, create_if_missing: bool = False) -> None:
        """Open the database. Raises StoreDamaged, or OSError when the disk or a lock refuses.

        Without `create_if_missing` a missing database is damage: a node that came up on an empty
        directory would otherwise start again from genesis and sign a second time.
        """
        self._directory = directory
        if create_if_missing:
            directory.mkdir(parents=True, exist_ok=True)
        elif not (directory / "CURRENT").is_file():
            raise StoreDamaged(f"store {directory}: there is no database; restore or init it")
        self._staged: dict[bytes, bytes | None] = {}
        with self._faults():
            self._db = plyvel.DB(
                str(directory),
                create_if_missing=create_if_missing,
                paranoid_checks=True,
                write_buffer_size=_WRITE_BUFFER_BYTES,
                max_file_size=_TABLE_BYTES,
                # Base64 and hashes do not shrink, and each merge would compress them anew.
                compression=None,
                lru_cache_size=_CACHE_BYTES,
                bloom_filter_bits=_BLOOM_BITS,
            )
            self._put_merges_behind()
        # Without verify_checksums a flipped bit of a table would be read as if it were written.
        # One callable saves two look-ups on the hottest call of all.
        self._read: Callable[[bytes], bytes | None] = partial(self._db.get, verify_checksums=True)
        # Parties and quota counts are read for every transaction, and each of its rows is asked for
        # two or three times before it exists; a look-up in LevelDB costs ten times this.
        self._recent = Recent()
        with self._faults():
            self._marks = Presence(MARK_TABLE, self._keys(MARK_TABLE))

    def _put_merges_behind(self) -> None:
        """Let LevelDB's own thread, which merges files in bursts of seconds, run when nobody else
        needs the processor. It is one for all databases of a process, and begins when there is
        something to do: a merge of nothing makes it begin now. Linux only; elsewhere, or where it
        is not allowed, nothing happens."""
        tasks = Path("/proc/self/task")
        if not tasks.is_dir():
            return
        known = {task.name for task in tasks.iterdir()}
        nice = min(os.getpriority(os.PRIO_PROCESS, 0) + _MERGE_NICE, _NICE_MAX)
        self._db.compact_range(start=_NO_KEY, stop=_NO_KEY)
        for task in tasks.iterdir():
            if task.name not in known:
                with suppress(OSError):
                    os.setpriority(os.PRIO_PROCESS, int(task.name), nice)

    def _keys(self, prefix: bytes) -> Iterator[bytes]:
        with self._db.iterator(prefix=prefix, include_value=False, verify_checksums=True) as keys:
            yield from keys

    def get(self, key: bytes) -> bytes | None:
        if key in self._staged:
            return self._staged[key]
        if key.startswith(MARK_TABLE) and self._marks.lacks(key):
            return None
        known = self._recent.get(key)
        if known is not UNKNOWN:
            return known
        try:
            value = self._read(key)
        except plyvel.Error as error:
            raise self._fault(error) from error
        self._recent.put(key, value)
        return value

    def scan(
        self, prefix: bytes, start: bytes = b"", *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        changed = {
            key: value
            for key, value in self._staged.items()
            if key.startswith(prefix) and (not start or (key <= start if reverse else key >= start))
        }
        return merge(self._durable(prefix, start, reverse), changed, reverse=reverse)

    def _durable(self, prefix: bytes, start: bytes, reverse: bool) -> Iterator[tuple[bytes, bytes]]:
        low: bytes | None = max(prefix, start)
        high, include_high = _after(prefix), False
        if reverse:
            # plyvel yields nothing when the last entry equals `start` of a reverse iterator.
            low = None
            if start and (high is None or start < high):
                high, include_high = start, True
        with (
            self._faults(),
            self._db.iterator(
                start=low,
                stop=high,
                include_stop=include_high,
                reverse=reverse,
                verify_checksums=True,
            ) as entries,
        ):
            for key, value in entries:
                if not key.startswith(prefix):
                    return
                yield key, value

    def stage(self, writes: Mapping[bytes, bytes | None]) -> None:
        self._staged.update(writes)
        # Known before it is durable: what is made and deleted in one batch would, deleted but never
        # known, hide another mark of its hash.
        self._marks.staged(writes)

    def has_staged(self, prefix: bytes = b"") -> bool:
        return any(key.startswith(prefix) for key in self._staged)

    def flush(self) -> None:
        """Raises OSError (ENOSPC when the disk is full) and StoreDamaged; all stays staged then."""
        if not self._staged:
            return
        with self._faults(), self._db.write_batch(transaction=True, sync=True) as batch:
            # In order, each row falls near the one before it in LevelDB's sorted memory: a block of
            # acts is written at half the cost.
            for key in sorted(self._staged):
                value = self._staged[key]
                if value is None:
                    batch.delete(key)
                else:
                    batch.put(key, value)
        self._recent.written(self._staged)
        self._marks.flushed(self._staged)
        self._staged = {}

    def discard(self) -> None:
        self._staged = {}

    def size(self) -> int:
        return sum(file.stat().st_size for file in self._directory.iterdir() if file.is_file())

    def close(self) -> None:
        self._staged = {}
        self._db.close()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except plyvel.Error as error:
            raise self._fault(error) from error

    def _fault(self, error: Exception) -> Exception:
        """LevelDB's own errors in the terms of `ledger.store`."""
        text = str(error)
        where = f"store {self._directory}: {text}"
        if "No space left" in text:
            return OSError(errno.ENOSPC, where)
        if isinstance(error, plyvel.IOError) and not _is_damage(text):
            return OSError(errno.EIO, where)
        return StoreDamaged(where)


def _is_damage(text: str) -> bool:
    """LevelDB reports a lost table file as an I/O error; it is damage all the same."""
    return "No such file" in text or "Corruption" in text


def _after(prefix: bytes) -> bytes | None:
    """The least key above every key that begins with `prefix`, or None when there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else None
