"""Each scenario with real signatures on a chain in memory, and what must hold of it after."""

from __future__ import annotations

import pytest

from tests.services.chain_node import ChainNode
from tests.services.checks import check_balances, check_feed
from tests.services.folders import NAMES, Service


@pytest.mark.parametrize("name", NAMES)
def test_scenario_on_a_chain(name: str) -> None:
    service, node = Service.load(name), ChainNode()
    ground = node.ground
    ground.activate(service.definition)
    service.play(ground)
    check_balances(node.grown.chain, node.grown.store)
    check_feed(node.grown.chain, node.grown.store)


def test_a_ground_keeps_each_party_with_its_agency() -> None:
    ground = ChainNode().ground
    ground.add_party("clerk", "city")
    ground.add_party("clerk", "city")
    with pytest.raises(ValueError, match="clerk is of city here, not of county"):
        ground.add_party("clerk", "county")
    assert ground.run("clerk", {"op": "document.attest", "id": "deed/" + "0" * 32}) == (
        "RECORD_UNKNOWN",
        {},
    )
    assert ground.run("clerk", {"op": "nothing.known"})[0] == "TX_UNKNOWN_OPERATION"
    assert ground.value("party/clerk")["agency"] == "city"
    assert ground.value("party/nobody") is None
