"""A block that is full of work is full: who waits behind it does not blame the primary."""

from __future__ import annotations

import pytest

from ledger.parameters import Parameters
from tests.chain import document
from tests.node.small_net import Net


@pytest.mark.parametrize(("transactions", "excused"), [(80, True), (40, False)])
def test_patience_starts_anew_after_a_dear_block(transactions: int, excused: bool) -> None:
    net = Net(parameters=Parameters(block_cost_max=100_000))  # one of these costs 800
    net.start()
    net.settle()
    net.submit(0, net.kit.sign("agency-0", "first", [document()]))
    for number in range(transactions):
        ops = [document(type_code=f"deed-{index}") for index in range(16)]
        net.submit(0, net.kit.sign("agency-0", f"jti-{number}", ops))
    net.run(1_000)
    backup = net.nodes[1].machine
    assert len(backup.mempool) == 0
    assert (backup.mempool._patience_from_ms > 0) == excused
