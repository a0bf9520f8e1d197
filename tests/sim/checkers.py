"""The invariants of docs/spec/protocol.md, watched from outside the nodes.

They believe nothing that a node computes about itself: certificates are verified here, quorums are
counted here, and what was said is compared with what lay on the disk at that moment.
"""

from __future__ import annotations

import json
from base64 import b64decode, urlsafe_b64decode
from typing import TYPE_CHECKING, Any

import msgspec

from consensus.messages import Message, NewView, Propose, ViewChange, Vote
from consensus.records import HIGHEST, VIEW, ViewRecord, propose_key, vote_key
from consensus.timeouts import PRECISION_MS
from ledger.certificate import Certificate, Phase
from ledger.crypto import sha256
from ledger.ids import TxId
from ledger.merkle import root as merkle_root
from node.archive import height_key
from node.outputs import BlockCommitted, Outcome
from p2p.wire import CONSENSUS, Fault, PeerFault
from tests.sim.locks import Locks

if TYPE_CHECKING:
    from tests.sim.node import SimNode
    from tests.sim.world import World

_DECODER: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
EARLY_MAX = 64
VIEW_STEPS_MAX = 16
"""Views that a network may need after it healed, with f members faulty for ever."""


class Violation(AssertionError):
    """An invariant does not hold."""


