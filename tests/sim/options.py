"""Swarm testing: what a run is made of, drawn from its seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from ledger.validators import faults_tolerated

FAMILIES = (
    "loss",
    "duplication",
    "delay",
    "partition",
    "one-way",
    "crash",
    "gust",
    "torn",
    "clock",
    "slow-node",
    "byzantine",
    "epoch",
    "dead",
)
"""Fault families; each is in a seed with a probability of its own."""

LATENCIES_US = (
    *((200, 2_000), (1_000, 10_000), (5_000, 60_000)) * 4,
    (250_000, 450_000),
)
"""Data centre, country, continent; and a network so slow that patience must grow."""
SHARES = {"byzantine": 0.55, "epoch": 0.32}

STRATEGIES = (
    "equivocate",
    "equivocate",
    "equivocate",
    "double-vote",
    "double-vote",
    "silent",
    "slow-leader",
    "withhold",
    "stale-view-change",
    "stale-view-change",
    "bad-new-view",
    "bad-new-view",
    "liar",
    "view-racer",
    "eager-commit",
    "censor",
    "amnesia",
    "bad-block",
    "bad-block",
)
"""What adversaries do; the likelier stand here more than once."""


@dataclass(frozen=True)
class Options:
    """One run."""

    seed: int
    n: int
    families: frozenset[str]
    byzantine: dict[int, str]
    """Node number -> strategy; at most f."""
    dead: frozenset[int]
    """Nodes that never come back in the liveness phase; Byzantine ones count against the same f."""
    wiped: frozenset[int]
    """Nodes whose disk is lost when the rest heals: they follow, catch up, and vote no more, so
    they count against f as well."""
    real_signatures: bool
    turn_length: int
    checkpoint_interval: int
    block_interval_ms: int
    tick_ms: int
    latency_us: tuple[int, int]
    """One-way delay of a link is drawn from this range."""
    skew_ms: int
    """Clocks differ by at most twice this."""
    safety_ms: int
    transactions: int
    heights_min: int = 40
    liveness_ms: int = 400_000
    epoch_kind: str = ""
    """How epoch 0 is closed: same, order or swap; empty when it is not."""
    notes: dict[str, str] = field(default_factory=dict)


def draw(seed: int) -> Options:
    """The options of `seed`."""
    rng = Random(f"options {seed}")
    n = rng.choice((4, 4, 4, 4, 4, 4, 5, 6, 7, 7))
    families = {name for name in FAMILIES if rng.random() < SHARES.get(name, 0.34)}
    f = faults_tolerated(n)
    order = list(range(n))
    rng.shuffle(order)
    byzantine: dict[int, str] = {}
    if "byzantine" in families:
        for number in order[: rng.randint(1, f)]:
            byzantine[number] = rng.choice(STRATEGIES)
    dead: frozenset[int] = frozenset()
    if "dead" in families:
        dead = frozenset(order[len(byzantine) : f])
        if not dead:  # the faulty ones fall silent: exactly a quorum is left
            dead = frozenset(byzantine)
    wiped: frozenset[int] = frozenset()
    if dead and not byzantine and rng.random() < 0.4:
        dead, wiped = frozenset(), dead
    kinds = ("same", "order", "swap") if n == 4 and not dead and not wiped else ("same", "order")
    return Options(
        seed=seed,
        n=n,
        families=frozenset(families),
        byzantine=byzantine,
        dead=dead,
        wiped=wiped,
        real_signatures=seed % 10 == 9,
        turn_length=rng.choice((1, 2, 4, 4, 4, 8)),
        checkpoint_interval=rng.choice((4, 8)),
        block_interval_ms=rng.choice((1_000, 1_000, 1_000, 4_000)),
        tick_ms=rng.choice((100, 200)),
        latency_us=rng.choice(LATENCIES_US),
        skew_ms=rng.choice((0, 50, 200)),
        safety_ms=rng.choice((6_000, 9_000, 14_000)),
        transactions=rng.randint(26, 40),
        epoch_kind=rng.choice(kinds) if "epoch" in families else "",
    )
