"""Run many seeds: `python -m tests.sim --seeds 2000`; one with its trace: `--seed 7 --trace`."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.sim.options import FAMILIES, draw
from tests.sim.world import World

FAMILY_SHARE_MIN = 0.20
VIEW_CHANGE_SHARE_MIN = 0.50
FLOOR_SEEDS_MIN = 100
"""Shares are judged over at least so many seeds."""
CHUNK = 20


@dataclass
class Report:
    """What some seeds did."""

    seeds: int = 0
    heights_min: int = 10**9
    heights: int = 0
    events: int = 0
    simulated_ms: int = 0
    cpu_seconds: float = 0.0
    occurred: Counter[str] = field(default_factory=Counter)
    """Name -> in how many seeds it occurred."""
    failures: list[tuple[int, str]] = field(default_factory=list)

    def add(self, other: Report) -> None:
        """Sum up."""
        self.seeds += other.seeds
        self.heights_min = min(self.heights_min, other.heights_min)
        self.heights += other.heights
        self.events += other.events
        self.simulated_ms += other.simulated_ms
        self.cpu_seconds += other.cpu_seconds
        self.occurred += other.occurred
        self.failures += other.failures


def run_seed(seed: int, *, trace: bool = False) -> tuple[World, str]:
    """One world after its run, and why it failed; empty when it did not."""
    world = World(draw(seed), trace=trace)
    try:
        world.run()
    except Exception as error:  # whatever a node raises is a finding
        place = "" if isinstance(error, AssertionError) and error.args else traceback.format_exc()
        return world, f"{type(error).__name__}: {error}\n{place}".strip()
    return world, ""


def run_seeds(seeds: list[int]) -> Report:
    """Run some seeds in this process."""
    report = Report()
    started = time.process_time()
    for seed in seeds:
        world, failure = run_seed(seed)
        report.seeds += 1
        report.events += world.events
        report.simulated_ms += world.time_us // 1000
        if failure:
            report.failures.append((seed, failure))
        else:
            heights = [node.height for node in world.healed_nodes()]
            report.heights += max(heights)
            report.heights_min = min(report.heights_min, *heights)
        report.occurred.update(set(world.counts) | world.occurred())
    report.cpu_seconds = time.process_time() - started
    return report


def floors(report: Report) -> list[str]:
    """Which floors the whole run is below: a simulator that tries nothing proves nothing."""
    below: list[str] = []
    if report.heights_min < 40:
        below.append(f"a correct node committed {report.heights_min} heights, want 40")
    if report.seeds < FLOOR_SEEDS_MIN:
        return below
    for name in FAMILIES:
        share = report.occurred[f"family {name}"] / report.seeds
        if share < FAMILY_SHARE_MIN:
            below.append(f"{name} occurred in {share:.0%} of the seeds")
    share = report.occurred["view changes"] / report.seeds
    if share < VIEW_CHANGE_SHARE_MIN:
        below.append(f"{share:.0%} of the seeds changed view")
    return below


def show(report: Report, wall_seconds: float) -> None:
    """Print what was done."""
    print(f"seeds {report.seeds}, failed {len(report.failures)}")
    print(f"heights {report.heights}, least of a correct node {report.heights_min}")
    print(f"simulated hours {report.simulated_ms / 3_600_000:.1f}")
    rate = report.events / max(report.cpu_seconds, 0.001)
    print(f"events {report.events}, {rate:.0f} a CPU second")
    print(f"seeds a second {report.seeds / max(wall_seconds, 0.001):.1f}")
    for name, count in sorted(report.occurred.items()):
        print(f"  {name}: {count} ({count / report.seeds:.0%})")
    for seed, failure in sorted(report.failures):
        print(f"\nFAILED seed {seed}: python -m tests.sim --seed {seed} --trace\n{failure}")


def main() -> int:
    """0 when every seed holds and no floor is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim")
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    parser.add_argument("--seed", type=int, default=None, help="one seed only")
    parser.add_argument("--trace", action="store_true", help="print what happened (with --seed)")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    started = time.monotonic()
    total = Report()
    if options.seed is not None:
        world, failure = run_seed(options.seed, trace=options.trace)
        if world.lines is not None:
            print("\n".join(world.lines))
        print(f"options {world.options}\ndigest {world.digest}\n{failure or 'holds'}")
        return 1 if failure else 0
    seeds = list(range(options.first, options.first + options.seeds))
    chunks = [seeds[i : i + CHUNK] for i in range(0, len(seeds), CHUNK)]
    with ProcessPoolExecutor(options.workers) as pool:
        for report in pool.map(run_seeds, chunks):
            total.add(report)
    show(total, time.monotonic() - started)
    below = floors(total)
    for line in below:
        print(f"BELOW THE FLOOR: {line}")
    return 1 if total.failures or below else 0


if __name__ == "__main__":
    sys.exit(main())