class Checkers:
    """Everything that is checked while a run goes on, and at its end."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.headers: dict[int, Any] = {}
        """Height -> header, as the first correct node committed it."""
        self.hashes: dict[int, bytes] = {}
        self.transactions: dict[bytes, int] = {}
        """Id -> height."""
        self.marks: dict[tuple[str, str], bytes] = {}
        self.views_max: dict[str, int] = {}
        self._heads: dict[str, int] = {}
        """Node -> height of the last block it acknowledged."""
        self._said: dict[tuple[str, str, int, int, int], bytes] = {}
        """(node, kind, epoch, view, height) -> what was signed."""
        self._left: dict[str, tuple[int, int]] = {}
        """Node -> (epoch, view) of its last VIEW-CHANGE."""
        self._stand: dict[str, tuple[int, int]] = {}
        self._view_top: dict[int, int] = {}
        """Epoch -> highest view that a correct member asked for."""
        self._checked: dict[str, int] = {}
        """Node -> height at which its state root was compared."""
        self._views_at_heal = 0
        self._schedules: dict[int, bytes] = {}
        """Height -> the leaders that follow from the chain up to it."""
        self._locks = Locks(world, self)

    def fail(self, rule: str, detail: str) -> None:
        """An invariant is broken."""
        raise Violation(f"{rule}: {detail}")

    def require(self, rule: str, holds: bool, detail: str) -> None:
        """Fail unless `holds`."""
        if not holds:
            self.fail(rule, detail)

    def describe(self, channel: int, payload: bytes) -> str:
        """A frame in words, for the trace."""
        if channel != CONSENSUS:
            return f"channel {channel}, {len(payload)} bytes {payload[:14]!r}"
        message = _DECODER.decode(payload)
        parts = [type(message).__name__]
        for name in ("epoch", "phase", "view", "height", "committed", "installed", "signer"):
            value = getattr(message, name, None)
            if isinstance(value, Certificate):
                value = f"({value.view},{value.height})"
            if value is not None:
                parts.append(f"{name}={value}")
        digest = getattr(message, "block_hash", b"")
        return " ".join(parts) + f" {digest.hex()[:8]}"

    # ----- speech

    def said(self, node: SimNode, channel: int, payload: bytes) -> None:
        """A node hands a frame to the network."""
        if channel != CONSENSUS or not node.correct:
            return
        message = _DECODER.decode(payload)
        me = node.machine.core.replica.me
        if isinstance(message, Propose | Vote) and message.signer == me:
            self._said_statement(node, message)
        elif isinstance(message, ViewChange) and message.signer == me:
            self._said_view_change(node, message)
        elif isinstance(message, NewView) and message.signer == me:
            self._once(node, "new-view", message.epoch, message.view, 0, payload)

    def _once(
        self, node: SimNode, kind: str, epoch: int, view: int, height: int, what: bytes
    ) -> None:
        key = (node.name, kind, epoch, view, height)
        before = self._said.setdefault(key, what)
        self.require("S6 non-equivocation", before == what, f"{key}")

    def _said_statement(self, node: SimNode, message: Propose | Vote) -> None:
        kind = "propose" if isinstance(message, Propose) else message.phase.value
        self._once(node, kind, message.epoch, message.view, message.height, message.block_hash)
        left = self._left.get(node.name, (0, 0))
        if left[0] == message.epoch:
            self.require("S10 no vote below VIEW-CHANGE", message.view >= left[1], f"{message}")
        if message.height <= node.height:
            return  # committed since, in this very batch: its record went with the commit
        key = propose_key(message) if isinstance(message, Propose) else vote_key(message)
        record = node.disk.durable_get(key)
        self.require("S7 durable before send", record is not None, f"{node.name} {kind}")
        body = node.disk.durable_get(height_key(b"B", message.height) + message.block_hash)
        self.require("S7 block durable before vote", body is not None, f"{node.name} {kind}")
        if kind == "commit":
            self._locks.said_commit(node, message)
        if kind == "prepare":
            self._locks.said_prepare(node, message)
            self._time(node, message)

    def _said_view_change(self, node: SimNode, message: ViewChange) -> None:
        self._once(node, "view-change", message.epoch, message.view, 0, message.signature)
        before = self._left.get(node.name, (0, 0))
        after = (message.epoch, message.view)
        self.require("S10 view monotone", after >= before, f"{node.name} {before} {after}")
        self._left[node.name] = after
        top = self._view_top.get(message.epoch, 0)
        # f members can pull nobody: some correct member takes each step by its own timer.
        self.require("S10 no leap", message.view <= top + 1, f"{node.name} {top} {after}")
        self._view_top[message.epoch] = max(top, message.view)
        record = node.disk.durable_get(VIEW)
        self.require("S7 durable before send", record is not None, f"{node.name} view-change")
        assert record is not None
        saved = msgspec.msgpack.decode(record, type=ViewRecord)
        self.require(
            "S7 durable before send",
            (saved.epoch, saved.view) >= after,
            f"{node.name} view-change {after}",
        )

    def _time(self, node: SimNode, message: Propose | Vote) -> None:
        """S15, upper side: no correct node prepares a fresh block from the future."""
        candidate = node.machine.chain.candidate(message.block_hash)  # type: ignore[arg-type]  # bytes
        plan = node.machine.core.replica.plan
        if candidate is None or (plan is not None and plan.tip == message.block_hash):
            return
        if candidate.header.proposer == node.machine.core.replica.me:
            return  # its own clock is the one that may be wrong
        limit = node.now().wall_ms + PRECISION_MS + self._world.options.skew_ms
        self.require("S15 time", candidate.header.time_ms <= limit + 60_000, f"{node.name}")

    # ----- after each turn

    def turned(self, node: SimNode) -> None:
        """A node handled its events; nothing was flushed or said yet."""
        if not node.correct:
            return
        replica = node.machine.core.replica
        self.require("no halt", not replica.halted, f"{node.name} {replica.halted}")
        stand = (replica.epoch, replica.view)
        before = self._stand.get(node.name, (0, 0))
        if stand != before:
            self.require("S10 view monotone", stand > before, f"{node.name} {before} {stand}")
            self._stand[node.name] = stand
            self.views_max[node.name] = max(self.views_max.get(node.name, 0), replica.view)
            self._world.record(f"{node.name} at view {stand}")
        chain = node.machine.chain
        if self._checked.get(node.name) != chain.height:
            self._checked[node.name] = chain.height
            root = chain.state.root.hex()
            self.require("S5 state", root == chain.header.state_root, f"{node.name} {chain.height}")
            leaders = replica.schedule.encode()
            known = self._schedules.setdefault(chain.height, leaders)
            self.require("L5 one schedule", known == leaders, f"{node.name} {chain.height}")
        window = replica.parameters.window
        for height in replica.slots:
            self.require(
                "S11 window",
                replica.head.height < height <= replica.head.height + window,
                f"{node.name} holds a slot of height {height}",
            )
        for queue in replica.early.values():
            self.require("S11 early messages", len(queue) <= EARLY_MAX, node.name)
        self._locks.turned(node)

    # ----- commits

    def committed(self, node: SimNode, block: BlockCommitted) -> None:
        """A node acknowledges a durable block."""
        if not node.correct:
            return
        height = block.header.height
        last = self._heads.get(node.name, 0)
        self.require("S2 chain", height == last + 1, f"{node.name} {last} -> {height}")
        self._heads[node.name] = height
        known = self.hashes.get(height)
        if known is None:
            self._first(node, block)
        else:
            self.require("S1 agreement", known == block.block_hash, f"height {height}")
        self.certificate(block.certificate, block.header.epoch, block.block_hash)
        self._locks.committed(node, block)

    def _first(self, node: SimNode, block: BlockCommitted) -> None:
        header, height = block.header, block.header.height
        parent = self.headers.get(height - 1)
        if parent is not None:
            self.require(
                "S2 chain", header.parent == self.hashes[height - 1].hex(), f"height {height}"
            )
            self.require("S15 time", header.time_ms > parent.time_ms, f"height {height}")
            closing = parent.validators_hash != parent.next_validators_hash
            self.require("S14 epoch", header.epoch == parent.epoch + closing, f"{height}")
            self.require(
                "S14 epoch", header.validators_hash == parent.next_validators_hash, f"{height}"
            )
        self.headers[height] = header
        self.hashes[height] = block.block_hash
        self._world.record(
            f"{node.name} commits {height} {block.block_hash.hex()[:8]} "
            f"view {block.certificate.view} transactions {len(block.ids)}"
        )
        raws = {}
        body = node.machine.chain.archive.body(block.block_hash)
        assert body is not None
        for raw in body.transactions:
            raws[bytes(sha256(raw))] = raw
        for txid in block.ids:
            self.require("S3 once", bytes(txid) not in self.transactions, txid.hex())
            why = self._world.workload.bad.get(bytes(txid))
            self.require("S3 admissible", why is None, f"{txid.hex()}: {why}")
            self.transactions[bytes(txid)] = height
            claims = _claims(raws[bytes(txid)])
            self.require("S3 chain id", claims["aud"] == self._world.kit.genesis.chain, "")
            self.require("S3 expiry", claims["exp"] * 1000 > header.time_ms, f"{height}")
            mark = (claims["iss"], claims["jti"])
            self.require("S3 replay", mark not in self.marks, f"{mark}")
            self.marks[mark] = bytes(txid)
        self._convicts(body.evidence)

    def certificate(self, certificate: Certificate, epoch: int, block_hash: bytes) -> None:
        """S4, S14: a quorum of the epoch's set signed identical bytes."""
        name = f"height {certificate.height}"
        self.require("S4 certificate", certificate.block_hash == block_hash, name)
        self.require("S14 epoch", certificate.epoch == epoch, name)
        self.require("S4 certificate", certificate.phase is Phase.COMMIT, name)
        keys = self._locks.keys(epoch)
        n = len(keys)
        f = (n - 1) // 3
        text = (
            f"muniment-vote-v1\n{self._world.kit.genesis.chain}\n{epoch}\ncommit\n"
            f"{certificate.view}\n{certificate.height}\n{block_hash.hex()}\n"
        ).encode()
        signers = {
            member
            for member, signature in certificate.signatures
            if self._world.kit.verifier.verify(keys[member], text, signature)
        }
        self.require("S4 certificate", 2 * len(signers) >= n + f + 1, f"{name}: {signers}")

    def _convicts(self, evidence: tuple[bytes, ...]) -> None:
        for data in evidence:
            document = json.loads(data)
            key = self._locks.keys(document["epoch"])[document["member"]]
            self.require("S16 evidence", key in self._guilty(), f"{document['member']}")

    def _guilty(self) -> list[bytes]:
        return [
            node.signer.public_key
            for node in self._world.nodes.values()
            if not node.correct and node.signer is not None
        ]

    # ----- accusations and stops

    def charged(self, node: SimNode, peer: str, fault: PeerFault) -> None:
        """A correct node charges a correct one only for an answer that came too late."""
        self._world.counts["charge"] += 1
        self._world.record(f"{node.name} charges {peer}: {fault}")
        innocent = node.correct and self._world.nodes[peer].correct
        if innocent and fault.reason is not Fault.UNASKED_ANSWER:
            self.fail("S16 charge", f"{node.name} charges {peer}: {fault}")

    def accused(self, node: SimNode, kind: str, member: str) -> None:
        """Evidence found by a correct node is against the guilty."""
        self._world.counts["evidence"] += 1
        self._world.record(f"{node.name} accuses {member}: {kind}")
        if node.correct:
            self.require("S16 evidence", not self._world.nodes[member].correct, f"{member} {kind}")

    def answered(self, node: SimNode, outcomes: tuple[Outcome, ...]) -> None:
        """A node answers a client: what it takes is not inadmissible for ever."""
        for outcome in outcomes:
            if node.correct and outcome.status == "accepted" and outcome.id is not None:
                why = self._world.workload.bad.get(bytes(outcome.id))
                self.require("S3 admission", why is None, f"{node.name} takes {why}")

    def stopped(self, node: SimNode, why: str) -> None:
        """With at most f faulty nodes nobody has a reason to stop."""
        self._world.record(f"{node.name} stops: {why}")
        if node.correct:
            self.fail("no safety stop", f"{node.name} {why}")

    def restarted(self, node: SimNode) -> None:
        """S2 and S18 over a crash: nothing acknowledged is gone, nothing else appeared."""
        if not node.correct:
            return
        chain = node.machine.chain
        last = self._heads.get(node.name, 0)
        self.require("S18 durable commit", chain.height >= last, f"{node.name} lost {last}")
        for height in range(last + 1, chain.height + 1):  # durable, but not acknowledged
            block_hash = chain.archive.block_hash(height)
            certificate = chain.archive.certificate(height)
            header = chain.archive.header(height)
            body = chain.archive.block(height)
            assert block_hash is not None and certificate is not None  # noqa: PT018
            assert header is not None and body is not None  # noqa: PT018
            ids = tuple(TxId(sha256(raw)) for raw in body.transactions)
            block = BlockCommitted(
                header, block_hash, certificate, ids, chain.archive.entries(height), local=False
            )
            self.committed(node, block)
        self._locks.restarted(node)

    def forget(self, node: SimNode) -> None:
        """A node's disk is lost: it begins at genesis."""
        for table in (self._heads, self._left, self._stand, self._checked):
            table.pop(node.name, None)
        self._locks.restarted(node)

    def healed(self) -> None:
        """The liveness phase begins."""
        self._views_at_heal = sum(self._view_top.values())

    # ----- the end

    def finish(self) -> None:
        """S5, S12, S13 and S18 over the disks that are left."""
        steps = sum(self._view_top.values()) - self._views_at_heal
        self.require("L2 view changes", steps <= VIEW_STEPS_MAX, f"{steps} views after the heal")
        self._world.workload.check_bound(self.transactions)
        exports: dict[int, dict[bytes, bytes]] = {}
        for node in self._world.healed_nodes():
            for height, block_hash in self.hashes.items():
                if height <= node.height:
                    stored = node.machine.chain.archive.block_hash(height)
                    self.require("S18 no rollback", stored == block_hash, f"{node.name} {height}")
            state = dict(node.disk.scan(b"s"))
            known = exports.setdefault(node.height, state)
            self.require("S5 state", known == state, f"{node.name} at {node.height}")
            self._notes(node)
        for height, header in self.headers.items():
            if header.validators_hash != header.next_validators_hash:
                self._locks.changes(height)

    def _notes(self, node: SimNode) -> None:
        """S13: every stored checkpoint note is of the tree over the agreed hashes."""
        interval = self._world.options.checkpoint_interval
        leaves = [node.machine.chain.genesis_block]
        for height in range(1, node.height + 1):
            leaves.append(self.hashes[height])  # type: ignore[arg-type]  # bytes
            if height % interval == 0:
                note = node.machine.chain.archive.note(height)
                if note is None:
                    continue
                self._world.counts["notes"] += 1
                right = _note_root(note) == merkle_root(leaves).hex()
                n = len(self._locks.keys(self.headers[height].epoch))
                right = right and 2 * note.count("\n\u2014 ") >= n + (n - 1) // 3 + 1
                self.require("S13 checkpoint", right, f"{node.name} {height}")

    def highest(self, node: SimNode) -> Certificate | None:
        """The highest certificate on a node's disk."""
        record = node.disk.durable_get(HIGHEST)
        return None if record is None else msgspec.msgpack.decode(record, type=Certificate)


def _claims(raw: bytes) -> Any:
    """The payload of a compact JWS."""
    payload = raw.split(b".")[1]
    return json.loads(urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))


def _note_root(note: str) -> str:
    """Hex of the root in the third line of a note."""
    return b64decode(note.split("\n")[2]).hex()
