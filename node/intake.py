"""Admission of transactions, from clients and from peers, into the mempool. Pure.

Each signature is verified once by this node. What may become admissible with a later block (an
unknown key, an expiry too far ahead) is kept for another try and never blamed on a peer.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from ledger.admission import (
    Admitted,
    Replayed,
    check_limits,
    check_quota,
    check_replay,
    check_signature,
    check_time,
    parse,
    resolve,
)
from ledger.crypto import Verifier, sha256
from ledger.ids import TxId
from ledger.marks import count_marks
from ledger.parameters import Parameters
from ledger.transaction import Inadmissible
from node.chain import Chain
from node.mempool import Mempool, Waiting
from node.outputs import Outcome

RETRY_MAX = 1_000
RETRY_BYTES_MAX = 4 * 1024 * 1024
EXPIRED_MAX = 20_000
STATELESS = frozenset(
    {
        "TX_MALFORMED",
        "TX_HEADER_INVALID",
        "TX_PAYLOAD_INVALID",
        "TX_UNKNOWN_OPERATION",
        "TX_SCHEMA_INVALID",
        "TX_WRONG_CHAIN",
        "TX_SIGNATURE_INVALID",
    }
)
"""Reasons that hold whatever block comes next: a peer that passes such a transaction on is at
fault. How large one may be is for the members' vote, and a peer may be a block ahead."""
LATER_REASONS = frozenset({"TX_REPLAYED", "TX_EXPIRED", "TX_KEY_REVOKED", "PARTY_MARKS_FULL"})
RETRIED = frozenset({"TX_UNKNOWN_KEY", "TX_EXPIRY_TOO_FAR"})


