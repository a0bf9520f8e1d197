"""Runs of a service: a seed and a list of step numbers.

Each step draws from a generator of its own, so that a run goes on much the same when steps are left
out. That is how a disagreement is made small: `python -m tests.services.play SERVICE SEED`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from ledger.registry.definition import Definition
from tests.services.folders import Service
from tests.services.model import Model

STEPS = 260


def play(definition: Definition, seed: int, steps: Iterable[int] = range(STEPS)) -> Model:
    """A run. Raises AssertionError where the two disagree or something does not hold."""
    model = Model(definition, seed)
    for number in steps:
        model.step(number)
    model.parsed.clear()  # runs are kept, and need not be large
    return model


def failure(definition: Definition, seed: int, steps: Iterable[int]) -> str:
    """What is wrong with a run; empty when nothing is."""
    try:
        play(definition, seed, steps)
    except AssertionError as error:
        return str(error) or repr(error)
    return ""


def shrink(definition: Definition, seed: int) -> list[int]:
    """Few steps of a run that fails, with which it fails as well."""
    steps, size = list(range(STEPS)), STEPS // 2
    assert failure(definition, seed, steps), "this run does not fail"
    while size:
        for first in range(len(steps) - 1, -1, -size):
            fewer = steps[: max(0, first + 1 - size)] + steps[first + 1 :]
            if failure(definition, seed, fewer):
                steps = fewer
        size //= 2
    return steps


if __name__ == "__main__":
    tried = Service.load(sys.argv[1]).definition
    few = shrink(tried, int(sys.argv[2]))
    print(few, failure(tried, int(sys.argv[2]), few))
