"""The node as its clients and operators see it: waiters, status, counts, one log line an event."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from consensus.events import Now
from ledger import canonical
from ledger.executor import DEFECT
from ledger.ids import TxId
from node.chain import Chain
from node.config import Config
from node.feed import Feed
from node.machine import Machine
from node.metrics import Counts, Metrics, PeerGauge, Snapshot
from node.outputs import Accused, Answer, BlockCommitted, EpochOpened, Output, Stop
from node.runtime import Runtime
from node.verifier import CountingVerifier
from p2p.stats import PeerStatus
from p2p.transport import Transport

SOFTWARE = "muniment 0.1.0"
_DEFECT: Final = DEFECT.encode("ascii")
"""A result may hold the same text: the entry's reason decides."""
SYNCING_BEHIND = 2
"""Blocks behind from which a node counts as syncing."""
SUBMITTED_MAX = 50_000
CHANNELS = ("control", "consensus", "transactions", "blocks")


@dataclass(slots=True)
class Waiters:
    """Clients that wait for a transaction's fate."""

    limit: int
    count: int = 0
    by_id: dict[TxId, list[asyncio.Future[None]]] = field(default_factory=dict)

    def add(self, txid: TxId) -> asyncio.Future[None] | None:
        """A future that is done when `txid` is in a block; None when too many wait."""
        if self.count >= self.limit:
            return None
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.by_id.setdefault(txid, []).append(future)
        self.count += 1
        return future

    def remove(self, txid: TxId, future: asyncio.Future[None]) -> None:
        """Stop waiting."""
        futures = self.by_id.get(txid)
        if futures is not None and future in futures:
            futures.remove(future)
            self.count -= 1
            if not futures:
                del self.by_id[txid]

    def wake(self, txid: TxId) -> None:
        """`txid` is in a durable block."""
        for future in self.by_id.pop(txid, ()):
            self.count -= 1
            if not future.done():
                future.set_result(None)


