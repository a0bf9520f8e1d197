"""What one hostile member can make a node keep: rows, signatures, bodies, requests."""

from __future__ import annotations

import msgspec

from consensus.messages import Checkpoint, Propose, ViewChange, Vote
from consensus.replica import EARLY_PROPOSALS_MAX
from ledger import note
from ledger.certificate import Phase, genesis_certificate
from ledger.crypto import sha256
from ledger.ids import Hash, Height
from node import wire
from node.bodies import BODY_BYTES_MAX, Incomplete
from node.catchup import PATIENCE_MS, Catchup
from node.checkpoints import Checkpoints
from node.interpreter import ACCUSATIONS_MAX
from tests.builders import make_genesis
from tests.chain import document
from tests.node.small_net import Net


def _rows(net: Net, number: int, table: bytes) -> int:
    return sum(1 for _ in net.nodes[number].store.scan(table))


def test_a_member_that_contradicts_itself_for_ever_fills_no_disk() -> None:
    net = Net()
    net.start()
    net.settle()
    for number in range(100):
        vote = Vote(0, Phase.PREPARE, 0, 1, sha256(b"%d" % number), 3, b"")
        net.say(3, 0, net.signed(3, vote))
    assert 0 < _rows(net, 0, b"a") <= ACCUSATIONS_MAX


def test_a_member_that_leaves_twice_for_ever_fills_no_disk() -> None:
    net = Net()
    net.start()
    net.settle()
    anchor = genesis_certificate(net.nodes[0].machine.chain.genesis_block)
    for number in range(100):
        block = sha256(b"%d" % (number % 2))
        signers = dict(enumerate(net.kit.vote_signers[:3]))
        found = net.kit.certify(1, block, phase=Phase.PREPARE, signers=signers)
        change = ViewChange(0, 1 + number, anchor, found if number % 2 else anchor, 3, b"")
        net.say(3, 0, net.signed(3, change))
        other = ViewChange(0, 1 + number, anchor, anchor if number % 2 else found, 3, b"")
        net.say(3, 0, net.signed(3, other))
    assert 0 < _rows(net, 0, b"a") <= ACCUSATIONS_MAX


def test_early_messages_are_kept_once() -> None:
    """A replayed message must not push the others of its signer out."""
    net = Net()
    net.start()
    net.settle()
    first = Vote(0, Phase.PREPARE, 1, 1, sha256(b"block"), 1, b"")
    second = Vote(0, Phase.COMMIT, 1, 1, sha256(b"block"), 1, b"")
    net.say(1, 0, net.signed(1, first))
    for _ in range(100):
        net.say(3, 0, net.signed(1, second))
    early = net.nodes[0].machine.core.replica.early[1]
    assert len(early) == 2


def test_early_proposals_are_few() -> None:
    """Each may take a megabyte."""
    net = Net()
    net.start()
    net.settle()
    net.submit(0, net.kit.sign("agency-0", "jti-1", [document()]))
    net.run(50)
    net.frames.clear()
    made = net.nodes[0].machine.core.replica
    propose = next(iter(made.own_proposals.values()), None)
    if propose is None:  # committed already: take it from the store
        chain = net.nodes[0].machine.chain
        block = chain.archive.block(1)
        assert block is not None
        ids = tuple(sha256(raw) for raw in block.transactions)
        propose = Propose(
            0, 0, 1, block.header, chain.block_hash, block.commit, ids, block.evidence, 0, b""
        )
    target = Net().nodes[0].machine.core.replica
    for view in range(1, 50):
        target.keep_early(1, msgspec.structs.replace(propose, view=view, signer=1))
    kept = [m for m in target.early[1] if isinstance(m, Propose)]
    assert [m.view for m in kept] == [50 - EARLY_PROPOSALS_MAX + i for i in range(len(kept))]
    assert len(kept) == EARLY_PROPOSALS_MAX


def test_checkpoint_signatures_of_long_ago_are_not_kept() -> None:
    kit = make_genesis(4)
    gathered = Checkpoints(kit.chain)
    for height in range(0, 6_400, 64):
        text = note.note_text(kit.chain, Height(height), Hash(bytes(32)))
        message = Checkpoint(0, height, bytes(32), 3, kit.vote_signers[3].sign(text))
        assert gathered.add(message, 6_400, 64)
    assert len(gathered.votes) <= 8


def test_bodies_of_a_proposal_are_bounded() -> None:
    """Ids are the proposer's choice: each may be the hash of 16 MiB of nothing."""
    net = Net()
    blobs = [bytes([n]) * (BODY_BYTES_MAX // 4) for n in range(9)]
    ids = tuple(sha256(blob) for blob in blobs)
    anchor = genesis_certificate(net.nodes[0].machine.chain.genesis_block)
    propose = Propose(0, 0, 1, b"{}", sha256(b"{}"), anchor, ids, (), 0, b"")
    item = Incomplete(propose, {}, 0)
    bodies = net.nodes[0].machine.interpreter._bodies
    bodies.incomplete[propose.block_hash] = item
    for blob in blobs:
        assert bodies.receive(propose.block_hash, (blob,)) is None
    assert sum(map(len, item.found.values())) <= BODY_BYTES_MAX


def test_a_slow_liar_does_not_hold_catching_up() -> None:
    """It gives one block just within its time; the others must get their turn after it."""
    catchup = Catchup()
    for peer in ("a-liar", "b", "c"):
        catchup.claim(peer, 10_000)
    head, now_ms, asked = 0, 0, []
    for _ in range(9):
        request = catchup.next_request(head, now_ms)
        assert request is not None
        peer, want = request
        asked.append(peer)
        gained = 1 if peer == "a-liar" else wire.BLOCKS_MAX
        now_ms += PATIENCE_MS - 1 if peer == "a-liar" else 10
        assert want.start == head + 1
        assert catchup.answered(peer, head, head + gained)
        head += gained
    assert asked.count("a-liar") <= 3
    assert head >= 6 * wire.BLOCKS_MAX


def test_a_stale_proposals_bodies_are_not_executed() -> None:
    """Whoever completes the proposals of views that failed must not push out, one by one, the
    executed block of the view in force."""
    net = Net()
    net.start()
    net.settle()
    raw = net.kit.sign("agency-0", "jti-1", [document()])
    net.submit(0, raw)
    proposals = [s for s in net.frames if isinstance(s.message, Propose) and s.target == 1]
    net.frames.clear()
    net.deliver(proposals[0])
    node = net.nodes[1]
    interpreter = node.machine.interpreter
    (item,) = interpreter._bodies.incomplete.values()
    node.machine.core.replica.view = type(node.machine.core.replica.view)(1)
    interpreter.bodies_came(wire.Bodies(item.propose.block_hash, (raw,)))
    assert not node.machine.chain._candidates
