"""The simulated network: delay, loss, duplication, reordering, cuts and partitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.sim.world import World


@dataclass(slots=True)
class Weather:
    """Faults in force; episodes change it and the liveness phase clears it."""

    loss: float = 0.0
    lost_kinds: tuple[bytes, ...] = ()
    """Messages lost whatever `loss` says: their tags, which stand at the front of a payload."""
    duplication: float = 0.0
    spike: float = 0.0
    """Share of frames that are held back for up to `spike_us`."""
    spike_us: int = 0
    cut: set[tuple[str, str]] = field(default_factory=set)
    """Directed links on which nothing passes."""


class Network:
    """Carries frames between nodes by name. A crash of either end loses what is under way."""

    def __init__(self, world: World, rng: Random, latency_us: tuple[int, int]) -> None:
        self.weather = Weather()
        self.counts: Counter[str] = Counter()
        self.censor: Callable[[str, str, int, bytes], bool] | None = None
        """A directed scenario's own rule of what is lost."""
        self._world = world
        self._rng = rng
        self._latency_us = latency_us
        self._links: dict[tuple[str, str], int] = {}

    def send(self, source: str, target: str, channel: int, payload: bytes) -> None:
        """Take one frame; it arrives later, or not, or twice."""
        weather, rng = self.weather, self._rng
        if self.censor is not None and self.censor(source, target, channel, payload):
            return
        if (source, target) in weather.cut:
            self.counts["cut"] += 1
            return
        if weather.loss and rng.random() < weather.loss:
            self.counts["lost"] += 1
            return
        if weather.lost_kinds and any(kind in payload[:16] for kind in weather.lost_kinds):
            self.counts["lost"] += 1
            return
        self._deliver(source, target, channel, payload, copy=False)
        if weather.duplication and rng.random() < weather.duplication:
            self.counts["duplicated"] += 1
            self._deliver(source, target, channel, payload, copy=True)

    def _deliver(
        self, source: str, target: str, channel: int, payload: bytes, *, copy: bool
    ) -> None:
        rng = self._rng
        link = (source, target)
        base = self._links.get(link)
        if base is None:
            base = self._links[link] = rng.randint(*self._latency_us)
        delay = base + int(rng.random() * base * 0.5)
        weather = self.weather
        if weather.spike and rng.random() < weather.spike:
            self.counts["delayed"] += 1
            delay += int(rng.random() * weather.spike_us)
        self._world.carry(delay, source, target, channel, payload, copy=copy)
