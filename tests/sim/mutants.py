"""Mutants: plant one bug at a time and require that the simulator finds it.

`python -m tests.sim.mutants` prints how many seeds each one needed. A simulator that finds nothing
in broken code proves nothing about code in which it finds nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

from tests.sim.options import Options, draw
from tests.sim.planted import CORE, Plant
from tests.sim.planted_node import NODE
from tests.sim.scenarios import SCENARIOS
from tests.sim.world import World

PLANTS: dict[str, Plant] = CORE | NODE
SEEDS_MAX = 400
LIVENESS_MS = 150_000
SLOW_LINK_US = 250_000
"""Less patience than a normal run has: a mutant that makes the network stand still must not take
minutes to be found. Unmutated code is held to the same."""


@dataclass(frozen=True)
class Finding:
    """What became of one mutant."""

    name: str
    seeds: int
    """Runs that were needed; 0 when none found it."""
    seed: int
    failure: str
    control: str
    """How unmutated code failed on the seed; empty as it should be."""
    seconds: float


def attempt(options: Options) -> str:
    """Why a run fails; empty when it holds."""
    return _failure(World(options).run)


def hunt(name: str, seeds_max: int = SEEDS_MAX) -> Finding:
    """Try seeds that suit the mutant until one finds it."""
    started = time.monotonic()
    if name in DIRECTED:
        return _play(name, started)
    tried = 0
    for seed in range(100_000):
        options = draw(seed)
        if options.latency_us[0] < SLOW_LINK_US:
            options = replace(options, liveness_ms=LIVENESS_MS)
        if not SUITS.get(name, _any)(options):
            continue
        if tried == seeds_max:
            break
        tried += 1
        with PLANTS[name]():
            failure = attempt(options)
        if failure:
            control = attempt(options)
            return Finding(name, tried, seed, failure, control, time.monotonic() - started)
    return Finding(name, 0, -1, "", "", time.monotonic() - started)


def _play(name: str, started: float) -> Finding:
    with PLANTS[name]():
        failure = _failure(SCENARIOS[DIRECTED[name]])
    control = _failure(SCENARIOS[DIRECTED[name]])
    return Finding(name, int(bool(failure)), -1, failure, control, time.monotonic() - started)


def _failure(run: Callable[[], None]) -> str:
    try:
        run()
    except Exception as error:  # any failure is a find
        return f"{type(error).__name__}: {error}".split("\n")[0]
    return ""


def _any(options: Options) -> bool:
    return True


def _family(*names: str) -> Callable[[Options], bool]:
    return lambda options: any(name in options.families for name in names)


def _strategy(*names: str) -> Callable[[Options], bool]:
    return lambda options: any(name in options.byzantine.values() for name in names)


SUITS: dict[str, Callable[[Options], bool]] = {
    "f join instead of f+1": _strategy("view-racer"),
    "vote store not restored": _family("gust", "torn", "crash"),
    "own proposals not restored": _family("gust", "torn", "crash"),
    "view record not restored": _family("gust", "torn", "crash"),
    "signer not deduplicated": _strategy("double-vote"),
    "second proposal gets a vote too": _strategy("equivocate"),
    "clock check on re-proposal": _family("gust", "torn", "partition", "loss"),
    "no clock check": _strategy("bad-block"),
    "fixed timeout": lambda options: options.latency_us[0] >= SLOW_LINK_US,
    "epoch not in the signed text": _family("epoch"),
    "epoch keeps the old view": _family("epoch"),
    "commit said before sync": _family("torn"),
    "sync takes a certificate unchecked": _strategy("liar"),
    "sync believes a claimed height": _strategy("liar"),
    "no in-order rule": _strategy("bad-block"),
    "header not compared with the execution": _strategy("bad-block"),
    "evidence not verified": _strategy("bad-block"),
    "block time not rising": _strategy("bad-block"),
    "replays allowed in a block": _strategy("bad-block"),
    "expiry not checked in a block": _strategy("bad-block"),
    "transaction signature not checked": _strategy("bad-block"),
    "catch-up asks one peer for ever": lambda options: (
        options.seed % 2 == 1 and "liar" in options.byzantine.values()
    ),
}


DIRECTED = {
    "(height, view) order": "rank",
    "timer waits for this view alone": "views apart",
    "VIEW-CHANGE below a held certificate": "caught up across views",
    "votes below the view's start": "below the start",
    "tip's body not fetched": "tip is proposed again",
    "tip too old to be proposed again": "tip is proposed again",
}
"""Mutant -> the directed scenario that finds it."""


def main() -> int:
    """0 when every mutant was found and unmutated code holds on the same seeds."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.mutants")
    parser.add_argument("names", nargs="*", help="only these")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    names = options.names or list(PLANTS)
    bad = 0
    with ProcessPoolExecutor(options.workers) as pool:
        for found in pool.map(hunt, names):
            verdict = f"seed {found.seed}, run {found.seeds}" if found.seeds else "NOT FOUND"
            if found.seeds and found.name in DIRECTED:
                verdict = f"scene: {DIRECTED[found.name]}"
            print(f"{found.name:42} {verdict:24} {found.seconds:6.1f} s  {found.failure[:90]}")
            if found.control:
                print(f"  UNMUTATED CODE FAILS TOO: {found.control}")
            bad += not found.seeds or bool(found.control)
            sys.stdout.flush()
    print(f"{len(names) - bad} of {len(names)} mutants found")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
