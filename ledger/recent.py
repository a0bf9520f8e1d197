"""What a store was told and answered lately, rows that do not exist among it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from ledger.store import STATE_TABLE

BYTES_MAX: Final = 96 * 1024 * 1024
VALUE_BYTES_MAX: Final = 256 * 1024
"""Definitions of services are read by every act; bodies of blocks are longer and read once."""
_ROW_BYTES: Final = 200
"""What a row costs beside its key and value, about."""


class Unknown(Enum):
    """What is not kept."""

    UNKNOWN = 0


UNKNOWN: Final = Unknown.UNKNOWN


class Recent:
    """Answers by key in two generations: when the younger one is full it becomes the older one, and
    what was old is forgotten. A row that is asked for again moves up. A key is in one of them."""

    __slots__ = ("_bytes", "_older", "_younger")

    def __init__(self) -> None:
        self._younger: dict[bytes, bytes | None] = {}
        self._older: dict[bytes, bytes | None] = {}
        self._bytes = 0
        """Of the younger generation, deleted rows included."""

    def get(self, key: bytes) -> bytes | Unknown | None:
        """The answer for `key`, None when it does not exist; UNKNOWN when it is not kept."""
        value = self._younger.get(key, UNKNOWN)
        if value is UNKNOWN:
            value = self._older.pop(key, UNKNOWN)
            if not isinstance(value, Unknown):
                self.put(key, value)
        return value

    def put(self, key: bytes, value: bytes | None) -> None:
        """Keep an answer."""
        size = 0 if value is None else len(value)
        self._older.pop(key, None)
        if size > VALUE_BYTES_MAX:
            self._younger.pop(key, None)
            return
        self._bytes += size + len(key) + _ROW_BYTES
        if self._bytes > BYTES_MAX // 2:
            self._older, self._younger = self._younger, {}
            self._older.pop(key, None)
            self._bytes = size + len(key) + _ROW_BYTES
        self._younger[key] = value

    def written(self, rows: Mapping[bytes, bytes | None]) -> None:
        """These rows were written, None for deleted. Rows of the state are kept from now on: what
        was just written is what the next acts are about. Others are forgotten."""
        for kept in (self._younger, self._older):
            for key in rows.keys() & kept.keys():
                del kept[key]
        for key, value in rows.items():
            if not key.startswith(STATE_TABLE):
                continue
            size = 0 if value is None else len(value)
            after = self._bytes + size + len(key) + _ROW_BYTES
            if size > VALUE_BYTES_MAX or after > BYTES_MAX // 2:
                self.put(key, value)
            else:  # as `put`, without a call: it is not kept now
                self._bytes = after
                self._younger[key] = value
