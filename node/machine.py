"""Machine: consensus, mempool, gossip, catch-up and chain as one event -> outputs machine. Pure.

The asyncio runtime and the simulator both drive this; there is no other way in.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import assert_never

from consensus import messages
from consensus.core import Core
from consensus.events import Now, Received, Started, TimerFired, Work
from consensus.repair import is_moot
from consensus.verify import RemoteFault, StaleEpoch
from ledger.ids import MemberIndex
from ledger.store import Store
from node import serving, wire
from node.agenda import Agenda
from node.allowance import BYTES_PER_MS, SIGNATURE_MS, Allowance
from node.chain import Chain
from node.intake import STATELESS, Intake
from node.interpreter import Interpreter
from node.outputs import (
    Answer,
    BroadcastFrame,
    Charge,
    Frames,
    NodeEvent,
    Output,
    PeerDown,
    PeerUp,
    SendFrame,
    Submitted,
    Tick,
)
from p2p import wire as peer_wire
from p2p.gossip import Gossip, Outgoing
from p2p.wire import BLOCKS, CONSENSUS, TRANSACTIONS, Fault, PeerFault

EXPIRE_EVERY_MS = 1_000
HOLD_MS = 1_000
"""A client's batch waits at most this long for its answer."""
HELD_MAX = 64
"""Batches that wait for their answer at once."""
HELD_BYTES_MAX = 16 * 1024 * 1024
"""Bytes of their transactions. A request may bring 8 MiB (`rpc.body_bytes_max`): 64 would be half a
GiB beside a pool of 64 MiB. Two of the largest fit, and 64 batches of 100 small transactions."""
OFFER_AGE_MS = 1_000
"""Transactions that wait this long are offered to every peer again."""


@dataclass(frozen=True, slots=True)
class Patience:
    """When waiting transactions are a reason to complain, and when to take no more for a while."""

    request_ms: int = 4_000
    admit_below: int = 4_000
    """Waiting transactions, two full blocks, from which on batches wait for their answers."""


