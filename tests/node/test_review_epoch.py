"""Members that sleep through the change of an epoch, and what they say when they wake."""

from __future__ import annotations

import msgspec

from consensus.events import Timer
from consensus.messages import Status, Vote
from ledger import base64url, transport_certificate
from ledger.certificate import Phase
from ledger.ids import Epoch
from ledger.validators import ValidatorSet
from node import wire
from node.daemon import peer_members
from node.outputs import Tick
from tests.chain import document
from tests.node.small_net import Net, Sent


def test_a_member_that_slept_through_a_smaller_set_stops_nobody() -> None:
    """Its STATUS is signed as number 4 of the old set; the new one ends at 3."""
    net = Net(5)
    net.start()
    net.settle()
    net.nodes[4].up = False
    net.submit(1, net.close_epoch([1, 2, 3, 4]))
    net.run(3_000)
    assert net.nodes[1].machine.chain.epoch == 1
    sleeper = net.nodes[4]
    assert sleeper.machine.chain.epoch == 0
    sleeper.up = True
    net.run(8_000)
    assert sleeper.machine.chain.epoch == 1
    assert len({node.height for node in net.nodes}) == 1
    net.submit(1, net.kit.sign("agency-1", "later", [document()]))
    net.run(2_000)
    assert sleeper.height == net.nodes[1].height > 1


def test_somebody_elses_status_earns_no_answer() -> None:
    """A replayed STATUS must not aim the answers at the member that signed it."""
    net = Net()
    net.start()
    net.settle()
    net.submit(0, net.kit.sign("agency-0", "jti-1", [document()]))
    net.run(50)
    status = Status(0, 0, True, 0, False, 3, b"")
    old = net.signed(3, status)
    net.frames.clear()
    net.say(2, 0, old)
    assert not [frame for frame in net.frames if frame.target == 3]


def test_a_member_that_cannot_be_reached_stops_nobody_else() -> None:
    """The ledger took an address and a certificate that the transport cannot use."""
    kit = Net().kit
    members = list(kit.validators.members)
    members[0] = msgspec.structs.replace(members[0], address="127.0.0.1:70000")
    der = bytearray(base64url.decode(members[1].transport_certificate))
    der[der.index(0x31, 10)] = 0x05  # inside a name, where the ledger's reader does not look
    assert transport_certificate.public_key(bytes(der))
    members[1] = msgspec.structs.replace(
        members[1], transport_certificate=base64url.encode(bytes(der))
    )
    usable = peer_members(ValidatorSet(Epoch(1), tuple(members)))
    assert [peer.name for peer in usable] == ["member-2", "member-3"]


def test_what_came_before_the_epoch_opened_here_is_asked_for_at_once() -> None:
    """Member 2 opens the epoch last and the fourth is dead: nothing goes on without member 2, and
    what it heard of the new epoch was dropped unread."""
    net = Net()
    net.start()
    net.settle()
    net.nodes[3].up = False
    net.submit(0, net.close_epoch([0, 1, 2, 3]))
    late: list[Sent] = []
    for _ in range(60):
        net.ms += 10
        for node in net.nodes[:3]:
            for timer in [t for t, (_, due) in node.timers.items() if due <= net.ms]:
                net.fire(node.number, timer)
            net.post(node, Tick())
        if net.nodes[0].machine.chain.epoch == 1 and not net.frames:
            break
        while net.frames:
            sent = net.frames.popleft()
            message = sent.message
            if sent.target == 2 and isinstance(message, Vote) and message.phase is Phase.COMMIT:
                late.append(sent)
            elif not isinstance(message, wire.Blocks):
                net.deliver(sent)
    assert [node.machine.chain.epoch for node in net.nodes[:3]] == [1, 1, 0]
    height = net.nodes[0].height
    net.submit(0, net.kit.sign("agency-0", "next", [document()]))
    if Timer.PROPOSE in net.nodes[0].timers:
        net.fire(0, Timer.PROPOSE)
    while net.frames:
        net.deliver(net.frames.popleft())
    for sent in late:
        net.deliver(sent)
    net.run(400)
    assert net.nodes[2].machine.chain.epoch == 1
    assert net.nodes[0].height == height + 1
    assert net.nodes[0].machine.core.replica.view == 0
