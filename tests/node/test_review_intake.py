"""What a client or a peer can make a node keep, try again and complain about."""

from __future__ import annotations

from consensus.messages import ViewChange
from ledger.parameters import Parameters
from node.intake import RETRY_BYTES_MAX
from p2p import wire as peer_wire
from tests.builders import GENESIS_TIME_MS, signer
from tests.chain import document
from tests.node.small_net import Net


def _unknown(net: Net, number: int, size: int = 1) -> bytes:
    stranger = signer("nobody knows this key")
    ops = [document() for _ in range(size)]
    return net.kit.sign("agency-0", f"unknown-{number}", ops, key=stranger)


def test_an_unknown_key_is_tried_again_once() -> None:
    net = Net()
    node = net.nodes[0]
    intake = node.machine.intake
    for number in range(20):
        net.push(1, 0, peer_wire.encode(peer_wire.Transactions((_unknown(net, number),))))
    assert len(intake.retry) == 20
    assert intake.retry_all(0, net.now().wall_ms) == []
    assert not intake.retry, "else every block would pay for them again, for ever"


def test_what_a_client_was_told_no_about_is_not_taken_later() -> None:
    net = Net()
    net.start()
    net.submit(0, _unknown(net, 0))
    assert not net.nodes[0].machine.intake.retry


def test_the_retry_queue_is_bounded_in_bytes() -> None:
    net = Net()
    intake = net.nodes[0].machine.intake
    raw = _unknown(net, 0, 16)
    for number in range(2 * RETRY_BYTES_MAX // len(raw) // 100):
        for _ in range(100):
            intake.put_off(raw)
        assert number >= 0
    assert sum(map(len, intake.retry)) <= RETRY_BYTES_MAX


def test_a_full_quota_is_nobodys_fault() -> None:
    """Member 2 took one transaction more than the agency may have: no view change for that."""
    net = Net(parameters=Parameters(marks_per_party_max=16, block_transactions_max=16))
    net.start()
    net.settle()
    for number in range(16):
        raw = net.kit.sign("agency-0", f"jti-{number}", [document()])
        net.submit(number % 2, raw)
    extra = net.kit.sign("agency-0", "one-too-many", [document()])
    net.submit(2, extra)  # before it hears of the others
    assert len(net.nodes[2].machine.mempool) == 1
    net.run(1_000)
    asked = 0
    for _ in range(120):
        net.run(250)
        asked += sum(isinstance(s.message, ViewChange) for s in net.frames)
    assert all(node.machine.core.replica.view == 0 for node in net.nodes)


def test_a_far_expiry_is_not_dropped_because_the_chain_was_idle() -> None:
    """Admitted by the clock; the head's time is older, and a recheck must not judge by it."""
    net = Net()
    net.start()
    net.settle()
    net.run(50_000)
    now_s = (GENESIS_TIME_MS + 1_000 + net.ms) // 1000
    raw = net.kit.sign("agency-0", "far", [document()], exp=now_s + 86_400 - 1)
    node = net.nodes[2]
    net.submit(2, raw)
    assert len(node.machine.mempool) == 1
    node.machine.intake.recheck()
    assert len(node.machine.mempool) == 1
