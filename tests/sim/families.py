"""Fault families: episodes of bad weather and bad luck, drawn at the start of a run."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from tests.sim.network import Weather

if TYPE_CHECKING:
    from tests.sim.node import SimNode
    from tests.sim.world import World

DOOMS = ("before-flush", "torn-kept", "torn-lost", "mid-perform")
KINDS = (b"propose", b"vote", b"view-change", b"new-view", b"status", b"heartbeat", b"bodies")


def begin(world: World) -> None:
    """Schedule the episodes of every family that the options name."""
    rng = Random(f"families {world.options.seed}")
    episodes = {
        "loss": _loss,
        "duplication": _duplication,
        "delay": _delay,
        "partition": _partition,
        "one-way": _one_way,
        "crash": _crash,
        "gust": _gust,
        "torn": _torn,
        "clock": _clock,
        "slow-node": _slow_node,
    }
    for name, episode in episodes.items():
        if name not in world.options.families:
            continue
        for _ in range(rng.randint(1, 4)):
            start_ms = rng.randrange(300, world.options.safety_ms - 500)
            world.later(start_ms * 1000, _run, world, name, episode, Random(rng.random()))


def end(world: World) -> None:
    """The weather clears and clocks agree again."""
    world.network.weather = Weather()
    for node in world.nodes.values():
        node.drift_ppm = 0
        limit = world.options.skew_ms
        node.skew_ms = max(-limit, min(limit, node.skew_ms))


def _run(world: World, name: str, episode: object, rng: Random) -> None:
    if world.healed:
        return
    world.counts[f"family {name}"] += 1
    world.record(f"episode {name}")
    assert callable(episode)
    episode(world, rng, rng.randrange(300_000, 4_000_000))


def _unless_healed(world: World, delay_us: int, weather: Weather, **values: object) -> None:
    """Set fields of the weather back later, if it is still the same weather."""

    def restore() -> None:
        if world.network.weather is weather:
            for name, value in values.items():
                setattr(weather, name, value)

    world.later(delay_us, restore)


def _loss(world: World, rng: Random, length_us: int) -> None:
    weather = world.network.weather
    if rng.random() < 0.5:
        weather.loss = rng.choice((0.02, 0.1, 0.3, 0.6))
        _unless_healed(world, length_us, weather, loss=0.0)
    else:
        weather.lost_kinds = tuple(rng.sample(KINDS, rng.randint(1, 2)))
        _unless_healed(world, length_us, weather, lost_kinds=())


def _duplication(world: World, rng: Random, length_us: int) -> None:
    weather = world.network.weather
    weather.duplication = rng.choice((0.05, 0.3, 0.6))
    _unless_healed(world, length_us, weather, duplication=0.0)


def _delay(world: World, rng: Random, length_us: int) -> None:
    weather = world.network.weather
    weather.spike = rng.choice((0.05, 0.3, 1.0))
    weather.spike_us = rng.choice((100_000, 600_000, 3_000_000))
    _unless_healed(world, length_us, weather, spike=0.0)


def _cut(world: World, links: set[tuple[str, str]], length_us: int) -> None:
    weather = world.network.weather
    weather.cut |= links
    world.later(length_us, weather.cut.difference_update, links)


def _partition(world: World, rng: Random, length_us: int) -> None:
    names = list(world.nodes)
    side = set(rng.sample(names, rng.randint(1, len(names) - 1)))
    _cut(world, {(a, b) for a in names for b in names if (a in side) != (b in side)}, length_us)


def _one_way(world: World, rng: Random, length_us: int) -> None:
    names = list(world.nodes)
    links = [(a, b) for a in names for b in names if a != b]
    _cut(world, set(rng.sample(links, rng.randint(1, len(links) * 2 // 3))), length_us)


def _crash(world: World, rng: Random, length_us: int) -> None:
    _kill(world, rng.choice(list(world.nodes.values())), length_us)


def _kill(world: World, node: SimNode, length_us: int) -> None:
    if node.up and not world.healed:
        node.crash()
        world.later(length_us, world.revive, node)


def _gust(world: World, rng: Random, length_us: int) -> None:
    """Most or all nodes lose power within a fraction of a second."""
    nodes = list(world.nodes.values())
    rng.shuffle(nodes)
    for node in nodes[: rng.randint(2, len(nodes))]:
        back_us = rng.randrange(20_000, length_us)
        world.later(rng.randrange(1, 300_000), _kill, world, node, back_us)


def _torn(world: World, rng: Random, length_us: int) -> None:
    """Power fails in the middle of a turn, on several nodes at once."""
    nodes = list(world.nodes.values())
    for node in rng.sample(nodes, rng.randint(1, len(nodes))):
        node.doom = rng.choice(DOOMS)


def _clock(world: World, rng: Random, length_us: int) -> None:
    node = rng.choice(list(world.nodes.values()))
    before = max(-200, min(200, node.skew_ms))
    node.skew_ms += rng.choice((-30_000, -3_000, -600, 600, 3_000, 30_000))
    node.drift_ppm = rng.choice((0, 300, -300))

    def restore() -> None:
        if not world.healed:
            node.skew_ms = before
            node.drift_ppm = 0

    world.later(length_us, restore)


def _slow_node(world: World, rng: Random, length_us: int) -> None:
    node = rng.choice(list(world.nodes.values()))
    node.lag_us = rng.choice((5_000, 50_000, 400_000))

    def restore() -> None:
        node.lag_us = 0

    world.later(length_us, restore)
