"""What is due by itself is nobody's fault: a primary that has just come back, full last blocks."""

from __future__ import annotations

import pytest

from consensus.events import Started
from ledger.ids import Height
from ledger.parameters import Parameters
from tests.builders import GENESIS_TIME_MS
from tests.chain import document
from tests.node.small_net import Net
from tests.node.test_agenda import Town


@pytest.mark.parametrize("back_ms", [2_000, 10_000, 30_000])
def test_a_primary_that_restarted_makes_the_block_that_is_due(back_ms: int) -> None:
    """It does not know since when the last block stands; the others do, and blamed it."""
    town = Town(50)
    town.net.run(2_000)
    town.box()
    before, net = town.height, town.net
    net.run(49_000 - back_ms)
    assert town.height == before
    assert net.nodes[0].machine.core.replica.leads(Height(before + 1))
    net.nodes[0] = net.open(0, net.nodes[0].store)
    net.post(net.nodes[0], Started())
    net.run(back_ms + 2_500)
    assert town.height == before + 1
    [entry] = town.entries(town.height)
    assert (entry["kind"], entry["status"]) == ("timer", "fired")
    assert all(node.machine.core.replica.view == 0 for node in net.nodes)


def test_a_primary_whose_wall_clock_is_behind_is_not_blamed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As little as a clock may be: it expects the block with the others, by the last block."""
    town = Town(5)
    town.net.run(2_000)
    town.box()
    before = town.height
    handle = town.net.nodes[0].machine.handle
    monkeypatch.setattr(
        town.net.nodes[0].machine,
        "handle",
        lambda event, now: handle(event, type(now)(now.mono_ms, now.wall_ms - 400)),
    )
    town.net.run(10_000)
    assert town.height > before
    kinds = [e["kind"] for h in range(before + 1, town.height + 1) for e in town.entries(h)]
    assert kinds == ["timer"]
    assert all(node.machine.core.replica.view == 0 for node in town.net.nodes)


def test_a_block_is_full_by_what_it_obeyed() -> None:
    """The last block before larger ones: what waits behind it does not blame the primary."""
    net = Net(parameters=Parameters(block_transactions_max=4))
    net.start()
    net.settle()
    propose = {
        "op": "gov.propose",
        "proposal": "p",
        "kind": "parameter",
        "body": {"parameters": {"block_transactions_max": 2_000}},
        "rationale": "0" * 64,
        "effective_height": 6,
        "until": GENESIS_TIME_MS // 1000 + 3_600,
    }
    vote = {"op": "gov.vote", "proposal": "p", "accept": True}
    for number, op in enumerate((propose, vote, vote)):
        net.submit(number, net.kit.sign(f"agency-{number}", "p", [op]))
        net.run(200)
    for number in range(20):
        net.submit(0, net.kit.sign("agency-0", f"d{number}", [document()]))
    backup = net.nodes[1].machine
    while backup.chain.height < 5:
        net.run(50)
    assert backup.chain.parameters.block_transactions_max == 2_000
    assert len(backup.mempool) > 0
    assert backup.mempool._patience_from_ms == net.now().mono_ms