@dataclass(slots=True)
class Intake:
    """Decides what enters the mempool and why the rest does not."""

    chain: Chain
    mempool: Mempool
    verifier: Verifier
    retry: deque[bytes] = field(default_factory=deque)
    retry_bytes: int = 0
    expired: OrderedDict[TxId, None] = field(default_factory=OrderedDict)
    rules: Parameters = field(init=False)
    """Parameters by which the waiting transactions were checked last."""

    def __post_init__(self) -> None:
        self.rules = self.chain.parameters

    def admit(
        self,
        raw: bytes,
        mono_ms: int,
        wall_ms: int,
        *,
        again: bool = False,
        txid: TxId | None = None,
    ) -> tuple[Outcome, Waiting | None]:
        """Take one transaction or say why not; the second part is set when it is new here.

        `txid` is its id, if the caller has hashed it. With `again`, one that the next block may
        make admissible is kept for another try: a peer's, never a client's, who was told that it
        was not taken.
        """
        if txid is None:
            txid = TxId(sha256(raw))
        if txid in self.mempool:
            return Outcome(txid, "known", "", ""), None
        try:
            waiting = self._check(raw, txid, mono_ms, wall_ms)
        except Inadmissible as error:
            if self._committed_before(txid, error):
                return Outcome(txid, "known", "", ""), None
            if again and error.reason in RETRIED:
                self.put_off(raw)
            return Outcome(_first_of(error, txid), "", error.reason, error.detail), None
        self.mempool.add(waiting)
        return Outcome(txid, "accepted", "", ""), waiting

    def check(self, raw: bytes, mono_ms: int, wall_ms: int) -> Outcome:
        """What `admit` would say; nothing changes."""
        txid = TxId(sha256(raw))
        if txid in self.mempool:
            return Outcome(txid, "known", "", "")
        try:
            self._check(raw, txid, mono_ms, wall_ms)
        except Inadmissible as error:
            if self._committed_before(txid, error):
                return Outcome(txid, "known", "", "")
            return Outcome(_first_of(error, txid), "", error.reason, error.detail)
        return Outcome(txid, "accepted", "", "")

    def _committed_before(self, txid: TxId, error: Inadmissible) -> bool:
        """Whether the refusal only says that this very transaction is in a block already: its mark
        lives, it expired since, or its key was revoked since."""
        return error.reason in LATER_REASONS and self.chain.archive.location(txid) is not None

    def _check(self, raw: bytes, txid: TxId, mono_ms: int, wall_ms: int) -> Waiting:
        chain = self.chain
        admitted = parse(raw, chain.parameters, chain.id, txid)
        transaction = admitted.transaction
        found = resolve(transaction, chain.state)
        agency = found.party.agency
        full = self.mempool.room_for(agency, len(raw))
        if full:  # before the dear signature check, or a full pool would cost the most
            raise Inadmissible(full, "the node has too many waiting transactions; try later")
        check_signature(transaction, found.public_key, self.verifier)
        time_ms = max(chain.header.time_ms, wall_ms)
        check_time(transaction, time_ms, chain.parameters)
        check_replay(transaction, chain.state, time_ms)
        other = self.mempool.same_mark(transaction.iss, transaction.jti)
        if other is not None:
            raise Replayed(other)
        marks = count_marks(chain.state, agency) + self.mempool.of_agency(agency)
        check_quota(marks, chain.parameters)
        return Waiting(admitted, agency, mono_ms)

    def put_off(self, raw: bytes) -> None:
        """Keep a transaction until after the next block; the oldest makes room."""
        self.retry.append(raw)
        self.retry_bytes += len(raw)
        while len(self.retry) > RETRY_MAX or self.retry_bytes > RETRY_BYTES_MAX:
            self.retry_bytes -= len(self.retry.popleft())

    def retry_all(self, mono_ms: int, wall_ms: int) -> list[Waiting]:
        """Try once more what an earlier state did not admit. Nobody has checked a signature of it,
        so it is not kept any longer: each block would pay for it."""
        again = list(self.retry)
        self.retry.clear()
        self.retry_bytes = 0
        taken: list[Waiting] = []
        for raw in again:
            _, waiting = self.admit(raw, mono_ms, wall_ms)
            if waiting is not None:
                taken.append(waiting)
        return taken

    def committed(self, transactions: tuple[Admitted, ...], keys_changed: bool) -> None:
        """Forget what a block consumed, and what it made inadmissible: by key changes and quotas.

        What no primary can take must not wait here as if the primary were slow.
        """
        for admitted in transactions:
            self.mempool.consume(admitted.transaction)
        changed = self.rules != self.chain.parameters
        self.rules = self.chain.parameters
        if keys_changed or changed or self._any_quota_full():
            self.recheck(strict=changed)

    def _any_quota_full(self) -> bool:
        """Whether an agency with waiting transactions may have no more marks."""
        state, limit = self.chain.state, self.chain.parameters.marks_per_party_max
        return any(count_marks(state, agency) >= limit for agency in self.mempool.agencies())

    def recheck(self, *, strict: bool = False) -> None:
        """Drop waiting transactions whose key is no longer active, whose mark is taken or whose
        agency's quota is used up; with `strict` (other parameters), also those of the far future,
        which are tried once more by this node's clock: it is ahead of the head's.
        """
        gone: list[TxId] = []
        for waiting in self.mempool.all():
            transaction = waiting.admitted.transaction
            try:
                resolve(transaction, self.chain.state)
                check_limits(transaction, self.chain.parameters)
                check_time(transaction, self.chain.header.time_ms, self.chain.parameters)
                check_replay(transaction, self.chain.state, self.chain.header.time_ms)
                marks = count_marks(self.chain.state, waiting.agency)
                check_quota(marks, self.chain.parameters)
            except Inadmissible as error:
                if error.reason in RETRIED:
                    if not strict:  # the head of an idle chain is old
                        continue
                    self.put_off(transaction.raw)
                gone.append(transaction.id)
        self.mempool.remove(gone)

    def expire(self, wall_ms: int) -> None:
        """Drop what no later block can hold, and remember that it expired."""
        for txid in self.mempool.expire(max(wall_ms, self.chain.header.time_ms)):
            self.expired[txid] = None
            if len(self.expired) > EXPIRED_MAX:
                self.expired.popitem(last=False)


def _first_of(error: Inadmissible, txid: TxId) -> TxId:
    """The id to answer with: of a replay, the first transaction's."""
    return error.first if isinstance(error, Replayed) else txid
