"""What a crash leaves in the store, and what becomes of it."""

from __future__ import annotations

from consensus.events import Started, Timer
from consensus.messages import Propose
from ledger.store import MemoryStore
from tests.chain import document
from tests.node.small_net import Net


def _bodies(net: Net, number: int) -> set[bytes]:
    keys = {key[9:] for key, _ in net.nodes[number].store.scan(b"B")}
    return keys - {b"entries"}


def test_the_body_of_a_block_that_lost_does_not_stay_after_a_crash() -> None:
    """Member 1 prepared a block that nobody else saw, and crashed; another block won."""
    net = Net()
    net.start()
    net.settle()
    raw = net.kit.sign("agency-0", "jti-1", [document()])
    net.submit(0, raw)
    net.submit(1, raw)
    proposals = [s for s in net.frames if isinstance(s.message, Propose) and s.target == 1]
    net.frames.clear()
    net.deliver(proposals[0])
    net.frames.clear()
    assert net.nodes[1].machine.core.replica.own_votes
    lost = proposals[0].message
    assert isinstance(lost, Propose)
    assert lost.block_hash in _bodies(net, 1)
    net.nodes[0].up = False
    net.nodes[1] = net.open(1, MemoryStore(net.nodes[1].store.durable().items()))
    net.ms += 5_000
    net.post(net.nodes[1], Started())
    for number in (1, 2, 3):
        net.submit(number, net.kit.sign("agency-1", "jti-2", [document()]))
    for node in net.nodes[1:]:
        if Timer.PROGRESS in node.timers:
            net.fire(node.number, Timer.PROGRESS)
    net.run(5_000)
    chain = net.nodes[1].machine.chain
    assert chain.height >= 1
    assert chain.archive.block_hash(1) != lost.block_hash
    committed = {chain.archive.block_hash(height) for height in range(1, chain.height + 1)}
    assert _bodies(net, 1) == committed
