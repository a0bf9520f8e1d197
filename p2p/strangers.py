"""Accepted connections that have not said hello: few in all, and fewer from one address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Connection(Protocol):
    """What is counted."""

    @property
    def remote(self) -> str:
        """IP address of the other side."""
        ...


_Connection = TypeVar("_Connection", bound=Connection)


@dataclass(frozen=True, slots=True)
class StrangerLimits:
    """How many may be open at once. Each holds less than 200 KiB and for 5 s at most."""

    total_max: int = 64
    per_address_max: int = 8


class Strangers(Generic[_Connection]):
    """The waiting ones, oldest first.

    The newest is let in and the oldest goes, because an honest peer needs two round trips and a
    loris stays: whoever fills the room throws out its own idlers.
    """

    def __init__(self, limits: StrangerLimits) -> None:
        self._limits = limits
        self._waiting: dict[_Connection, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, connection: _Connection) -> _Connection | None:
        """Let `connection` in; returns the one that has to go instead, already forgotten."""
        self._waiting[connection] = None
        same = [other for other in self._waiting if other.remote == connection.remote]
        oldest: _Connection | None = None
        if len(same) > self._limits.per_address_max:
            oldest = same[0]
        elif len(self._waiting) > self._limits.total_max:
            oldest = next(iter(self._waiting))
        if oldest is not None:
            del self._waiting[oldest]
        return oldest

    def remove(self, connection: _Connection) -> None:
        """It has said hello, or is gone."""
        self._waiting.pop(connection, None)
