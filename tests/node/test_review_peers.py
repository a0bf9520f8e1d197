"""What a hostile peer may send without stopping a node, and what he may not make others believe."""

from __future__ import annotations

import msgspec
import pytest

from consensus.events import Timer
from consensus.messages import Propose
from ledger.block import Header
from ledger.crypto import sha256
from ledger.merkle import root as merkle_root
from tests.chain import document
from tests.node.small_net import Net


def _proposal(net: Net, leader: int = 0) -> Propose:
    """The leader's first proposal, taken off the wire before anybody saw it."""
    net.start()
    net.settle()
    net.submit(leader, net.kit.sign("agency-0", "jti-1", [document()]))
    if Timer.PROPOSE in net.nodes[leader].timers:
        net.fire(leader, Timer.PROPOSE)
    found = [s.message for s in net.frames if isinstance(s.message, Propose)]
    net.frames.clear()
    message = found[0]
    assert isinstance(message, Propose)
    return message


@pytest.mark.parametrize(
    "item", [b"[" * 100_000, b'{"a":' * 50_000, b'{"a":1' + b"0" * 40 + b"}", b"1e999", b"{}"]
)
def test_hostile_evidence_in_a_proposal_stops_no_node(item: bytes) -> None:
    net = Net()
    honest = _proposal(net)
    header = msgspec.structs.replace(
        Header.decode(honest.header), evidence_root=merkle_root([item]).hex()
    )
    unsigned = msgspec.structs.replace(
        honest,
        header=header.encode(),
        block_hash=sha256(header.encode()),
        evidence=(item,),
    )
    bad = net.signed(0, unsigned)
    body = net.kit.sign("agency-0", "jti-1", [document()])
    net.submit(1, body)
    net.frames.clear()
    net.say(0, 1, bad)
    assert net.nodes[1].height == 0
    assert not net.nodes[1].stops
    assert not net.nodes[1].machine.core.replica.installed, "a bad block is a reason to leave"


def test_a_relay_cannot_spoil_an_honest_proposal() -> None:
    """ids, evidence and commit are not under the signature: the header vouches for them."""
    net = Net()
    honest = _proposal(net)
    forged = msgspec.structs.replace(honest, transaction_ids=(bytes(32),))
    net.say(2, 1, forged)
    assert net.nodes[1].charges, "whoever passed it on is at fault"
    net.say(0, 1, honest)
    net.settle()
    net.run(100)
    assert net.nodes[1].machine.core.replica.view == 0
    assert net.nodes[1].machine.core.replica.slots[1].judged


def test_a_relay_cannot_depose_an_honest_primary() -> None:
    net = Net()
    honest = _proposal(net)
    forged = msgspec.structs.replace(honest, transaction_ids=())
    net.say(2, 1, forged)
    assert net.nodes[1].machine.core.replica.installed
    assert net.nodes[1].machine.core.replica.view == 0
