"""What a store answered lately, rows that do not exist among it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ROWS_MAX: Final = 60_000
VALUE_BYTES_MAX: Final = 2_048
"""Longer values are not kept: all in all some 300 MB at worst, 30 MB in a usual chain."""


class Recent:
    """Answers by key in two generations: when the younger one is full it becomes the older one, and
    what was old is forgotten. A row that is asked for again moves up. A key is in one of them."""

    __slots__ = ("_older", "_younger")

    def __init__(self) -> None:
        self._younger: dict[bytes, bytes | None] = {}
        self._older: dict[bytes, bytes | None] = {}

    def get(self, key: bytes) -> bytes | None:
        """The answer for `key`, None when it does not exist. Raises KeyError when not kept."""
        if key in self._younger:
            return self._younger[key]
        value = self._older.pop(key)
        self.put(key, value)
        return value

    def put(self, key: bytes, value: bytes | None) -> None:
        """Keep an answer."""
        if value is not None and len(value) > VALUE_BYTES_MAX:
            return
        if len(self._younger) >= ROWS_MAX // 2:
            self._older, self._younger = self._younger, {}
        self._younger[key] = value

    def written(self, rows: Mapping[bytes, bytes | None]) -> None:
        """These rows were written, None for deleted: what is kept of them follows."""
        for key in rows.keys() & self._younger.keys():
            self._replace(self._younger, key, rows[key])
        for key in rows.keys() & self._older.keys():
            self._replace(self._older, key, rows[key])

    @staticmethod
    def _replace(kept: dict[bytes, bytes | None], key: bytes, value: bytes | None) -> None:
        if value is not None and len(value) > VALUE_BYTES_MAX:
            del kept[key]
        else:
            kept[key] = value
