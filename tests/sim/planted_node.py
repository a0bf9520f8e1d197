"""Bugs to plant around the core: interpreter, chain, catch-up, execution."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import msgspec

from consensus import effects as fx
from consensus import proposals, repair
from consensus.events import BlockJudged
from consensus.messages import Propose
from consensus.replica import Replica
from consensus.verify import Authenticator
from ledger import admission
from ledger.block import Block, Header, header_hash
from ledger.certificate import Certificate
from ledger.executor import BlockInvalid, Executor
from ledger.ids import BlockHash, Height, View
from node import serving, wire
from node.catchup import Catchup
from node.chain import Candidate, Chain
from node.interpreter import Interpreter
from node.outputs import Flush
from p2p.gossip import Gossip
from tests.sim.planted import Plant, together


def _vote_before_sync() -> AbstractContextManager[object]:
    inner = Interpreter._perform

    def perform(self: Interpreter, effect: fx.Effect) -> None:
        inner(self, effect)
        if isinstance(effect, fx.Persist):
            self.out.pop()  # its Flush

    return patch.object(Interpreter, "_perform", perform)


def _commit_not_flushed() -> AbstractContextManager[object]:
    inner = Interpreter.run

    def run(self: Interpreter, event: Any) -> None:
        inner(self, event)
        if any(type(output).__name__ == "BlockCommitted" for output in self.out):
            self.out = [output for output in self.out if not isinstance(output, Flush)]

    return patch.object(Interpreter, "run", run)


def _prepare_without_payload() -> AbstractContextManager[object]:
    def complete(self: Interpreter, propose: Propose) -> None:
        self._events.append(
            BlockJudged(
                View(propose.view), Height(propose.height), BlockHash(propose.block_hash), ""
            )
        )

    return patch.object(Interpreter, "_complete", complete)


def _certificate_unchecked_in_sync() -> AbstractContextManager[object]:
    inner = Interpreter._take_block

    def take(self: Interpreter, block: Block, certificate: Certificate) -> None:
        with patch.object(Authenticator, "certificate", lambda self, certificate: None):
            inner(self, block, certificate)

    return patch.object(Interpreter, "_take_block", take)


def _claimed_height_believed() -> AbstractContextManager[object]:
    """A claim of more blocks keeps a node from voting until it has them."""
    inner = proposals.on_propose

    believed: dict[int, int] = {}

    def on_status(replica: Replica, sender: Any, status: Any) -> None:
        believed[id(replica)] = max(believed.get(id(replica), 0), status.committed)
        inner_status(replica, sender, status)

    def on_propose(replica: Replica, sender: int, propose: Propose) -> None:
        if propose.height > believed.get(id(replica), 0):
            inner(replica, sender, propose)

    inner_status = repair.on_status
    return together(
        patch.object(repair, "on_status", on_status),
        patch.object(proposals, "on_propose", on_propose),
    )


def _parent_unchecked() -> AbstractContextManager[object]:
    """No in-order rule: the block may extend any block."""
    inner = Chain.judge

    def acceptable(replica: Replica, propose: Propose) -> bool:
        return propose.signer == replica.primary(Height(propose.height))

    def judge(self: Chain, block: Block, known: Any, known_valid: Any) -> Candidate:
        header = Header.decode(block.header)
        right = msgspec.structs.replace(header, parent=self.block_hash.hex())
        made = inner(
            self, msgspec.structs.replace(block, header=right.encode()), known, known_valid
        )
        if right == header:
            return made
        block_hash = header_hash(header)
        return self._keep(Candidate(block, header, block_hash, made.transactions, made.execution))

    return together(
        patch.object(proposals, "_acceptable", acceptable), patch.object(Chain, "judge", judge)
    )


def _header_not_compared() -> AbstractContextManager[object]:
    def judge(self: Chain, block: Block, known: Any, known_valid: Any) -> Candidate:
        header = Header.decode(block.header)
        done = self.candidate(header_hash(header))
        if done is not None:
            return done
        self._check_frame(block, header)
        transactions = self._parse(block, known)
        execution = self._execute(
            header.time_ms, transactions, block.evidence, known_valid, select=False
        )
        return self._keep(Candidate(block, header, header_hash(header), transactions, execution))

    return patch.object(Chain, "judge", judge)


def _frame_rule_off(reason: str) -> AbstractContextManager[object]:
    inner = Chain._check_frame

    def check(self: Chain, block: Block, header: Header) -> None:
        try:
            inner(self, block, header)
        except BlockInvalid as error:
            if error.reason != reason:
                raise

    return patch.object(Chain, "_check_frame", check)


def _evidence_unverified() -> AbstractContextManager[object]:
    return patch.object(Chain, "_check_evidence", lambda self, evidence: None)


def _time_not_rising() -> AbstractContextManager[object]:
    return _frame_rule_off("TIME_NOT_RISING")


def _replays_allowed() -> AbstractContextManager[object]:
    inner = Executor._check

    def check(self: Executor, run: Any, tx: Any) -> Any:
        with patch.object(admission, "check_replay", lambda tx, state, time_ms: None):
            return inner(self, run, tx)

    return patch.object(Executor, "_check", check)


def _expiry_off() -> AbstractContextManager[object]:
    return patch.object(admission, "check_time", lambda tx, time_ms, parameters: None)


def _signature_off() -> AbstractContextManager[object]:
    return patch.object(admission, "check_signature", lambda tx, public_key, verifier: None)


def _tip_not_fetched() -> AbstractContextManager[object]:
    inner = Interpreter.ask_again

    def ask_again(self: Interpreter) -> None:
        self._bodies.wanted = None
        inner(self)

    return patch.object(Interpreter, "ask_again", ask_again)


def _bodies_not_asked_elsewhere() -> AbstractContextManager[object]:
    return together(
        patch.object(serving, "bodies", lambda chain, request: None),
        patch.object(Gossip, "tick", lambda self, now_ms, pending: []),
        patch.object(Gossip, "admitted", lambda self, tx_id, raw, now_ms: []),
    )


def _one_peer_for_ever() -> AbstractContextManager[object]:
    def next_request(self: Catchup, head: int, now_ms: int) -> Any:
        if self.asked and now_ms - self.asked_ms < 2_000:
            return None
        ahead = sorted(peer for peer, height in self.claims.items() if height > head)
        if not ahead:
            return None
        self.asked, self.asked_ms = max(ahead, key=self.claims.__getitem__), now_ms
        return self.asked, wire.WantBlocks(head + 1, 64)

    def answered(self: Catchup, peer: str, head_before: int, head_after: int) -> bool:
        self.asked = ""
        return True

    return together(
        patch.object(Catchup, "next_request", next_request),
        patch.object(Catchup, "answered", answered),
    )


NODE: dict[str, Plant] = {
    "vote before sync": _vote_before_sync,
    "commit said before sync": _commit_not_flushed,
    "PREPARE without payload": _prepare_without_payload,
    "sync takes a certificate unchecked": _certificate_unchecked_in_sync,
    "sync believes a claimed height": _claimed_height_believed,
    "no in-order rule": _parent_unchecked,
    "header not compared with the execution": _header_not_compared,
    "evidence not verified": _evidence_unverified,
    "block time not rising": _time_not_rising,
    "replays allowed in a block": _replays_allowed,
    "expiry not checked in a block": _expiry_off,
    "transaction signature not checked": _signature_off,
    "tip's body not fetched": _tip_not_fetched,
    "transactions neither gossiped nor served": _bodies_not_asked_elsewhere,
    "catch-up asks one peer for ever": _one_peer_for_ever,
}
