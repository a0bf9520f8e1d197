"""Gossip of transactions: push once, then offer, ask and answer (peers.md, Transactions).

Pure. It knows ids and bytes, not what a transaction means: whoever checks the raws says afterwards
whether an id was bad for ever (`bad`) or only not admissible yet (`forget`). Every table is bounded
and throws out its oldest entry.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from ledger.crypto import sha256
from ledger.ids import TxId
from p2p.wire import IDS_MAX, Fault, Have, PeerFault, Transactions, Want
from p2p.wire import Gossip as Message

BATCH_BYTES_MAX: Final = 262_144
BATCH_MS_MAX: Final = 5
OFFER_MS: Final = 1_000
ASK_AGAIN_MS: Final = 5_000
ANSWER_BYTES_MAX: Final = 1_048_576
"""Bytes given for one Want. A request of 64 KB may name half a gigabyte; the asker asks again."""


_Value = TypeVar("_Value")


class Outgoing(NamedTuple):
    """A message to send on channel 2."""

    to: str | None
    """Member name; None means every member with a session."""
    message: Message


@dataclass(slots=True)
class Actions:
    """What to do about a received message."""

    check: list[tuple[TxId, bytes]] = field(default_factory=list)
    """Transactions not seen before, with their ids, in the order received."""
    replies: list[Outgoing] = field(default_factory=list)
    faults: list[PeerFault] = field(default_factory=list)
    """What the sender must be charged for."""


@dataclass(frozen=True, slots=True)
class GossipLimits:
    """Bounds of the memories, in ids (about 150 bytes each)."""

    seen_max: int = 100_000
    bad_max: int = 20_000
    asked_max: int = 20_000


class _Asked(NamedTuple):
    peer: str
    at_ms: int


class Gossip:
    """The gossip state of one node. Deadlines are in integer milliseconds of the caller's clock."""

    def __init__(
        self, get: Callable[[TxId], bytes | None], limits: GossipLimits | None = None
    ) -> None:
        """`get` looks a transaction up among those this node holds, by id."""
        self._get = get
        self._limits = limits or GossipLimits()
        self._seen: OrderedDict[TxId, None] = OrderedDict()
        self._bad: OrderedDict[TxId, None] = OrderedDict()
        self._asked: OrderedDict[TxId, _Asked] = OrderedDict()
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._batch_due_ms = 0
        self._offer_due_ms = 0

    def admitted(self, tx_id: TxId, raw: bytes, now_ms: int) -> list[Outgoing]:
        """A client's transaction was admitted here: push it. Returns a full batch, if one is."""
        _remember(self._seen, tx_id, None, self._limits.seen_max)
        full = self._batch_bytes + len(raw) > BATCH_BYTES_MAX or len(self._batch) == IDS_MAX
        out = self._flush() if full else []
        if not self._batch:
            self._batch_due_ms = now_ms + BATCH_MS_MAX
        self._batch.append(raw)
        self._batch_bytes += len(raw)
        return out

    def push(self) -> list[Outgoing]:
        """Push the open batch now: its transactions came together, and none is to be waited for."""
        return self._flush() if self._batch else []

    def due_ms(self) -> int:
        """When `tick` has something to do: `min` of the open batch and the next offer."""
        return min(self._batch_due_ms, self._offer_due_ms) if self._batch else self._offer_due_ms

    def tick(self, now_ms: int, pending: Callable[[], Sequence[TxId]]) -> list[Outgoing]:
        """Push a batch that is due; every second offer the ids of `pending` transactions, which
        must be older than one second, oldest first. `pending` is called only then."""
        out = self._flush() if self._batch and now_ms >= self._batch_due_ms else []
        if now_ms >= self._offer_due_ms:
            self._offer_due_ms = now_ms + OFFER_MS
            ids = tuple(pending()[:IDS_MAX])
            if ids:
                out.append(Outgoing(None, Have(ids)))
        return out

    def received(self, peer: str, message: Message, now_ms: int) -> Actions:
        """Handle one message of `peer`."""
        actions = Actions()
        match message:
            case Transactions():
                self._take(message, actions)
            case Have():
                ids = self._unknown(peer, message, now_ms)
                if ids:
                    actions.replies.append(Outgoing(peer, Want(ids)))
            case Want():
                actions.replies.extend(self._answer(peer, message))
        return actions

    def bad(self, tx_id: TxId) -> None:
        """The transaction's form is invalid: never ask for it, and charge whoever sends it."""
        self._seen.pop(tx_id, None)
        _remember(self._bad, tx_id, None, self._limits.bad_max)

    def forget(self, tx_id: TxId) -> None:
        """Not admissible now (unknown key, expired, replayed), or evicted: it may come again."""
        self._seen.pop(tx_id, None)

    def peer_down(self, peer: str) -> None:
        """The session ended: what was asked of it may be asked elsewhere at once."""
        for tx_id in [tx_id for tx_id, asked in self._asked.items() if asked.peer == peer]:
            del self._asked[tx_id]

    def _flush(self) -> list[Outgoing]:
        batch, self._batch, self._batch_bytes = tuple(self._batch), [], 0
        return [Outgoing(None, Transactions(batch))]

    def _take(self, message: Transactions, actions: Actions) -> None:
        for raw in message.raws:
            tx_id = TxId(sha256(raw))
            self._asked.pop(tx_id, None)
            if tx_id in self._bad:
                actions.faults.append(PeerFault(Fault.TRANSACTION_INVALID, tx_id.hex()))
            elif tx_id not in self._seen:
                _remember(self._seen, tx_id, None, self._limits.seen_max)
                actions.check.append((tx_id, raw))

    def _unknown(self, peer: str, message: Have, now_ms: int) -> tuple[TxId, ...]:
        """The offered ids worth asking `peer` for; they count as asked."""
        wanted: list[TxId] = []
        for offered in message.ids:
            tx_id = TxId(offered)
            if tx_id in self._seen or tx_id in self._bad:
                continue
            asked = self._asked.get(tx_id)
            if asked is not None:
                # Whoever left a request open waits twice as long, so that a member which offers
                # and never gives cannot keep winning the race to be asked.
                wait_ms = ASK_AGAIN_MS * (2 if asked.peer == peer else 1)
                if now_ms - asked.at_ms < wait_ms:
                    continue
                del self._asked[tx_id]
            if self._get(tx_id) is not None:
                continue
            _remember(self._asked, tx_id, _Asked(peer, now_ms), self._limits.asked_max)
            wanted.append(tx_id)
        return tuple(wanted)

    def _answer(self, peer: str, message: Want) -> list[Outgoing]:
        """Those wanted that we hold, in messages of at most one batch, up to ANSWER_BYTES_MAX."""
        out: list[Outgoing] = []
        batch: list[bytes] = []
        batch_bytes = total_bytes = 0
        for wanted in dict.fromkeys(message.ids):
            raw = self._get(TxId(wanted))
            if raw is None:
                continue
            total_bytes += len(raw)
            if total_bytes > ANSWER_BYTES_MAX:
                break
            if batch and batch_bytes + len(raw) > BATCH_BYTES_MAX:
                out.append(Outgoing(peer, Transactions(tuple(batch))))
                batch, batch_bytes = [], 0
            batch.append(raw)
            batch_bytes += len(raw)
        if batch:
            out.append(Outgoing(peer, Transactions(tuple(batch))))
        return out


def _remember(table: OrderedDict[TxId, _Value], tx_id: TxId, value: _Value, size_max: int) -> None:
    """Add an entry; a full table loses its oldest.

    An OrderedDict, because a plain dict walks over its deleted entries to find the oldest.
    """
    if tx_id not in table and len(table) >= size_max:
        table.popitem(last=False)
    table[tx_id] = value