class Machine:
    """One node without clock, socket or disk."""

    def __init__(
        self,
        chain: Chain,
        core: Core,
        intake: Intake,
        gossip: Gossip,
        store: Store,
        patience: Patience,
    ) -> None:
        self.chain = chain
        self.core = core
        self.intake = intake
        self.mempool = intake.mempool
        self.gossip = gossip
        self.store = store
        self.interpreter = Interpreter(chain, core, intake, store)
        self._patience = patience
        self._allowance = Allowance()
        self._admissions = Allowance()
        self._now = Now(0, 0)
        self._view = (0, 0)
        self._expire_ms = 0
        self._agenda = Agenda(chain)
        self._held: deque[tuple[int, Submitted]] = deque()
        self._held_bytes = 0

    def handle(self, event: NodeEvent, now: Now) -> list[Output]:
        """Take one event and return what the world must do, in order."""
        self._now = now
        self.interpreter.now = now
        match event:
            case Started() | TimerFired():
                self.interpreter.run(event)
            case Frames(peer, frames):
                self._frames(peer, frames)
            case PeerUp(peer):
                self.interpreter.catch_up()
            case PeerDown(peer):
                self.gossip.peer_down(peer)
            case Submitted(transactions, ticket) if len(transactions) == 1:
                self._submitted(transactions, ticket)  # somebody sits and waits for it
            case Submitted():
                self._held.append((now.mono_ms, event))
                self._held_bytes += _size(event)
            case Tick():
                self._tick()
            case _:
                assert_never(event)
        self._admit_held()
        self._update_work()
        return self.interpreter.take()

    def _emit(self, output: Output) -> None:
        self.interpreter.out.append(output)

    # ----- frames

    def _frames(self, peer: str, frames: tuple[tuple[int, bytes], ...]) -> None:
        for channel, payload in frames:
            try:
                if channel == CONSENSUS:
                    self._consensus_frame(peer, payload)
                elif channel == TRANSACTIONS:
                    self._transactions_frame(peer, payload)
                elif channel == BLOCKS:
                    self._blocks_frame(peer, payload)
            except StaleEpoch:
                continue
            except RemoteFault as fault:
                self._emit(Charge(peer, PeerFault(Fault.SIGNATURE_INVALID, str(fault))))
            except PeerFault as fault:
                self._emit(Charge(peer, fault))
            except ValueError as fault:
                self._emit(Charge(peer, PeerFault(Fault.MALFORMED, str(fault))))

    def _consensus_frame(self, peer: str, payload: bytes) -> None:
        message = messages.decode(payload)
        if isinstance(message, messages.Status | messages.Heartbeat):
            # Before the epoch check: a node that slept through an epoch learns from it whom to ask.
            self.interpreter.catchup.claim(peer, message.committed)
        if is_moot(self.core.replica, message):
            return
        cost_ms = SIGNATURE_MS * _signatures(message)
        if cost_ms and not self._allowance.spend(peer, cost_ms, self._now.mono_ms):
            return
        self.chain.authenticator.check(message)
        index = self._index(peer)
        if isinstance(message, messages.Checkpoint) and not self.interpreter.checkpoint(message):
            raise RemoteFault("checkpoint: another root than the one computed here")
        self.interpreter.run(Received(index, message))

    def _index(self, peer: str) -> MemberIndex:
        for index, member in enumerate(self.chain.validators.members):
            if member.name == peer:
                return MemberIndex(index)
        raise StaleEpoch  # an observer or a member of another epoch: no voice here

    def _transactions_frame(self, peer: str, payload: bytes) -> None:
        message = peer_wire.decode_gossip(payload)
        if not self._admissions.spend(peer, 0, self._now.mono_ms):
            return
        actions = self.gossip.received(peer, message, self._now.mono_ms)
        for txid, raw in actions.check:
            outcome, _ = self.intake.admit(
                raw, self._now.mono_ms, self._now.wall_ms, again=True, txid=txid
            )
            if outcome.reason in STATELESS:
                self.gossip.bad(txid)
                self._emit(Charge(peer, PeerFault(Fault.TRANSACTION_INVALID, outcome.reason)))
            elif outcome.reason:
                # Nobody's fault once, but a correct peer passes on what it admitted itself.
                self._admissions.spend(peer, 1, self._now.mono_ms)
                self.gossip.forget(txid)
        for fault in actions.faults:
            self._emit(Charge(peer, fault))
        self._say(actions.replies)

    def _say(self, outgoing: list[Outgoing]) -> None:
        for to, message in outgoing:
            payload = peer_wire.encode(message)
            if to is None:
                self._emit(BroadcastFrame(TRANSACTIONS, payload))
            else:
                self._emit(SendFrame(to, TRANSACTIONS, payload))

    def _blocks_frame(self, peer: str, payload: bytes) -> None:
        message = wire.decode(payload)
        if not self._may_ask(peer, message):
            return
        answer: wire.Message | None = None
        match message:
            case wire.WantBodies():
                answer = serving.bodies(self.chain, message)
            case wire.WantBlock():
                answer = serving.block(self.chain, message)
            case wire.WantBlocks():
                answer = serving.blocks(self.chain, message)
            case wire.Bodies():
                self.interpreter.bodies_came(message)
            case wire.BlockAnswer(block):
                self.interpreter.block_came(block)
            case wire.Blocks():
                self.interpreter.blocks_came(peer, message)
            case _:
                assert_never(message)
        if answer is not None:
            self._emit(SendFrame(peer, BLOCKS, wire.encode(answer)))

    def _may_ask(self, peer: str, message: wire.Message) -> bool:
        """Whether a request is within what the peer may have; answers always are."""
        archive = self.chain.archive
        if isinstance(message, wire.WantBodies | wire.WantBlock):
            size = archive.body_size(message.block_hash)
        elif isinstance(message, wire.WantBlocks) and message.start <= self.chain.height:
            size = wire.ANSWER_BYTES_MAX
        else:
            return True
        return self._allowance.spend(peer, 1 + size // BYTES_PER_MS, self._now.mono_ms)

    # ----- clients and time

    def _admit_held(self) -> None:
        """Answer batches as fast as blocks are made. Who waits for the answer sends no more; a pool
        filled to the brim would refuse what it has parsed, again and again."""
        while self._held:
            since_ms, event = self._held[0]
            if (
                len(self.mempool) >= self._patience.admit_below
                and self._now.mono_ms - since_ms < HOLD_MS
                and len(self._held) <= HELD_MAX
                and self._held_bytes <= HELD_BYTES_MAX
            ):
                return
            self._held.popleft()
            self._held_bytes -= _size(event)
            self._submitted(event.transactions, event.ticket)

    def _submitted(self, transactions: tuple[bytes, ...], ticket: int) -> None:
        outcomes = []
        for raw in transactions:
            outcome, waiting = self.intake.admit(raw, self._now.mono_ms, self._now.wall_ms)
            outcomes.append(outcome)
            if waiting is not None:
                txid = waiting.admitted.transaction.id
                self._say(self.gossip.admitted(txid, raw, self._now.mono_ms))
        self._say(self.gossip.push())
        self._emit(Answer(ticket, tuple(outcomes)))

    def _tick(self) -> None:
        now = self._now
        if now.mono_ms >= self._expire_ms:  # walks the whole pool
            self._expire_ms = now.mono_ms + EXPIRE_EVERY_MS
            self.intake.expire(now.wall_ms)
        self._say(
            self.gossip.tick(
                now.mono_ms,
                lambda: self.mempool.older_than(now.mono_ms, OFFER_AGE_MS, peer_wire.IDS_MAX),
            )
        )
        self.interpreter.ask_again()
        self.interpreter.catch_up()
        if not self.mempool.overdue(now.mono_ms, self._patience.request_ms):
            return
        self.intake.recheck()  # what became inadmissible is nobody's fault
        if self.mempool.overdue(now.mono_ms, self._patience.request_ms):
            self.mempool.excuse(now.mono_ms)
            self.interpreter.run(Work(pending=True, overdue=True))

    def _update_work(self) -> None:
        """Tell the core when there is a reason for a block, or none any more, or a view begins."""
        pending = self._pending_work()
        replica = self.core.replica
        view = (replica.epoch, replica.view)
        if view != self._view:
            self._view = view
            self.mempool.excuse(self._now.mono_ms)
        while pending != replica.work_pending:
            self.interpreter.run(Work(pending=pending, overdue=False))
            # A single validator has committed it by now: the core must not think that more waits.
            pending = self._pending_work()

    def _pending_work(self) -> bool:
        """Whether there is a reason for a block."""
        if len(self.mempool):
            return True
        replica = self.core.replica
        return self._agenda.is_due(self._now, leads=replica.leads(replica.next_height))


def _size(event: Submitted) -> int:
    """Bytes of a batch's transactions."""
    return sum(map(len, event.transactions))


def _signatures(message: messages.Message) -> int:
    """Signatures that a message holds beyond its own, where a member can make such messages
    without end."""
    if isinstance(message, messages.Decided):
        return len(message.certificate.signatures)
    if isinstance(message, messages.ViewChange):
        return len(message.committed.signatures) + len(message.highest.signatures)
    if isinstance(message, messages.NewView):
        return sum(1 + _signatures(change) for change in message.view_changes)
    return 0
