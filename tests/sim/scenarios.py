"""Directed scenarios: schedules that random seeds meet too seldom, in the same simulated world.

Each holds on the code as it is and fails on the mutants that name it (tests/sim/mutants.py).
"""

from __future__ import annotations

from collections.abc import Callable

from consensus.messages import Message, NewView, Propose, ViewChange, Vote, decode
from consensus.view_change import plan
from ledger.certificate import Certificate, Phase
from p2p.wire import BLOCKS, CONSENSUS
from tests.sim.checkers import Violation
from tests.sim.options import Options
from tests.sim.world import World

STEP_MS = 20
PATIENCE_MS = 60_000
Drops = Callable[[int, int, Message], bool]
"""(source, target, message) -> whether the network loses it."""


class Scene:
    """Four nodes, no random faults, and a network that loses what the scene says."""

    def __init__(self) -> None:
        options = Options(
            seed=1,
            n=4,
            families=frozenset(),
            byzantine={},
            dead=frozenset(),
            wiped=frozenset(),
            real_signatures=False,
            turn_length=1_024,
            checkpoint_interval=8,
            block_interval_ms=1_000,
            tick_ms=100,
            latency_us=(500, 2_000),
            skew_ms=0,
            safety_ms=2_000,
            transactions=0,
            heights_min=12,
            liveness_ms=120_000,
        )
        self.world = World(options)
        self.nodes = list(self.world.nodes.values())
        self.drops: Drops = lambda source, target, message: False
        self.cut: set[int] = set()
        self.no_blocks: set[int] = set()
        """Nodes that can neither ask for blocks nor get them."""
        self.world.network.censor = self._loses
        for node in self.nodes:
            node.start()

    def _loses(self, source: str, target: str, channel: int, payload: bytes) -> bool:
        ends = (self.world.nodes[source].number, self.world.nodes[target].number)
        if self.cut & set(ends):
            return True
        if channel == BLOCKS:
            return bool(self.no_blocks & set(ends))
        return channel == CONSENSUS and self.drops(*ends, decode(payload))

    def until(self, holds: Callable[[], bool]) -> None:
        """Let time pass until something holds."""
        deadline = self.world.time_us + PATIENCE_MS * 1000
        while not holds():
            if self.world.time_us >= deadline:
                raise Violation("the scene does not come about")
            self.wait(STEP_MS)

    def wait(self, length_ms: int) -> None:
        """Let time pass."""
        self.world.run_until(self.world.time_us + length_ms * 1000)

    def heights(self) -> list[int]:
        """Committed heights by node."""
        return [node.height for node in self.nodes]

    def view(self, number: int) -> tuple[int, bool]:
        """A node's view, and whether it is installed."""
        replica = self.nodes[number].machine.core.replica
        return replica.view, replica.installed

    def heal(self) -> None:
        """Nothing is lost any more; everybody that is not dead must converge."""
        self.drops = lambda source, target, message: False
        self.cut = set()
        self.no_blocks = set()
        self.world.converge([node for node in self.nodes if node.up])
        self.world.checkers.finish()


def below_the_start() -> None:
    """One node committed; the view that learns of it must not decide that height anew."""
    scene = Scene()
    scene.until(lambda: min(scene.heights()) >= 2)

    def drops(source: int, target: int, message: Message) -> bool:
        if isinstance(message, Vote) and message.view == 0:
            return message.phase is Phase.COMMIT and target != 0
        return isinstance(message, ViewChange) and (source, target) == (3, 1)

    scene.drops = drops
    scene.no_blocks = {0}
    scene.until(lambda: scene.view(1) == (1, True))
    assert scene.heights()[0] == scene.heights()[1] + 1
    scene.cut = {0}
    scene.wait(8_000)
    scene.heal()


def views_apart() -> None:
    """Two nodes ask for view 1, one went on to view 2, the fourth is dead: they must meet."""
    scene = Scene()
    scene.until(lambda: min(scene.heights()) >= 2)

    def drops(source: int, target: int, message: Message) -> bool:
        if isinstance(message, ViewChange):
            return source in (2, 3) and target in (0, 1)
        return isinstance(message, Propose | NewView)

    scene.drops = drops
    scene.until(lambda: scene.view(2)[0] == 2 and scene.view(0)[0] == scene.view(1)[0] == 1)
    scene.nodes[3].crash()
    scene.heal()


def caught_up_across_views() -> None:
    """A node that never saw view 1 holds its certificates; its complaint asks for view 2."""
    scene = Scene()
    scene.until(lambda: min(scene.heights()) >= 2)
    scene.nodes[3].crash()
    scene.drops = lambda source, target, message: isinstance(message, Propose) and message.view == 0
    scene.until(lambda: min(scene.view(i)[0] for i in range(3)) >= 1)
    scene.until(lambda: min(scene.heights()[:3]) > scene.heights()[3] + 2)
    scene.drops = lambda source, target, message: (
        isinstance(message, NewView | ViewChange | Vote | Propose) and target == 3
    )
    scene.nodes[3].start()
    scene.until(lambda: scene.heights()[3] >= scene.heights()[0])
    scene.drops = lambda source, target, message: target == 3  # it is heard, and hears nobody
    scene.no_blocks = {3}
    scene.until(lambda: not scene.view(3)[1])
    scene.wait(1_000)
    scene.heal()


def tip_is_proposed_again() -> None:
    """One node alone committed and falls silent; the next view commits the same block, though a
    long outage made it too old to be fresh, and its new primary has to fetch it."""
    scene = Scene()
    scene.until(lambda: min(scene.heights()) >= 2)
    held_back = {1}

    def drops(source: int, target: int, message: Message) -> bool:
        if isinstance(message, Vote) and message.view == 0:
            return message.phase is Phase.COMMIT and target != 3
        return isinstance(message, Propose) and target in held_back

    scene.drops = drops
    scene.no_blocks = {1, 3}
    scene.until(lambda: scene.heights()[3] > scene.heights()[0])
    scene.cut = {0, 1, 2, 3}
    scene.wait(20_000)
    scene.cut = {3}
    scene.no_blocks = {3}
    height, before = scene.heights()[3], scene.world.time_us
    scene.until(lambda: min(scene.heights()[:3]) >= height)
    assert scene.world.time_us - before < 30_000_000
    scene.heal()


def rank_is_view_then_height() -> None:
    """Of two certificates the one of the higher view is the tip, whatever their heights.

    With one block in flight no run can hold such a pair, so the rule is asked itself.
    """

    def certificate(phase: Phase, view: int, height: int, block: bytes) -> Certificate:
        return Certificate(0, phase, view, height, block * 32, ())

    commit = certificate(Phase.COMMIT, 0, 4, b"c")
    lower = certificate(Phase.PREPARE, 1, 6, b"a")
    higher = certificate(Phase.PREPARE, 2, 5, b"b")
    changes = tuple(
        ViewChange(0, 3, commit, highest, signer, b"")
        for signer, highest in enumerate((lower, higher, commit))
    )
    if plan(changes, 0).tip != b"b" * 32:
        raise Violation("the tip is of a lower view")


SCENARIOS: dict[str, Callable[[], None]] = {
    "below the start": below_the_start,
    "views apart": views_apart,
    "caught up across views": caught_up_across_views,
    "tip is proposed again": tip_is_proposed_again,
    "rank": rank_is_view_then_height,
}
