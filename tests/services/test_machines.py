"""The services as state machines that Hypothesis drives: engine and reference agree after every
step, and what must hold of each service does. Play of fixed seeds (test_model.py) goes deeper and
has floors; here the steps are new in every example, and a failure is shrunk to few of them."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from ledger.registry.definition import Definition
from tests.services import relief
from tests.services.folders import NAMES, Service
from tests.services.governing import VOTING
from tests.services.model import Model
from tests.services.reference import World

STEPS = st.integers(0, 2**32)


def machine(definition: Definition, seed: int) -> type[RuleBasedStateMachine]:
    """One service; each step is a number, from which all that it draws follows."""

    class Played(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.model = Model(definition, seed)

        @rule(number=STEPS)
        def step(self, number: int) -> None:
            self.model.step(number)

    return Played


@pytest.mark.parametrize("seed", [0, VOTING])
@pytest.mark.parametrize("name", [*NAMES, relief.SERVICE])
def test_every_walk_agrees_and_keeps_what_must_hold(name: str, seed: int) -> None:
    definition = relief.first() if name == relief.SERVICE else Service.load(name).definition
    run_state_machine_as_test(
        machine(definition, seed),
        settings=settings(max_examples=8, stateful_step_count=60, deadline=None),
    )


def test_a_walk_that_disagrees_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference in which everybody holds every role."""
    monkeypatch.setattr(World, "_holds", lambda *asked: True)
    with pytest.raises(AssertionError):
        test_every_walk_agrees_and_keeps_what_must_hold("casework", 0)
