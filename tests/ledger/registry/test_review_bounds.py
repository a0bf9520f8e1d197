"""What one member or party may make a block do, beyond what it pays for."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import msgspec
import pytest

from ledger import canonical
from ledger.executor import Execution
from ledger.parameters import BOUNDS, OPERATION_COST, PARAMETERS_KEY, decode
from ledger.registry.definition import DEFINITION_BYTES_MAX
from ledger.registry.governance import BYTES_PER_UNIT
from tests.chain import Chain
from tests.ledger.test_block_cost import vote_in
from tests.services.hostile import plain

LARGE = 40_000
"""Bytes of a definition, at least."""


def large() -> dict[str, Any]:
    """A definition that is right, and about as large as one may be."""
    made = plain()
    transitions = made["types"]["box"]["transitions"]
    guard = ["==", ["list", [["int", 1]] * 100], ["list", []]]
    for number in range(10):
        transitions[f"work_{number}"] = deepcopy(transitions["work"])
    while len(canonical.encode(made)) < LARGE:
        for number in range(10):
            guards = transitions[f"work_{number}"]["guards"]
            guards.append([f"g{len(guards)}", guard])
    return made


def opened() -> Chain:
    """A chain on which agency-0 has proposed it."""
    chain = Chain()
    propose = {
        "op": "gov.propose",
        "proposal": "p",
        "kind": "activate",
        "body": {"definition": large()},
        "rationale": "0" * 64,
        "effective_height": 0,
        "until": chain.time_ms // 1000 + 3_600,
    }
    assert chain.run("agency-0", propose)["reason"] == ""
    return chain


def one(chain: Chain, party: str, *ops: dict[str, Any]) -> Execution:
    return chain.execute([chain.kit.sign(party, chain.jti(), list(ops))])


@pytest.mark.parametrize(
    ("party", "op", "reason"),
    [
        ("agency-1", {"op": "gov.vote", "proposal": "p", "accept": False}, ""),
        ("agency-0", {"op": "gov.withdraw", "proposal": "p"}, ""),
        ("agency-1", {"op": "gov.withdraw", "proposal": "p"}, "NOT_AUTHORISED"),
    ],
)
def test_what_parses_a_large_proposal_pays_for_it(
    party: str, op: dict[str, Any], reason: str
) -> None:
    """32,000 votes of one member on one definition took a block of 27 seconds, at 50 units each."""
    execution = one(opened(), party, op)
    assert canonical.decode(execution.entries[0])["reason"] == reason
    assert execution.cost >= OPERATION_COST + LARGE // 64


def test_a_transaction_whose_votes_cost_too_much_is_refused() -> None:
    chain = opened()
    vote = {"op": "gov.vote", "proposal": "p", "accept": False}
    price = one(chain, "agency-1", vote).cost - OPERATION_COST
    value = chain.state.get(PARAMETERS_KEY)
    assert value is not None
    draft = chain.state.draft()
    changed = msgspec.structs.replace(decode(value), expression_cost_max=2 * price + 9)
    draft.put(PARAMETERS_KEY, canonical.encode(changed))
    chain.state = draft.seal()
    assert canonical.decode(one(chain, "agency-1", *[vote] * 2).entries[0])["reason"] == ""
    entry = canonical.decode(one(chain, "agency-1", *[vote] * 3).entries[0])
    assert (entry["reason"], entry["operation"]) == ("EXPRESSION_COST", 2)


def test_a_search_through_all_versions_for_a_role_is_paid_for() -> None:
    """With more versions than are kept decoded, one refused proposal took 8 ms for 55 units."""
    chain = Chain()
    made = plain()
    for version in (1, 2, 3):
        vote_in(chain, "activate", {"definition": {**made, "version": version}})
    size = len(canonical.encode(made))
    costs = {}
    for role in ("clerk", "nobody"):
        propose = {
            "op": "gov.propose",
            "proposal": role,
            "kind": "role-root",
            "body": {"role": f"odd.{role}", "party": "agency-0"},
            "rationale": "0" * 64,
            "effective_height": 0,
            "until": chain.time_ms // 1000 + 3_600,
        }
        execution = one(chain, "agency-0", propose)
        found = canonical.decode(execution.entries[0])["reason"] == ""
        assert found == (role == "clerk")
        costs[role] = execution.cost
    assert costs["nobody"] - costs["clerk"] >= 2 * (size // 64) - 1


def test_the_lowest_limits_let_members_vote_on_the_largest_proposal() -> None:
    """Else they could close a door behind them that they meant to go through."""
    low, _ = BOUNDS["expression_cost_max"]
    votes = 128 * 80
    assert (DEFINITION_BYTES_MAX + votes) // BYTES_PER_UNIT < low
