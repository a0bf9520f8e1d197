"""Transactions that wait for a block: bounded, first come first served, shared by agencies.

Pure: times come in. Mempool policy is never block validity.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from ledger.admission import Admitted
from ledger.ids import TxId
from ledger.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes of one node's mempool."""

    transactions_max: int = 20_000
    bytes_max: int = 64 * 1024 * 1024
    agency_share: int = 4
    """An agency may hold 1/agency_share of the pool while others use it too."""


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """One transaction with a valid signature."""

    admitted: Admitted
    agency: str
    since_ms: int
    """Monotonic time of admission here."""


class Mempool:
    """Admits, offers to the block builder in order of arrival, forgets what was committed."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: OrderedDict[TxId, Waiting] = OrderedDict()
        self._marks: dict[tuple[str, str], TxId] = {}
        self._agencies: dict[str, int] = {}
        self.bytes = 0
        self._patience_from_ms = 0
        """No transaction counts as overdue from before this time: blocks were full till then."""
        self._soonest_exp = 0
        """No waiting transaction expires earlier, seconds; spares most walks through the pool."""

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, txid: object) -> bool:
        return txid in self._waiting

    def get(self, txid: TxId) -> Waiting | None:
        """The waiting transaction with this id."""
        return self._waiting.get(txid)

    def of_agency(self, agency: str) -> int:
        """How many transactions of this agency and its clients wait."""
        return self._agencies.get(agency, 0)

    def agencies(self) -> tuple[str, ...]:
        """Agencies of the waiting transactions."""
        return tuple(self._agencies)

    def same_mark(self, iss: str, jti: str) -> TxId | None:
        """The waiting transaction of this issuer with this jti."""
        return self._marks.get((iss, jti))

    def room_for(self, agency: str, size: int) -> str:
        """Empty, or the stable reason why a transaction of `size` bytes is not taken."""
        limits = self._limits
        if len(self._waiting) >= limits.transactions_max or self.bytes + size > limits.bytes_max:
            return "MEMPOOL_FULL"
        share = limits.transactions_max // limits.agency_share
        if self._agencies.get(agency, 0) >= share and len(self._waiting) * 2 > (
            limits.transactions_max
        ):
            return "MEMPOOL_QUOTA"
        return ""

    def add(self, waiting: Waiting) -> None:
        """Take a transaction for which `room_for` had room."""
        transaction = waiting.admitted.transaction
        assert transaction.id not in self._waiting
        assert (transaction.iss, transaction.jti) not in self._marks, "one waits for each mark"
        if not self._waiting or transaction.exp < self._soonest_exp:
            self._soonest_exp = transaction.exp
        self._waiting[transaction.id] = waiting
        self._marks[(transaction.iss, transaction.jti)] = transaction.id
        self._agencies[waiting.agency] = self._agencies.get(waiting.agency, 0) + 1
        self.bytes += len(transaction.raw)

    def consume(self, transaction: Transaction) -> None:
        """A block holds this transaction: forget it, and another one with its mark."""
        mark = (transaction.iss, transaction.jti)
        txid = self._marks.pop(mark, None)
        if txid is not None:
            self._forget(self._waiting.pop(txid))

    def _forget(self, waiting: Waiting) -> None:
        left = self._agencies[waiting.agency] - 1
        if left:
            self._agencies[waiting.agency] = left
        else:
            del self._agencies[waiting.agency]
        self.bytes -= len(waiting.admitted.transaction.raw)

    def remove(self, txids: Iterable[TxId]) -> None:
        """Forget transactions: committed, expired or no longer admissible."""
        for txid in txids:
            waiting = self._waiting.pop(txid, None)
            if waiting is None:
                continue
            transaction = waiting.admitted.transaction
            del self._marks[(transaction.iss, transaction.jti)]
            self._forget(waiting)

    def candidates(self, bytes_max: int, count_max: int) -> list[Waiting]:
        """The oldest transactions that fit into a block, in order of arrival."""
        chosen: list[Waiting] = []
        total = 0
        for waiting in self._waiting.values():
            total += len(waiting.admitted.transaction.raw)
            if len(chosen) == count_max or total > bytes_max:
                break
            chosen.append(waiting)
        return chosen

    def all(self) -> Iterator[Waiting]:
        """Every waiting transaction, oldest first."""
        return iter(self._waiting.values())

    def expire(self, time_ms: int) -> list[TxId]:
        """Drop what can be in no later block, because block time reached its exp."""
        if not self._waiting or time_ms < self._soonest_exp * 1000:
            return []
        late = [
            txid
            for txid, waiting in self._waiting.items()
            if waiting.admitted.transaction.exp * 1000 <= time_ms
        ]
        self.remove(late)
        exps = (waiting.admitted.transaction.exp for waiting in self._waiting.values())
        self._soonest_exp = min(exps, default=0)
        return late

    def excuse(self, now_ms: int) -> None:
        """A block was full, or a new primary took over: patience starts anew."""
        self._patience_from_ms = now_ms

    def overdue(self, now_ms: int, patience_ms: int) -> bool:
        """Whether the oldest one waited longer than `patience_ms` though blocks had room."""
        if not self._waiting:
            return False
        oldest = next(iter(self._waiting.values()))
        return now_ms - max(oldest.since_ms, self._patience_from_ms) > patience_ms

    def older_than(self, now_ms: int, age_ms: int, count_max: int) -> list[TxId]:
        """Ids of the oldest transactions admitted at least `age_ms` ago."""
        ids: list[TxId] = []
        for txid, waiting in self._waiting.items():
            if len(ids) == count_max or now_ms - waiting.since_ms < age_ms:
                break
            ids.append(txid)
        return ids
