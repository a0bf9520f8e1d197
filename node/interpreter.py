"""Carries out the core's effects on the chain, and feeds the answers back. Pure.

Sends, timers and flushes go out as outputs; building, judging and committing happen here.
"""

from __future__ import annotations

from collections import deque
from typing import assert_never

from consensus import effects as fx
from consensus import messages
from consensus.core import Core
from consensus.events import Applied, BlockBuilt, BlockJudged, Event, Now, Work
from consensus.evidence import Evidence
from consensus.messages import Propose, Vote
from consensus.verify import RemoteFault
from ledger.admission import Admitted
from ledger.block import Block, Header, body_matches, transaction_ids
from ledger.certificate import Certificate, Phase
from ledger.crypto import sha256
from ledger.executor import BlockInvalid, Execution
from ledger.ids import BlockHash, Height, TxId, View
from ledger.parameters import Parameters
from ledger.store import Store
from node import wire
from node.bodies import ASK_AGAIN_MS, Bodies, Incomplete, Wanted
from node.catchup import Catchup
from node.chain import BODY_MISMATCH, Candidate, Chain
from node.checkpoints import Checkpoints
from node.intake import RETRIED, Intake
from node.outputs import (
    Accused,
    BlockCommitted,
    BroadcastFrame,
    EpochOpened,
    Flush,
    Output,
    SendFrame,
    Stop,
)
from p2p.wire import BLOCKS, CONSENSUS, Fault, PeerFault

EVIDENCE_POOL_MAX = 16
ACCUSATIONS_MAX = 8
"""Pieces of evidence kept against one member in an epoch: it can make them without end."""