class NodeService:
    """Born whole by the daemon; also the runtime's observer."""

    def __init__(
        self, config: Config, machine: Machine, verifier: CountingVerifier, not_voting: str
    ) -> None:
        self.config = config
        self.machine = machine
        self.chain: Chain = machine.chain
        self.waiters = Waiters(config.rpc.waiters_max)
        self.feed = Feed(self.chain)
        self.metrics = Metrics(self.snapshot)
        self.counts: Counts = self.metrics.counts
        self.stopping = False
        self._not_voting = not_voting
        self._verifier = verifier
        self._log = structlog.get_logger("node")
        self.chain.report_defects(self._tell_defect)
        for member in self.chain.validators.members:
            self.counts.accusations[member.name] = 0  # a series that is there can be alerted on
        self._submitted: OrderedDict[TxId, float] = OrderedDict()
        self._last_signed: dict[str, int] = {}
        self._last_block_ms = self.chain.header.time_ms
        self._view = (machine.core.replica.epoch, machine.core.replica.view)
        self.runtime: Runtime | None = None
        self.transport: Transport | None = None

    # ----- the runtime's observer

    def performed(self, output: Output) -> None:
        """Count, log and wake whoever waits."""
        if isinstance(output, BlockCommitted):
            self._committed(output)
        elif isinstance(output, Answer):
            self._answered(output)
        elif isinstance(output, Accused):
            counts = self.counts.accusations
            counts[output.member] = counts.get(output.member, 0) + 1
            self._log.warning("evidence found", kind=output.kind, member=output.member)
        elif isinstance(output, EpochOpened):
            self._log.info("epoch opened", epoch=output.epoch)
        elif isinstance(output, Stop):
            self._log.error("safety stop", reason=output.reason, detail=output.detail)

    def _tell_defect(self, error: Exception) -> None:
        """Where the rules failed; told each time that a block with it is executed here."""
        self._log.error(
            "the rules failed: please report this", error=repr(error), where=traceback.format_exc()
        )

    def _count(self, entries: Sequence[bytes], transactions: int) -> int:
        """What became of a block's transactions; how many were refused."""
        refused = sum(
            b'"status":"refused"' in entry and b'"kind":"tx"' in entry for entry in entries
        )
        self.counts.transactions_refused += refused
        self.counts.transactions_committed += transactions - refused
        for entry in entries:
            if _DEFECT in entry:
                self._report_defect(canonical.decode(entry))
        return refused

    def _report_defect(self, entry: dict[str, Any]) -> None:
        """An operation or timer that the rules failed on: everybody refused it, somebody must mend
        the rules."""
        if entry.get("reason") != DEFECT:
            return
        self.counts.defects += 1
        self._log.error(
            "the rules failed on this: please report it",
            height=entry["height"],
            tx=entry.get("tx", ""),
            record=entry.get("record", ""),
            timer=entry.get("name", ""),
        )

    def _committed(self, block: BlockCommitted) -> None:
        counts, header = self.counts, block.header
        if block.local:
            counts.blocks_committed += 1
        else:
            counts.blocks_caught_up += 1
        refused = self._count(block.entries, len(block.ids))
        self.metrics.block_interval.observe(max(0, header.time_ms - self._last_block_ms) / 1000)
        self._last_block_ms = header.time_ms
        members = self.chain.sets.get(self.chain.epoch, self.chain.validators).members
        for index, _ in block.certificate.signatures:
            if header.epoch == self.chain.epoch:
                self._last_signed[members[index].name] = header.height
        now = time.monotonic()
        latency = self.metrics.commit_latency
        for txid in block.ids:
            since = self._submitted.pop(txid, None)
            if since is not None:
                latency.observe(now - since)
            if self.waiters.by_id:
                self.waiters.wake(txid)
        self.feed.wake()
        self._log.info(
            "block committed",
            height=header.height,
            transactions=len(block.ids),
            refused=refused,
            view=block.certificate.view,
            proposer=header.proposer,
            caught_up=not block.local,
        )

    def _answered(self, answer: Answer) -> None:
        now = time.monotonic()
        rejected = self.counts.rejected
        for outcome in answer.outcomes:
            if outcome.status == "accepted" and outcome.id is not None:
                self.counts.admitted += 1
                self._submitted[outcome.id] = now
            elif outcome.reason:
                rejected[outcome.reason] = rejected.get(outcome.reason, 0) + 1
        while len(self._submitted) > SUBMITTED_MAX:
            self._submitted.popitem(last=False)

    def turn(self, events: int, seconds: float) -> None:
        """One turn of the runtime is over."""
        self.counts.turns += 1
        self.counts.events += events
        self.metrics.turn.observe(seconds)
        replica = self.machine.core.replica
        view = (replica.epoch, replica.view)
        if view != self._view:
            before = self._view[1] if view[0] == self._view[0] else 0
            self.counts.view_changes += max(0, view[1] - before)
            self._log.info("view", epoch=view[0], view=view[1], installed=replica.installed)
            self._view = view

    def flushed(self, seconds: float) -> None:
        """A synced batch took `seconds`."""
        self.counts.flushes += 1
        self.metrics.flush.observe(seconds)

    # ----- status

    @staticmethod
    def now() -> Now:
        """Both clocks."""
        return Now(time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000)

    @property
    def behind(self) -> int:
        """Blocks that peers claim beyond the head, one honest peer at least among them."""
        faults = self.chain.validators.f
        return self.machine.interpreter.catchup.behind(self.chain.height, faults)

    @property
    def syncing(self) -> bool:
        """Whether this node is catching up."""
        return self.behind >= SYNCING_BEHIND

    def not_voting_reason(self) -> str:
        """Empty when this node may vote."""
        replica = self.machine.core.replica
        if replica.halted:
            return replica.halted
        if self._not_voting:
            return self._not_voting
        return "" if replica.me is not None else "NOT_A_MEMBER: the key is not in the validator set"

    def leader(self) -> int | None:
        """Member index of the next block's primary, None during a view change."""
        replica = self.machine.core.replica
        return replica.primary(replica.next_height) if replica.installed else None

    def peers(self) -> list[PeerStatus]:
        """What the transport knows of the others."""
        return [] if self.transport is None else self.transport.peers()

    def readiness(self) -> list[str]:
        """Why this node is not ready; empty when it is."""
        reasons: list[str] = []
        needed = self.chain.validators.quorum - 1
        connected = sum(1 for peer in self.peers() if peer.up)
        if self.stopping:
            reasons.append("STOPPING")
        if connected < needed:
            reasons.append(f"FEW_PEERS: {connected} connected, {needed} needed")
        if self.syncing:
            reasons.append(f"SYNCING: {self.behind} blocks behind")
        if self.machine.core.replica.halted:
            reasons.append(self.machine.core.replica.halted)
        return reasons

    def snapshot(self) -> Snapshot:
        """Gauges for the metrics."""
        replica, chain = self.machine.core.replica, self.chain
        stats = None if self.transport is None else self.transport.stats
        leader = self.leader()
        return Snapshot(
            height=chain.height,
            view=replica.view,
            epoch=chain.epoch,
            validators=len(chain.validators),
            quorum=chain.validators.quorum,
            voting=not self.not_voting_reason(),
            leader=leader is not None and leader == replica.me,
            behind=self.behind,
            last_block_time_ms=chain.header.time_ms,
            mempool_transactions=len(self.machine.mempool),
            mempool_bytes=self.machine.mempool.bytes,
            last_signed={
                member.name: self._last_signed.get(member.name, 0)
                for member in chain.validators.members
            },
            peers=tuple(
                PeerGauge(
                    peer.name,
                    peer.up,
                    None if peer.rtt_ms is None else peer.rtt_ms / 1000,
                    peer.pending_bytes,
                )
                for peer in self.peers()
            ),
            received_bytes=_by_channel(stats.bytes_received if stats else ()),
            sent_bytes=_by_channel(stats.bytes_sent if stats else ()),
            dropped_frames=_by_channel(stats.frames_dropped if stats else ()),
            handshake_failures=dict(stats.handshake_failures) if stats else {},
            faults=dict(stats.faults) if stats else {},
            store_bytes=self.machine.store.size(),
            verifications=self._verifier.count,
            websockets=len(self.feed.listeners),
            subscriptions=self.feed.subscriptions,
            version=SOFTWARE,
            chain=chain.id,
            name=self.config.node.name,
        )


def _by_channel(values: list[int] | tuple[int, ...]) -> dict[str, int]:
    return dict(zip(CHANNELS, values, strict=False))
