"""Which rows of a table exist, for a table that is mostly asked for rows that do not.

LevelDB looks for an absent row in every one of its files. Replay marks are asked for by every
transaction, and almost always absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

ROWS_MAX: Final = 2_000_000
"""About 70 bytes each; a table with more of them is looked up in the database again."""


class Presence:
    """Hashes of the keys of one table. What they lack does not exist; what they have may exist.

    Python's own hash serves: nothing but the cost of a look-up depends on it.
    """

    __slots__ = ("_hashes", "_rows_max", "_shared", "_table")

    def __init__(self, table: bytes, keys: Iterable[bytes], rows_max: int = ROWS_MAX) -> None:
        """`keys` are all the keys of the table that exist."""
        self._table = table
        self._rows_max = rows_max
        self._hashes: set[int] | None = set()
        self._shared: set[int] = set()
        """Hashes that came twice. They may be two keys', so they outlive the deletion of one."""
        for key in keys:
            if not self._add(key):  # the rest would be read for nothing
                break

    def lacks(self, key: bytes) -> bool:
        """Whether the row surely does not exist. Of another table nothing is known."""
        return key[:1] == self._table and self._hashes is not None and hash(key) not in self._hashes

    def staged(self, rows: Mapping[bytes, bytes | None]) -> None:
        """These rows will be written; those that are None will be deleted and stay known so far."""
        for key in [key for key in rows if key.startswith(self._table)]:
            if rows[key] is not None:
                self._add(key)

    def flushed(self, rows: Mapping[bytes, bytes | None]) -> None:
        """These rows were written; None: they are deleted. They must have been told as staged: of
        two keys with one hash the deletion of the one that was never told would hide the other."""
        if self._hashes is None:
            return
        for key in [key for key, value in rows.items() if value is None]:
            if key.startswith(self._table) and hash(key) not in self._shared:
                self._hashes.discard(hash(key))

    def _add(self, key: bytes) -> bool:
        """False when there are too many rows to know them."""
        if self._hashes is None:
            return False
        known = hash(key)
        if known in self._hashes:
            self._shared.add(known)
        self._hashes.add(known)
        if len(self._hashes) + len(self._shared) > self._rows_max:
            self._hashes, self._shared = None, set()
        return self._hashes is not None
