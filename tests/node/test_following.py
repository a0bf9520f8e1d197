"""Catching up, fetching bodies, answering other nodes, checkpoint notes."""

from __future__ import annotations

import msgspec
import pytest

from consensus.messages import Checkpoint, Propose
from ledger.crypto import Ed25519Verifier, sha256
from ledger.ids import Height, MemberIndex
from ledger.note import note_text
from node import serving, wire
from node.bodies import ASK_AGAIN_MS, WAITING_MAX, Bodies
from node.catchup import PATIENCE_MS, Catchup
from node.checkpoints import OPEN_MAX, Checkpoints
from p2p.wire import BLOCKS, PAYLOAD_BYTES_MAX
from tests.builders import make_genesis
from tests.node.chains import Grown

# ----- catch-up


def test_nobody_is_asked_until_somebody_claims_more() -> None:
    catchup = Catchup()
    catchup.claim("a", 5)
    assert catchup.next_request(5, 0) is None
    assert catchup.next_request(4, 0) == ("a", wire.WantBlocks(5, wire.BLOCKS_MAX))
    assert catchup.next_request(4, PATIENCE_MS - 1) is None


def test_a_silent_peer_yields_to_the_next_and_all_are_tried() -> None:
    catchup = Catchup()
    for peer in "abc":
        catchup.claim(peer, 9)
    asked = []
    for turn in range(6):
        request = catchup.next_request(0, turn * PATIENCE_MS)
        assert request is not None
        asked.append(request[0])
    assert sorted(asked[:3]) == sorted(asked[3:]) == ["a", "b", "c"]


def test_a_claim_that_is_not_shown_is_forgotten() -> None:
    catchup = Catchup()
    catchup.claim("liar", 10**9)
    assert catchup.next_request(3, 0) is not None
    assert not catchup.answered("other", 3, 3)
    assert catchup.answered("liar", 3, 3)
    assert catchup.next_request(3, 1) is None
    assert not catchup.answered("liar", 3, 3)


def test_one_liar_does_not_make_a_node_look_behind() -> None:
    catchup = Catchup()
    assert catchup.behind(7, 1) == 0
    catchup.claim("liar", 2**53)
    assert catchup.behind(7, 1) == 0
    catchup.claim("honest", 12)
    assert catchup.behind(7, 1) == 5
    assert catchup.behind(20, 1) == 0
    assert catchup.behind(7, 0) == 2**53 - 7


# ----- bodies

RAWS = [b"one", b"two", b"three"]


def propose(height: int = 1, tag: bytes = b"h") -> Propose:
    commit = make_genesis(4).certify(0, bytes(32))
    ids = tuple(sha256(raw) for raw in RAWS)
    return Propose(0, 0, height, tag, sha256(tag), commit, ids, (), 0, b"")


def test_a_proposal_becomes_whole_from_what_is_its_own() -> None:
    bodies = Bodies()
    item = bodies.begin(propose(), {sha256(b"one"): b"one"}, 0)
    assert item.missing() == (sha256(b"two"), sha256(b"three"))
    assert bodies.receive(b"other", (b"two",)) is None
    assert bodies.receive(item.propose.block_hash, (b"junk", b"two")) is None
    whole = bodies.receive(item.propose.block_hash, (b"three",))
    assert whole is not None
    assert list(whole.block().transactions) == RAWS
    assert bodies.receive(item.propose.block_hash, (b"three",)) is None


def test_what_does_not_come_is_asked_again_and_old_proposals_make_room() -> None:
    bodies = Bodies()
    for number in range(WAITING_MAX + 2):
        bodies.begin(propose(number + 1, b"%d" % number), {}, 0)
    assert len(bodies.incomplete) == WAITING_MAX
    assert bodies.due(ASK_AGAIN_MS - 1) == []
    assert len(bodies.due(ASK_AGAIN_MS)) == WAITING_MAX
    assert bodies.due(ASK_AGAIN_MS + 1) == []
    bodies.forget(5)
    assert all(item.propose.height > 5 for item in bodies.incomplete.values())


# ----- serving


@pytest.fixture(scope="module")
def grown() -> Grown:
    made = Grown()
    for _ in range(5):
        made.block(made.tx(), made.tx())
    return made


