"""How much work a cheap message may ask for."""

from __future__ import annotations

from consensus import messages
from consensus.messages import Decided, Propose, Status, ViewChange
from consensus.verify import CachedVerifier
from ledger.certificate import Phase, genesis_certificate
from ledger.crypto import Ed25519Verifier, sha256
from node import wire
from node.allowance import BURST_MS, Allowance
from node.verifier import CountingVerifier
from p2p import wire as peer_wire
from p2p.wire import BLOCKS
from tests.builders import signer
from tests.chain import document
from tests.node.small_net import Net, Sent


def _stuck(net: Net) -> None:
    """Node 0 has proposed and nobody answers."""
    net.start()
    net.settle()
    net.submit(0, net.kit.sign("agency-0", "jti-1", [document()]))
    net.ms += 500
    net.frames.clear()


def test_repeated_status_is_answered_once_in_a_while() -> None:
    net = Net()
    _stuck(net)
    status = net.signed(3, Status(0, 0, True, 0, False, 3, b""))
    for _ in range(100):
        net.say(3, 0, status)
    assert sum(isinstance(s.message, Propose) for s in net.frames) == 1
    net.ms += 500
    net.say(3, 0, status)
    assert sum(isinstance(s.message, Propose) for s in net.frames) == 2


def test_requests_for_blocks_are_rationed_and_paid_off() -> None:
    net = Net()
    net.start()
    net.settle()
    net.submit(0, net.kit.sign("agency-0", "jti-1", [document()]))
    net.run(200)
    assert net.nodes[0].height == 1
    payload = wire.encode(wire.WantBlocks(1, 64))
    for _ in range(1_000):
        net.deliver(Sent(3, 0, BLOCKS, payload))
    assert 1 <= sum(isinstance(s.message, wire.Blocks) for s in net.frames) < 20
    net.frames.clear()
    net.deliver(Sent(2, 0, BLOCKS, payload))
    assert len(net.frames) == 1, "others do not wait for it"
    net.ms += 10_000
    net.deliver(Sent(3, 0, BLOCKS, payload))
    assert len(net.frames) == 2


def test_view_changes_are_rationed() -> None:
    """A member may leave for one view after the other, each time with old certificates."""
    net = Net()
    net.start()
    net.settle()
    node = net.nodes[0]
    anchor = genesis_certificate(node.machine.chain.genesis_block)
    found = net.kit.certify(1, sha256(b"block"), phase=Phase.PREPARE)
    before = node.verifier.count
    for view in range(1, 2_000):
        net.say(3, 0, net.signed(3, ViewChange(0, view, anchor, found, 3, b"")))
    assert node.verifier.count - before < 2 * BURST_MS
    assert not node.charges


def test_what_is_decided_is_not_verified() -> None:
    net = Net()
    net.start()
    net.settle()
    net.submit(0, net.kit.sign("agency-0", "jti-1", [document()]))
    net.run(200)
    node = net.nodes[0]
    before = node.verifier.count
    net.say(3, 0, Decided(node.machine.chain.certificate))
    vote = messages.Vote(0, Phase.COMMIT, 0, 1, sha256(b"x"), 3, bytes(64))
    net.say(3, 0, vote)
    assert node.verifier.count == before


def test_the_dearest_message_passes_once() -> None:
    allowance = Allowance()
    assert allowance.spend("a", 50_000, 0)
    assert not allowance.spend("a", 1, 10)
    assert allowance.spend("b", 1, 10)
    assert allowance.spend("a", 1, 50_000 - BURST_MS)


def test_transactions_of_unknown_keys_are_rationed() -> None:
    """They are charged to nobody and cost a parse each."""
    net = Net()
    node = net.nodes[0]
    stranger = signer("a stranger")
    for number in range(BURST_MS + 500):
        raw = net.kit.sign("agency-0", f"jti-{number}", [document()], key=stranger)
        net.push(3, 0, peer_wire.encode(peer_wire.Transactions((raw,))))
        node.machine.intake.retry.clear()
        node.machine.intake.retry_bytes = 0
    good = net.kit.sign("agency-0", "good", [document()])
    net.push(3, 0, peer_wire.encode(peer_wire.Transactions((good,))))
    assert len(node.machine.mempool) == 0
    net.push(2, 0, peer_wire.encode(peer_wire.Transactions((good,))))
    assert len(node.machine.mempool) == 1
    assert not node.charges


def test_the_verifiers_memory_holds_no_transactions() -> None:
    net = Net(1)
    inner = CountingVerifier(Ed25519Verifier())
    cached = CachedVerifier(inner)
    key = net.signers[0]
    for text in (b"x" * 100_000, b"vote"):
        signature = key.sign(text)
        assert cached.verify(key.public_key, text, signature)
        assert cached.verify(key.public_key, text, signature)
    assert len(cached._valid) == 1
    assert inner.count == 3
