"""The simulator in small: some seeds hold, and a seed is one history."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.sim.__main__ import Report, floors, run_seed, run_seeds
from tests.sim.mutants import PLANTS, SUITS, attempt, hunt
from tests.sim.options import FAMILIES, STRATEGIES, draw
from tests.sim.scenarios import SCENARIOS

SEEDS = 30
QUICK_MUTANTS = (
    "quorum is q-1",
    "COMMIT without a certificate",
    "vote before sync",
    "vote store not restored",
    "no STATUS resend",
)


def test_thirty_seeds_hold() -> None:
    report = run_seeds(list(range(SEEDS)))
    assert report.failures == []
    assert report.heights_min >= 40
    assert floors(report) == []


@pytest.mark.parametrize("seed", [3, 9])
def test_a_seed_is_one_history(seed: int) -> None:
    first, failure = run_seed(seed)
    second, _ = run_seed(seed, trace=True)
    assert failure == ""
    assert first.events == second.events
    assert {n.name: n.height for n in first.nodes.values()} == {
        n.name: n.height for n in second.nodes.values()
    }


def test_same_seed_same_digest_and_other_seed_another() -> None:
    digests = [run_seed(seed)[0].digest for seed in (4, 4, 5)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("name", QUICK_MUTANTS)
def test_a_planted_bug_is_found(name: str) -> None:
    found = hunt(name, seeds_max=20)
    assert found.seeds
    assert found.control == ""


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_a_directed_scenario_holds(name: str) -> None:
    SCENARIOS[name]()


def test_every_suit_and_strategy_has_seeds() -> None:
    drawn = [draw(seed) for seed in range(1_000)]
    for name in SUITS:
        assert name in PLANTS
        assert any(SUITS[name](options) for options in drawn), name
    used = {strategy for options in drawn for strategy in options.byzantine.values()}
    assert used == set(STRATEGIES)


def test_no_seed_has_more_faulty_nodes_than_the_protocol_tolerates() -> None:
    for seed in range(1_000):
        options = draw(seed)
        assert len(options.dead | set(options.byzantine)) <= (options.n - 1) // 3


def test_a_network_without_a_quorum_is_found_to_stand_still() -> None:
    options = replace(draw(1), dead=frozenset({0, 1, 2}), liveness_ms=5_000)
    assert attempt(options).startswith("Stuck")


def test_floors_are_missed_by_a_run_that_tries_nothing() -> None:
    idle = Report(seeds=200, heights_min=39)
    missed = floors(idle)
    assert len(missed) == len(FAMILIES) + 2
