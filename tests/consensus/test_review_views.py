"""View changes at the edge: who committed what, and who is gone, when the next view begins."""

from __future__ import annotations

from consensus import records
from consensus.events import Started, Timer
from consensus.messages import NewView, ViewChange, Vote
from ledger.certificate import Phase, genesis_certificate
from node.outputs import Stop
from tests.chain import document
from tests.node.small_net import Net, Sent


def _is_commit(sent: Sent) -> bool:
    message = sent.message
    return isinstance(message, Vote) and message.phase is Phase.COMMIT


def _only_three_commits(net: Net) -> None:
    """Height 1: everybody prepared and said COMMIT; member 3 alone heard a quorum of them."""
    net.start()
    net.settle()
    net.submit(0, net.kit.sign("agency-0", "jti-1", [document()]))
    while net.frames:
        sent = net.frames.popleft()
        if _is_commit(sent) and sent.target != 3:
            continue
        net.deliver(sent)
        if Timer.PROPOSE in net.nodes[0].timers and net.nodes[0].height == 0:
            net.fire(0, Timer.PROPOSE)
    assert [node.height for node in net.nodes] == [0, 0, 0, 1]


def _leave(net: Net, late: int) -> None:
    """Everybody asks for view 1; what `late` says comes too late for its NEW-VIEW."""
    for node in net.nodes:
        node.machine.core.replica.work_pending = True
        net.fire(node.number, Timer.PROGRESS)
    kept = [s for s in net.frames if isinstance(s.message, ViewChange) and s.source != late]
    net.frames.clear()
    net.frames.extend(kept)


def test_nothing_is_proposed_below_a_views_start() -> None:
    """Member 3 committed block 1 and showed it in NEW-VIEW; then only the others are left."""
    net = Net()
    _only_three_commits(net)
    block = net.nodes[3].machine.chain.block_hash
    _leave(net, late=2)
    net.settle()
    net.nodes[3].up = False
    net.run(5_000)
    for node in net.nodes[:3]:
        found = node.machine.chain.archive.block_hash(1)
        assert found in (None, block)


def test_a_commit_that_nobody_left_alive_applied_is_applied_again() -> None:
    """The three others prepared block 1 and hold its body; its commit certificate stands in
    NEW-VIEW. They must go on although the one member that committed it is gone."""
    net = Net()
    _only_three_commits(net)
    block = net.nodes[3].machine.chain.block_hash
    _leave(net, late=2)
    while net.frames:
        sent = net.frames.popleft()
        net.nodes[3].up = net.nodes[1].machine.core.replica.new_view is None
        net.deliver(sent)
    assert net.nodes[1].machine.core.replica.new_view is not None
    assert net.nodes[1].height == 0
    net.nodes[3].up = False
    net.submit(1, net.kit.sign("agency-1", "jti-2", [document()]))
    net.run(60_000)
    for node in net.nodes[:3]:
        assert node.machine.chain.archive.block_hash(1) == block
        assert node.height >= 2


def test_a_contradiction_found_at_the_start_stops_the_node() -> None:
    """The NEW-VIEW on the disk re-proposes another block than the one committed."""
    net = Net()
    net.start()
    net.settle()
    net.submit(0, net.kit.sign("agency-0", "jti-1", [document()]))
    net.run(200)
    node = net.nodes[0]
    assert node.height == 1
    anchor = genesis_certificate(node.machine.chain.genesis_block)
    other = net.kit.certify(1, bytes(32), phase=Phase.PREPARE)
    unsigned = [ViewChange(0, 1, anchor, other, i, b"") for i in range(3)]
    changes = tuple(net.signed(change.signer, change) for change in unsigned)
    view = net.signed(1, NewView(0, 1, changes, 1, b""))
    record = records.ViewRecord(0, 1, True, view, None)
    node.store.stage({records.VIEW: records.encode_view(record)})
    node.store.flush()
    again = net.open(0, node.store)
    outputs = again.machine.handle(Started(), net.now())
    assert [o.reason for o in outputs if isinstance(o, Stop)] == ["SAFETY_VIOLATION"]
    assert again.machine.handle(Started(), net.now()) == []
