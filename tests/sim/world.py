"""One heap, one PRNG, virtual time: a whole network in one process.

A run has two phases. Safety: anything in the options may go wrong. Liveness: all is healed except
what may stay broken for ever, and everything must be committed everywhere within a budget.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any

from node.outputs import Frames
from tests.sim import families
from tests.sim.byzantine import ByzantineNode
from tests.sim.checkers import Checkers, Violation
from tests.sim.disk import SimDisk
from tests.sim.network import Network
from tests.sim.node import SimNode
from tests.sim.options import Options
from tests.sim.stand_in import Kit, kit
from tests.sim.workload import Workload

EVENTS_MAX = 2_000_000
CHECK_MS = 250


class Stuck(Exception):
    """The network did not converge within its budget of simulated time."""


class World:
    """A network and everything that happens to it."""

    def __init__(self, options: Options, *, trace: bool = False) -> None:
        self.options = options
        self.rng = Random(f"world {options.seed}")
        self.kit: Kit = kit(
            options.n,
            options.turn_length,
            options.checkpoint_interval,
            options.block_interval_ms,
            real=options.real_signatures,
        )
        self.time_us = 0
        self.events = 0
        self.counts: Counter[str] = Counter()
        self.lines: list[str] | None = [] if trace else None
        self.healed = False
        self.nodes: dict[str, SimNode] = {}
        self.network = Network(self, Random(f"network {options.seed}"), options.latency_us)
        self.checkers = Checkers(self)
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._sequence = 0
        self._hash = hashlib.sha256()
        members = options.n + (1 if options.epoch_kind == "swap" else 0)
        for number in range(members):
            self._add(number)
        self.workload = Workload(self)

    def _add(self, number: int) -> None:
        name, signer = f"member-{number}", self.kit.votes[number]
        strategy = self.options.byzantine.get(number)
        if strategy is None:
            node = SimNode(self, number, name, signer)
        else:
            node = ByzantineNode(self, number, name, signer, strategy)
        node.skew_ms = self.rng.randint(-self.options.skew_ms, self.options.skew_ms)
        self.nodes[name] = node

    # ----- time

    def later(self, delay_us: int, action: Callable[..., None], *arguments: Any) -> None:
        """Do something at a later simulated time."""
        self._sequence += 1
        heappush(self._heap, (self.time_us + delay_us, self._sequence, action, arguments))

    def run_until(self, time_us: int) -> None:
        """Let everything happen that is due by `time_us`."""
        heap = self._heap
        while heap and heap[0][0] <= time_us:
            self.time_us, _, action, arguments = heappop(heap)
            self.events += 1
            action(*arguments)
        assert self.events < EVENTS_MAX, "the simulated network spins"
        self.time_us = time_us

    @property
    def digest(self) -> str:
        """Hash over everything that was delivered and committed, with its time."""
        return self._hash.hexdigest()

    def record(self, text: str, data: bytes = b"") -> None:
        """Add to the trace."""
        self._hash.update(f"{self.time_us} {text}\n".encode() + data)
        if self.lines is not None:
            self.lines.append(f"{self.time_us / 1000:12.3f} {text}")

    # ----- frames

    def carry(
        self, delay_us: int, source: str, target: str, channel: int, payload: bytes, *, copy: bool
    ) -> None:
        """Deliver a frame after `delay_us` if both sessions' ends live as long."""
        ends = (self.nodes[source].incarnation, self.nodes[target].incarnation)
        self.later(delay_us, self._arrive, source, target, channel, payload, copy, ends)

    def _arrive(
        self,
        source: str,
        target: str,
        channel: int,
        payload: bytes,
        copy: bool,
        ends: tuple[int, int],
    ) -> None:
        sender, receiver = self.nodes[source], self.nodes[target]
        if not receiver.up or not sender.up or ends != (sender.incarnation, receiver.incarnation):
            return
        if self.lines is not None:
            self.record(f"{source} -> {target}: {self.checkers.describe(channel, payload)}")
        self._hash.update(
            self.time_us.to_bytes(8, "big") + bytes((sender.number, receiver.number)) + payload
        )
        receiver.post(Frames(source, ((channel, payload),)), copy=copy)

    # ----- life and death

    def revive_later(self, node: SimNode) -> None:
        """Restart a crashed node after a while."""
        self.later(self.rng.randrange(50_000, 4_000_000), self.revive, node)

    def revive(self, node: SimNode) -> None:
        """Restart a node unless it runs, stopped for safety or stays dead."""
        if node.up or node.stopped or (self.healed and node.number in self.options.dead):
            return
        node.start()

    def started(self, node: SimNode) -> None:
        """A node booted."""
        self.record(f"{node.name} starts at height {node.height}")
        self.checkers.restarted(node)

    def correct_nodes(self) -> list[SimNode]:
        """Nodes that follow the protocol, up or not."""
        return [node for node in self.nodes.values() if node.correct]

    def healed_nodes(self) -> list[SimNode]:
        """Correct nodes that must converge."""
        dead = self.options.dead
        return [node for node in self.correct_nodes() if node.number not in dead]

    def occurred(self) -> set[str]:
        """Static families that had an effect."""
        names = {"family dead"} if self.options.dead or self.options.wiped else set()
        if max((header.epoch for header in self.checkers.headers.values()), default=0) > 0:
            names.add("family epoch")
        return names

    # ----- the run

    def run(self) -> None:
        """Both phases. Raises Violation, Stuck or what a node raised."""
        for node in self.nodes.values():
            self.later(self.rng.randrange(1, 200_000), self.revive, node)
        self.workload.begin()
        families.begin(self)
        self.run_until(self.options.safety_ms * 1000)
        self.heal()
        self.converge(self.healed_nodes())
        self.checkers.finish()

    def heal(self) -> None:
        """Everything works from now on except at most f nodes."""
        self.healed = True
        self.record("heal")
        self.checkers.healed()
        families.end(self)
        for node in self.nodes.values():
            node.doom = ""
            node.lag_us = 0
            if node.number in self.options.wiped:
                self._wipe(node)
            elif node.number in self.options.dead:
                if node.up:
                    node.crash()
            elif not node.up:
                self.revive(node)
        self.workload.resubmit()

    def _wipe(self, node: SimNode) -> None:
        """The disk is lost, and with it the record of what the key signed: it votes no more."""
        if node.up:
            node.crash()
        self.counts["wiped"] += 1
        node.disk = SimDisk(self.kit.disk)
        node.signer = None
        self.checkers.forget(node)
        node.start()

    def faulty(self) -> int:
        """How many nodes may have lost, or never had, what a correct one keeps."""
        return len(self.options.byzantine) + (len(self.options.wiped) if self.healed else 0)

    def converge(self, nodes: list[SimNode]) -> None:
        """Wait until `nodes` are on one head with everything that was sent. Raises Stuck."""
        deadline = self.time_us + self.options.liveness_ms * 1000
        while self.time_us < deadline:
            self.run_until(self.time_us + CHECK_MS * 1000)
            lowest = min(node.height for node in nodes)
            if lowest < self.options.heights_min or len({n.height for n in nodes}) > 1:
                continue
            if not self.workload.waiting(nodes):
                return
        raise Stuck(self._stand())

    def _stand(self) -> str:
        lines = [f"no convergence after {self.options.liveness_ms} ms"]
        for node in self.nodes.values():
            replica = node.machine.core.replica
            lines.append(
                f"{node.name}: up {node.up}, correct {node.correct}, height {node.height}, "
                f"epoch {replica.epoch}, view {replica.view}, installed {replica.installed}, "
                f"failures {replica.failures}, waiting {len(node.machine.mempool)}"
            )
        lines.append(f"not everywhere: {len(self.workload.waiting(self.healed_nodes()))}")
        return "\n".join(lines)


__all__ = ["Stuck", "Violation", "World"]