class Interpreter:
    """One node's consensus effects, performed on its chain."""

    def __init__(self, chain: Chain, core: Core, intake: Intake, store: Store) -> None:
        self.now = Now(0, 0)
        self.out: list[Output] = []
        self.catchup = Catchup()
        self._chain = chain
        self._core = core
        self._intake = intake
        self._store = store
        self._bodies = Bodies()
        self._checkpoints = Checkpoints(chain.id)
        self._evidence: dict[bytes, None] = {}
        self._accused: dict[str, int] = {}
        """How much evidence against each member this epoch brought."""
        self._events: deque[Event] = deque()

    def take(self) -> list[Output]:
        """Outputs since the last call."""
        out, self.out = self.out, []
        return out

    def run(self, event: Event) -> None:
        """Feed the core until it is quiet."""
        self._events.append(event)
        while self._events:
            for effect in self._core.handle(self._events.popleft(), self.now):
                self._perform(effect)

    def _perform(self, effect: fx.Effect) -> None:
        match effect:
            case fx.Persist(writes):
                self._store.stage(dict(writes))
                self.out.append(Flush())
            case fx.Send(to, message):
                self.out.append(SendFrame(self._name(to), CONSENSUS, messages.encode(message)))
            case fx.Broadcast(message):
                self.out.append(BroadcastFrame(CONSENSUS, messages.encode(message)))
            case fx.SetTimer() | fx.CancelTimer():
                self.out.append(effect)
            case fx.BuildBlock():
                self._build(effect)
            case fx.FindBlock():
                self._find(effect)
            case fx.JudgeBlock(propose):
                self._complete(propose)
            case fx.Decide(certificate):
                candidate = self._chain.candidate(BlockHash(certificate.block_hash))
                assert candidate is not None
                self._commit(candidate, certificate, local=True)
            case fx.Behind(member, height):
                self.catchup.claim(self._name(member), height)
                self.catch_up()
            case fx.Accuse(evidence):
                self._accuse(evidence)
            case fx.Halt(reason, detail):
                self.out.append(Stop(reason, detail))
            case _:
                assert_never(effect)

    def _name(self, index: int) -> str:
        return self._chain.validators.members[index].name

    def _send(self, peer: str, message: wire.Message) -> None:
        self.out.append(SendFrame(peer, BLOCKS, wire.encode(message)))

    # ----- building and finding

    def _build(self, effect: fx.BuildBlock) -> None:
        me = self._core.replica.me
        assert me is not None
        parameters = self._chain.parameters
        waiting = self._intake.mempool.candidates(
            parameters.block_bytes_max, parameters.block_transactions_max
        )
        candidate = self._chain.build(
            me,
            effect.time_ms,
            [item.admitted for item in waiting],
            list(self._evidence)[:EVIDENCE_POOL_MAX],
            self._intake.mempool,
        )
        dropped = candidate.execution.dropped
        for item in dropped:
            if item.why.reason in RETRIED:  # this node's clock is behind the one that admitted it
                self._intake.put_off(item.admitted.transaction.raw)
        self._intake.mempool.remove(item.admitted.transaction.id for item in dropped)
        self._built(effect.view, effect.height, candidate)

    def _built(self, view: View, height: Height, candidate: Candidate) -> None:
        block = candidate.block
        ids = tuple(bytes(item.transaction.id) for item in candidate.transactions)
        self._events.append(
            BlockBuilt(view, height, candidate.header, block.commit, ids, block.evidence)
        )

    def _find(self, effect: fx.FindBlock) -> None:
        block = self._chain.archive.body(effect.block_hash)
        if block is not None:
            self._rebuild(effect.view, effect.height, block)
            return
        self._bodies.wanted = Wanted(
            effect.view,
            effect.height,
            effect.block_hash,
            effect.holders,
            self.now.mono_ms - ASK_AGAIN_MS,
        )
        self.ask_again()

    def _rebuild(self, view: int, height: int, block: Block) -> None:
        """Execute a certified block for re-proposal."""
        try:
            candidate = self._chain.judge(block, self._waiting(block), self._intake.mempool)
        except BlockInvalid as error:
            # A quorum prepared it, so either we differ from a quorum or more than f are faulty.
            self.out.append(Stop("DIVERGED", f"certified block at height {height}: {error}"))
            return
        self._built(View(view), Height(height), candidate)

    def block_came(self, block: Block) -> None:
        """An uncommitted block that was asked for."""
        wanted = self._bodies.wanted
        if wanted is None or sha256(block.header) != wanted.block_hash:
            return
        if not body_matches(block, Header.decode(block.header)):
            raise RemoteFault("block: the body is not the header's")
        self._bodies.wanted = None
        if wanted.height == self._chain.height + 1:
            self._rebuild(wanted.view, wanted.height, block)
            self.run_pending()

    def run_pending(self) -> None:
        """Feed the core what was queued outside of `run`."""
        if self._events:
            self.run(self._events.popleft())

    # ----- judging

    def _complete(self, propose: Propose) -> None:
        found: dict[bytes, bytes] = {}
        stored = self._chain.archive.body(propose.block_hash)
        if stored is not None:
            found.update(zip(transaction_ids(stored), stored.transactions, strict=True))
        for txid in propose.transaction_ids:
            waiting = self._intake.mempool.get(TxId(txid))
            if waiting is not None:
                found[txid] = waiting.admitted.transaction.raw
        item = Incomplete(propose, found, self.now.mono_ms)
        missing = item.missing()
        if not missing:
            self._judge(item)
            return
        item = self._bodies.begin(propose, found, self.now.mono_ms)
        self._send(self._name(propose.signer), wire.WantBodies(propose.block_hash, missing))

    def bodies_came(self, message: wire.Bodies) -> None:
        """Transactions of a proposal that were asked for."""
        item = self._bodies.receive(message.block_hash, message.transactions)
        if item is None or item.propose.view != self._core.replica.view:
            return  # each block that is executed may push out another one
        if item.propose.height == self._chain.height + 1:
            self._judge(item)
            self.run_pending()

    def _judge(self, item: Incomplete) -> None:
        propose, reason = item.propose, ""
        try:
            block = item.block()
            self._chain.judge(block, self._waiting(block), self._intake.mempool)
        except BlockInvalid as error:
            reason = error.reason
        self._events.append(
            BlockJudged(
                View(propose.view), Height(propose.height), BlockHash(propose.block_hash), reason
            )
        )

    def _waiting(self, block: Block) -> dict[TxId, Admitted]:
        """Parsed forms of the block's transactions that wait here."""
        found: dict[TxId, Admitted] = {}
        for txid in transaction_ids(block):
            waiting = self._intake.mempool.get(txid)
            if waiting is not None:
                found[txid] = waiting.admitted
        return found

    def ask_again(self) -> None:
        """Ask somebody else for what did not come."""
        members = self._chain.validators.members
        me = self._core.replica.me
        others = [i for i in range(len(members)) if i != me]
        for item in self._bodies.due(self.now.mono_ms):
            peer = others[(item.propose.signer + item.asked) % len(others)]
            self._send(self._name(peer), wire.WantBodies(item.propose.block_hash, item.missing()))
        wanted = self._bodies.wanted
        if wanted is not None and self.now.mono_ms - wanted.asked_ms >= ASK_AGAIN_MS:
            holders = [i for i in wanted.holders if i != me] or others
            peer = holders[wanted.asked % len(holders)]
            wanted.asked += 1
            wanted.asked_ms = self.now.mono_ms
            self._send(self._name(peer), wire.WantBlock(wanted.block_hash))

    # ----- committing

    def _commit(self, candidate: Candidate, certificate: Certificate, *, local: bool) -> None:
        chain = self._chain
        epoch = chain.epoch
        full = _nearly_full(candidate, chain.parameters)  # of what it obeyed, not what it voted
        self._drop_losers(candidate)
        chain.commit(candidate, certificate)
        execution = candidate.execution
        self._intake.committed(candidate.transactions, _keys_changed(execution))
        if full:
            self._intake.mempool.excuse(self.now.mono_ms)
        self._bodies.forget(chain.height)
        for data in candidate.block.evidence:
            self._evidence.pop(data, None)
        self.out.append(Flush())
        self.out.append(
            BlockCommitted(
                candidate.header,
                candidate.block_hash,
                certificate,
                tuple(item.transaction.id for item in candidate.transactions),
                tuple(execution.entries),
                local,
            )
        )
        if not self._intake.mempool:
            # What the block did away with must be no reason for the next one.
            self._events.append(Work(pending=False, overdue=False))
        self._events.append(
            Applied(
                candidate.header,
                candidate.block_hash,
                certificate,
                candidate.block.commit,
                len(candidate.transactions),
                execution.next_validators,
            )
        )
        if chain.epoch != epoch:
            self._evidence.clear()
            self._accused.clear()
            self.out.append(EpochOpened(chain.epoch))
        else:
            self._sign_checkpoint()
        self._intake.retry_all(self.now.mono_ms, self.now.wall_ms)

    def _drop_losers(self, winner: Candidate) -> None:
        """Forget the bodies of other blocks that this node voted for at the winner's height. The
        chain knows those executed since the start; the votes know the ones of before a crash."""
        replica = self._core.replica
        statements: list[Vote | Propose] = list(replica.own_votes.values())
        for said in statements + list(replica.own_proposals.values()):
            if said.height == winner.header.height and said.block_hash != winner.block_hash:
                self._store.stage(self._chain.archive.no_body_rows(said.height, said.block_hash))

    def _sign_checkpoint(self) -> None:
        chain, replica = self._chain, self._core.replica
        if chain.height % chain.parameters.checkpoint_interval:
            return
        root = chain.archive.history(chain.height + 1).root()
        self._checkpoints.committed(chain.height, root)
        me = replica.me
        if me is not None and replica.signer is not None:
            message = self._checkpoints.sign(chain.height, root, chain.epoch, me, replica.signer)
            self.checkpoint(message)
            self.out.append(BroadcastFrame(CONSENSUS, messages.encode(message)))

    def checkpoint(self, message: messages.Checkpoint) -> bool:
        """Gather a signature; keep the note when a quorum signed. False: contradicts our root."""
        chain = self._chain
        interval = chain.parameters.checkpoint_interval
        if message.epoch != chain.epoch:
            return True  # the note does not name the epoch, so anybody may have changed it
        if not self._checkpoints.add(message, chain.height, interval):
            return False
        text = self._checkpoints.note(message.height, chain.validators)
        if text is not None:
            self._store.stage(chain.archive.note_row(message.height, text))
            self.out.append(Flush())
        return True

    # ----- catching up

    def catch_up(self) -> None:
        """Ask for committed blocks when somebody claims to have more."""
        request = self.catchup.next_request(self._chain.height, self.now.mono_ms)
        if request is not None:
            self._send(*request)

    def blocks_came(self, peer: str, message: wire.Blocks) -> None:
        """Committed blocks: each is believed for its certificate, executed, compared, applied."""
        before = self._chain.height
        try:
            for block, certificate in message.blocks:
                if certificate.height == self._chain.height + 1:
                    self._take_block(block, certificate)
        finally:
            asked = self.catchup.answered(peer, before, self._chain.height)
        if not asked:
            raise PeerFault(Fault.UNASKED_ANSWER, "blocks that nobody asked for")
        self.catch_up()

    def _take_block(self, block: Block, certificate: Certificate) -> None:
        chain = self._chain
        if certificate.phase is not Phase.COMMIT:
            raise RemoteFault("blocks: not a commit certificate")
        if sha256(block.header) != certificate.block_hash:
            raise RemoteFault("blocks: the certificate is for another block")
        if certificate.epoch != chain.epoch:
            raise RemoteFault("blocks: the certificate is of another epoch")
        chain.authenticator.certificate(certificate)
        try:
            candidate = chain.judge(block, self._waiting(block), self._intake.mempool)
        except BlockInvalid as error:
            if error.reason == BODY_MISMATCH:
                raise RemoteFault("blocks: the body is not the header's") from None
            self.out.append(Stop("DIVERGED", f"committed block {certificate.height}: {error}"))
            return
        self._commit(candidate, certificate, local=False)
        self.run_pending()

    def _accuse(self, evidence: Evidence) -> None:
        data = evidence.encode(self._chain.id)
        member = self._name(evidence.member)
        if data in self._evidence or self._accused.get(member, 0) >= ACCUSATIONS_MAX:
            return
        self._accused[member] = self._accused.get(member, 0) + 1
        if evidence.kind != "view-change" and len(self._evidence) < EVIDENCE_POOL_MAX:
            self._evidence[data] = None
        self._store.stage({b"a" + sha256(data): data})
        self.out.append(Accused(evidence.kind, member))


def _nearly_full(candidate: Candidate, rules: Parameters) -> bool:
    """Whether a block leaves less than half of what `rules` allow: what waits is nobody's fault."""
    size = sum(len(raw) for raw in candidate.block.transactions)
    return (
        len(candidate.transactions) * 2 > rules.block_transactions_max
        or candidate.execution.cost * 2 > rules.block_cost_max
        or size * 2 > rules.block_bytes_max
    )


def _keys_changed(execution: Execution) -> bool:
    """Whether the block registered, retired or revoked a key."""
    return any(key.startswith(b"skey/") for key in execution.state.writes)
