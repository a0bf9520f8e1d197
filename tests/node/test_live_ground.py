"""A scenario's ground on a chain never has more proposals open than an agency may."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.registry.governance import OPEN_MAX
from tests.services.chain_node import ChainNode
from tests.services.hostile import SOURCE, definition

ROLES = [f"role-{number:02}" for number in range(OPEN_MAX + 4)]
MANY = SOURCE.replace("  clerk: {}", "\n".join(f"  {role}: {{}}" for role in (*ROLES, "clerk")))
FOUNDER = "agency-0"


def left_open(node: ChainNode, count: int) -> None:
    """Proposals that somebody opened before the ground came, and that nobody votes on."""
    body: dict[str, Any] = {"parameters": {"effects_max": 96}}
    for number in range(count):
        operation = {
            "op": "gov.propose",
            "proposal": f"left-{number}",
            "kind": "parameter",
            "body": body,
            "rationale": "0" * 64,
            "effective_height": 0,
            "until": node.time_ms // 1000 + 3_600,
        }
        node.grown.block(node.grown.tx(operation, party=FOUNDER))


@pytest.mark.parametrize("before", [0, 5, OPEN_MAX - 1])
def test_more_roots_than_proposals_may_be_open(before: int) -> None:
    node = ChainNode()
    ground = node.ground
    ground.activate(definition(MANY))
    left_open(node, before)
    for role in ROLES:
        ground.add_party("clerk", "city")
        ground.grant(f"odd.{role}", "clerk", None)
    for role in ROLES:
        assert ground.value(f"roleroot/odd.{role}") == {"party": FOUNDER}
        assert ground.value(f"role/odd.{role}/clerk")["party"] == "clerk"
    assert (ground.value(f"gov/open/{FOUNDER}") or 0) == before


def test_when_none_may_be_opened_it_says_so() -> None:
    node = ChainNode()
    ground = node.ground
    left_open(node, OPEN_MAX)
    with pytest.raises(RuntimeError, match="has 16 open proposals"):
        ground.activate(definition())
