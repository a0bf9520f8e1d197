"""Certificates: q distinct valid votes over one text, and nothing less."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ledger.certificate import (
    Certificate,
    Phase,
    genesis_certificate,
    message_text,
    verify_certificate,
    vote_text,
)
from ledger.crypto import Ed25519Verifier, sha256
from ledger.ids import BlockHash, ChainId, Epoch, Hash, Height, View
from ledger.validators import ValidatorSet
from tests.builders import make_genesis, signer

KIT = make_genesis(7)
GENESIS_BLOCK = sha256(b"block 0")
BLOCK = sha256(b"block 5")


def verify(certificate: Certificate, validators: ValidatorSet | None = None) -> None:
    verify_certificate(
        certificate, KIT.chain, validators or KIT.validators, GENESIS_BLOCK, Ed25519Verifier()
    )


def certificate(members: list[int], **changes: Any) -> Certificate:
    signers = {index: KIT.vote_signers[index] for index in members}
    return msgspec.structs.replace(KIT.certify(5, BLOCK, view=2, signers=signers), **changes)


def test_texts() -> None:
    chain = ChainId("c:" + "0" * 32)
    block = BlockHash(bytes(32))
    zeros = "0" * 64
    assert vote_text(chain, Epoch(1), Phase.PREPARE, View(2), Height(3), block) == (
        f"muniment-vote-v1\nc:{'0' * 32}\n1\nprepare\n2\n3\n{zeros}\n".encode()
    )
    assert message_text(chain, Epoch(1), "status", b"body") == (
        f"muniment-msg-v1\nc:{'0' * 32}\n1\nstatus\n{sha256(b'body').hex()}\n".encode()
    )


@pytest.mark.parametrize("members", [[0, 1, 2, 3, 4], [2, 3, 4, 5, 6], list(range(7))])
@pytest.mark.parametrize("phase", list(Phase))
def test_any_quorum_is_a_certificate(members: list[int], phase: Phase) -> None:
    signers = {index: KIT.vote_signers[index] for index in members}
    good = KIT.certify(5, BLOCK, phase=phase, signers=signers)
    verify(good)
    assert Certificate.from_json(good.to_json()) == good
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(good), type=Certificate) == good
    assert good.rank == (0, 5)


def test_less_than_a_quorum_is_refused() -> None:
    for members in ([], [0], [0, 1, 2, 3]):
        with pytest.raises(ValueError, match="want 5 votes"):
            verify(certificate(members))


def test_members_are_distinct_and_rising() -> None:
    votes = certificate([0, 1, 2, 3, 4]).signatures
    for changed in (
        (votes[0], *votes[:4]),
        tuple(reversed(votes)),
        (*votes[:4], (7, votes[4][1])),
        ((-1, votes[0][1]), *votes[1:]),
    ):
        with pytest.raises(ValueError, match="member"):
            verify(certificate([0, 1, 2, 3, 4], signatures=changed))


@pytest.mark.parametrize(
    "changes",
    [
        {"phase": Phase.PREPARE},
        {"view": 3},
        {"view": -1},
        {"height": 6},
        {"height": -5},
        {"height": 0},
        {"epoch": 1},
        {"block_hash": sha256(b"other")},
        {"block_hash": b""},
    ],
    ids=repr,
)
def test_a_changed_field_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        verify(certificate([0, 1, 2, 3, 4], **changes))


def test_one_bad_signature_spoils_all() -> None:
    signers = dict(enumerate(KIT.vote_signers))
    signers[6] = signer("stranger")
    with pytest.raises(ValueError, match="member 6"):
        verify(KIT.certify(5, BLOCK, signers=signers))
    votes = certificate([0, 1, 2, 3, 4]).signatures
    cut = (*votes[:4], (4, votes[4][1][:-1]))
    with pytest.raises(ValueError, match="member 4"):
        verify(certificate([0, 1, 2, 3, 4], signatures=cut))


def test_another_epochs_set_is_refused() -> None:
    later = ValidatorSet(Epoch(1), KIT.validators.members)
    with pytest.raises(ValueError, match="epoch"):
        verify(certificate([0, 1, 2, 3, 4]), later)


def test_genesis_is_pinned() -> None:
    verify(genesis_certificate(BlockHash(GENESIS_BLOCK)))
    with pytest.raises(ValueError):
        verify(genesis_certificate(BlockHash(BLOCK)))
    assert genesis_certificate(BlockHash(GENESIS_BLOCK)).to_json() == {
        "epoch": 0,
        "phase": "commit",
        "view": -1,
        "height": 0,
        "block_hash": GENESIS_BLOCK.hex(),
        "signatures": [],
    }


def test_json_of_another_shape_is_refused() -> None:
    good = certificate([0, 1, 2, 3, 4]).to_json()
    for changes in (
        {"phase": "abort"},
        {"view": "2"},
        {"block_hash": "00"},
        {"block_hash": good["block_hash"].upper()},
        {"signatures": [[0, "A"]]},
        {"signatures": [[0, good["signatures"][0][1], 1]]},
        {"extra": 1},
    ):
        with pytest.raises(ValueError):
            Certificate.from_json({**good, **changes})
    for name in good:
        with pytest.raises(ValueError):
            Certificate.from_json({key: part for key, part in good.items() if key != name})
    with pytest.raises(ValueError):
        Certificate.from_json(None)
    assert Hash(bytes.fromhex(good["block_hash"])) == BLOCK
