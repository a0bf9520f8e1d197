"""A simulated node: the production machine, a disk, timers and a clock of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consensus.effects import CancelTimer, SetTimer
from consensus.events import Now, Started, Timer, TimerFired
from consensus.timeouts import Timeouts
from ledger.crypto import Signer
from ledger.ids import TxId
from node.chain import Chain
from node.daemon import build_machine, build_replica
from node.machine import Machine, Patience
from node.mempool import Limits
from node.outputs import (
    Accused,
    Answer,
    BlockCommitted,
    BroadcastFrame,
    Charge,
    Flush,
    NodeEvent,
    Output,
    PeerDown,
    PeerUp,
    SendFrame,
    Stop,
    Submitted,
    Tick,
)
from node.verifier import CountingVerifier
from tests.builders import GENESIS_TIME_MS
from tests.sim.disk import SimDisk

if TYPE_CHECKING:
    from tests.sim.world import World

EVENTS_PER_TURN_MAX = 512


class SimNode:
    """One node of the network; dead until `start`."""

    correct = True

    def __init__(self, world: World, number: int, name: str, signer: Signer) -> None:
        self.world = world
        self.number = number
        self.name = name
        self.signer: Signer | None = signer
        self.disk = SimDisk(world.kit.disk)
        self.incarnation = 0
        self.up = False
        self.stopped = ""
        self.doom = ""
        """How the node crashes at its next flush; empty when it does not."""
        self.skew_ms = 0
        self.drift_ppm = 0
        self.lag_us = 0
        """How long the node takes to get to waiting events."""
        self.machine: Machine
        self._timers: dict[Timer, int] = {}
        self._waiting: list[tuple[NodeEvent, bool]] = []
        self._scheduled = False

    # ----- life

    def start(self) -> None:
        """Boot from the disk."""
        assert not self.up
        world = self.world
        chain = Chain(self.disk, world.kit.genesis, world.kit.verifier)
        timeouts = Timeouts(block_interval_max_ms=chain.parameters.block_interval_max_ms)
        replica = build_replica(chain, self.signer, timeouts, self.disk)
        self.machine = build_machine(
            chain,
            self.disk,
            replica,
            CountingVerifier(world.kit.verifier),
            Limits(),
            Patience(),
        )
        self.incarnation += 1
        self.up = True
        self.doom = ""
        self._timers.clear()
        self._waiting.clear()
        self._scheduled = False
        self.post(Started())
        for peer in world.nodes.values():
            if peer is not self and peer.up:
                self.post(PeerUp(peer.name))
                peer.post(PeerUp(self.name))
        self._schedule_tick()
        world.started(self)

    def crash(self, *, batch_kept: bool = False) -> None:
        """Lose everything but the disk."""
        assert self.up
        self.disk.crash(batch_kept=batch_kept)
        self.up = False
        self.doom = ""
        self.world.counts["crash"] += 1
        for peer in self.world.nodes.values():
            if peer is not self and peer.up:
                peer.post(PeerDown(self.name))

    def now(self) -> Now:
        """This node's clocks."""
        elapsed = self.world.time_us // 1000
        drifted = elapsed + elapsed * self.drift_ppm // 1_000_000
        mono_ms = 1_000_000 * (self.number + 1) + elapsed
        return Now(mono_ms, GENESIS_TIME_MS + 1 + drifted + self.skew_ms)

    # ----- events

    def post(self, event: NodeEvent, *, copy: bool = False) -> None:
        """Queue an event for the node's next turn. `copy`: the network delivered it twice."""
        if not self.up:
            return
        self._waiting.append((event, copy))
        if not self._scheduled:
            self._scheduled = True
            self.world.later(self.lag_us, self._turn, self.incarnation)

    def submit(self, raw: bytes) -> None:
        """A client's transaction arrives at this node's door."""
        self.post(Submitted((raw,), 0))

    def _schedule_tick(self) -> None:
        self.world.later(self.world.options.tick_ms * 1000, self._tick, self.incarnation)

    def _tick(self, incarnation: int) -> None:
        if self.up and incarnation == self.incarnation:
            self.post(Tick())
            self._schedule_tick()

    def _turn(self, incarnation: int) -> None:
        """As `Runtime._turn`: handle what waits, one flush, then perform in order."""
        if not self.up or incarnation != self.incarnation:
            return
        self._scheduled = False
        waiting, self._waiting = self._waiting, []
        outputs: list[Output] = []
        now = self.now()
        for event, copy in waiting[:EVENTS_PER_TURN_MAX]:
            made = self.handle(event, now)
            if copy:
                made = [output for output in made if not isinstance(output, Charge)]
            outputs += made
        self._waiting = waiting[EVENTS_PER_TURN_MAX:] + self._waiting
        flush = any(isinstance(output, Flush) for output in outputs)
        if flush and self.doom:
            self._die(outputs)
            return
        if flush:
            self.disk.flush()
        self.world.checkers.turned(self)
        self.perform(outputs)
        if self._waiting and not self._scheduled:
            self._scheduled = True
            self.world.later(self.lag_us, self._turn, self.incarnation)

    def handle(self, event: NodeEvent, now: Now) -> list[Output]:
        """The machine's outputs; an adversary listens in here."""
        return self.machine.handle(event, now)

    def _die(self, outputs: list[Output]) -> None:
        """Crash before, in or after the flush."""
        doom = self.doom
        if doom == "mid-perform":
            self.disk.flush()
            self.perform(outputs[: self.world.rng.randrange(len(outputs) + 1)])
        if self.up:
            self.crash(batch_kept=doom == "torn-kept")
        self.world.revive_later(self)

    def perform(self, outputs: list[Output]) -> None:
        """Carry the outputs out, in order."""
        for output in outputs:
            self.perform_one(output)
            if not self.up:
                return

    def perform_one(self, output: Output) -> None:
        """Carry one output out."""
        world = self.world
        match output:
            case SendFrame(peer, channel, payload):
                world.checkers.said(self, channel, payload)
                world.network.send(self.name, peer, channel, payload)
            case BroadcastFrame(channel, payload):
                world.checkers.said(self, channel, payload)
                for name in world.nodes:
                    if name != self.name:
                        world.network.send(self.name, name, channel, payload)
            case SetTimer(timer, token, delay_ms):
                self._timers[timer] = token
                world.later(delay_ms * 1000, self._fire, self.incarnation, timer, token)
            case CancelTimer(timer):
                self._timers.pop(timer, None)
            case Charge(peer, fault):
                world.checkers.charged(self, peer, fault)
            case BlockCommitted():
                world.checkers.committed(self, output)
            case Accused(kind, member):
                world.checkers.accused(self, kind, member)
            case Answer(_, outcomes):
                world.checkers.answered(self, outcomes)
            case Stop(reason, detail):
                self.stopped = f"{reason}: {detail}"
                self.up = False
                world.checkers.stopped(self, self.stopped)
            case _:
                pass

    def _fire(self, incarnation: int, timer: Timer, token: int) -> None:
        if self.up and incarnation == self.incarnation and self._timers.get(timer) == token:
            del self._timers[timer]
            self.post(TimerFired(timer, token))

    # ----- what the checkers read

    @property
    def height(self) -> int:
        """Committed height."""
        return self.machine.chain.height

    def holds(self, txid: bytes) -> bool:
        """Whether a transaction was committed here."""
        return self.machine.chain.archive.location(TxId(txid)) is not None