def test_blocks_come_with_certificates_and_within_bounds(grown: Grown) -> None:
    chain = grown.chain
    answer = serving.blocks(chain, wire.WantBlocks(2, 2))
    assert [certificate.height for _, certificate in answer.blocks] == [2, 3]
    for start, count in ((6, 10), (2**60, 1), (1, 0), (1, -5), (-5, 1)):
        assert serving.blocks(chain, wire.WantBlocks(start, count)).blocks == ()
    assert len(serving.blocks(chain, wire.WantBlocks(0, 2**40)).blocks) == 5


def test_bodies_are_given_once_each_whatever_is_asked(grown: Grown) -> None:
    block = grown.chain.archive.block(3)
    assert block is not None
    block_hash = sha256(block.header)
    first, second = (sha256(raw) for raw in block.transactions)
    answer = serving.bodies(grown.chain, wire.WantBodies(block_hash, (second, bytes(32), first)))
    assert answer is not None
    assert answer.transactions == (block.transactions[1], block.transactions[0])
    many = wire.WantBodies(block_hash, (first,) * wire.IDS_MAX)
    answer = serving.bodies(grown.chain, many)
    assert answer is not None
    assert answer.transactions == (block.transactions[0],)
    assert len(wire.encode(answer)) < PAYLOAD_BYTES_MAX[BLOCKS]
    assert serving.bodies(grown.chain, wire.WantBodies(bytes(32), (first,))) is None
    assert serving.bodies(grown.chain, wire.WantBodies(block_hash, (bytes(32),))) is None
    too_many = wire.WantBodies(block_hash, (first,) * (wire.IDS_MAX + 1))
    assert serving.bodies(grown.chain, too_many) is None
    whole = serving.block(grown.chain, wire.WantBlock(block_hash))
    assert whole == wire.BlockAnswer(block)
    assert serving.block(grown.chain, wire.WantBlock(b"short")) is None


def test_block_messages_have_one_encoding(grown: Grown) -> None:
    for message in (
        serving.blocks(grown.chain, wire.WantBlocks(1, 64)),
        wire.WantBlocks(1, 2),
        wire.WantBodies(b"h", (b"i",)),
        wire.WantBlock(b"h"),
    ):
        data = wire.encode(message)
        assert wire.decode(data) == message
        for bad in (data + b"\x00", data[:-1], b"\xc1", b""):
            with pytest.raises(ValueError):
                wire.decode(bad)
    loose = msgspec.msgpack.encode(["want-blocks", 1.0, 2])
    with pytest.raises(ValueError):
        wire.decode(loose)


# ----- checkpoints


def test_a_note_needs_a_quorum_for_the_root_computed_here() -> None:
    kit = make_genesis(4)
    notes = Checkpoints(kit.chain)
    root = sha256(b"root")
    made = [
        notes.sign(4, root, 0, MemberIndex(index), key)
        for index, key in enumerate(kit.vote_signers)
    ]
    assert notes.add(made[0], 4, 4)
    assert notes.note(4, kit.validators) is None
    notes.committed(4, root)
    for message in made[1:2]:
        assert notes.add(message, 4, 4)
    assert notes.note(4, kit.validators) is None
    assert notes.add(made[2], 4, 4)
    text = notes.note(4, kit.validators)
    assert text is not None
    assert text.startswith(note_text(kit.chain, Height(4), root))
    assert text.decode().count("— ") == 3
    wrong = Checkpoint(0, 4, sha256(b"other"), 3, b"")
    assert not notes.add(wrong, 4, 4)
    verifier = Ed25519Verifier()
    for index, message in enumerate(made):
        signed = note_text(kit.chain, Height(4), root)
        key = kit.vote_signers[index].public_key
        assert verifier.verify(key, signed, message.signature)


def test_checkpoints_of_no_interest_are_not_kept() -> None:
    notes = Checkpoints(make_genesis(4).chain)
    for height in (3, 4 + 4 * 10, 10**9):
        assert notes.add(Checkpoint(0, height, bytes(32), 1, b""), 4, 4)
    assert notes.votes == {}
    for number in range(1, 20):
        notes.committed(number * 4, bytes(32))
        notes.add(Checkpoint(0, number * 4, bytes(32), 1, b""), number * 4, 4)
    assert len(notes.roots) == OPEN_MAX
    assert len(notes.votes) <= 2 * OPEN_MAX + 1
