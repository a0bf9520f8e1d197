"""Evidence convicts who contradicted himself, and nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from consensus.evidence import Evidence, Statement, check_evidence, contradicts
from consensus.messages import ViewChange
from ledger import canonical
from ledger.certificate import Phase
from ledger.ids import ChainId, Epoch
from ledger.validators import ValidatorSet
from tests.consensus.bench import (
    GENESIS,
    KIT,
    START_MS,
    certify,
    header,
    propose,
    sign,
    view_change,
    vote,
)
from tests.sim.stand_in import StandInVerifier

A, B = b"a" * 32, b"b" * 32
VERIFIER = StandInVerifier()


def check(data: bytes) -> tuple[str, int]:
    return check_evidence(data, KIT.chain, KIT.validators, VERIFIER)


def guilty() -> dict[str, tuple[Statement, Statement]]:
    return {
        "prepare": (vote(Phase.PREPARE, A, 2), vote(Phase.PREPARE, B, 2)),
        "commit": (vote(Phase.COMMIT, A, 2), vote(Phase.COMMIT, B, 2)),
        "propose": (
            propose(header(1, GENESIS), 2),
            propose(header(1, GENESIS, time_ms=START_MS + 1), 2),
        ),
    }


@pytest.mark.parametrize("kind", ["prepare", "commit", "propose"])
def test_two_statements_convict_whatever_their_order(kind: str) -> None:
    first, second = guilty()[kind]
    assert contradicts(first, second)
    data = Evidence(first, second).encode(KIT.chain)
    assert data == Evidence(second, first).encode(KIT.chain)
    assert check(data) == (kind, 2)


def test_two_view_changes_contradict() -> None:
    first = view_change(2, 1)
    second = view_change(2, 1, highest=certify(Phase.PREPARE, A))
    assert contradicts(first, second)
    assert Evidence(first, second).kind == "view-change"
    with pytest.raises(ValueError, match="not votes"):  # their texts are hashes
        check(Evidence(first, second).encode(KIT.chain))


HONEST: dict[str, tuple[Statement, Statement]] = {
    "the same": (vote(Phase.PREPARE, A, 2), vote(Phase.PREPARE, A, 2)),
    "another phase": (vote(Phase.PREPARE, A, 2), vote(Phase.COMMIT, B, 2)),
    "another view": (vote(Phase.PREPARE, A, 2), vote(Phase.PREPARE, B, 2, view=1)),
    "another height": (vote(Phase.PREPARE, A, 2), vote(Phase.PREPARE, B, 2, height=2)),
    "another epoch": (vote(Phase.PREPARE, A, 2), vote(Phase.PREPARE, B, 2, epoch=1)),
    "another member": (vote(Phase.PREPARE, A, 2), vote(Phase.PREPARE, B, 3)),
    "another type": (vote(Phase.PREPARE, A, 2), propose(header(1, GENESIS), 2)),
}


@pytest.mark.parametrize("name", sorted(HONEST))
def test_what_a_correct_member_signs_convicts_nobody(name: str) -> None:
    first, second = HONEST[name]
    assert not contradicts(first, second)
    with pytest.raises(ValueError, match="evidence"):
        check(Evidence(first, second).encode(KIT.chain))


@pytest.mark.parametrize("other", [view_change(2, 2), view_change(3, 1), view_change(2, 1)])
def test_view_changes_that_agree(other: ViewChange) -> None:
    assert not contradicts(view_change(2, 1), other)
    assert not contradicts(view_change(2, 1), vote(Phase.PREPARE, A, 2))


def _document() -> dict[str, Any]:
    first, second = guilty()["prepare"]
    value: dict[str, Any] = canonical.decode(Evidence(first, second).encode(KIT.chain))
    return value


def _swap(value: dict[str, Any]) -> None:
    value["first"], value["second"] = value["second"], value["first"]


def _other_chain(value: dict[str, Any]) -> None:
    for name in ("first", "second"):
        value[name]["text"] = value[name]["text"].replace(KIT.chain, "test:" + "0" * 32)


def _set(key: str, to: object) -> Callable[[dict[str, Any]], None]:
    def change(value: dict[str, Any]) -> None:
        value[key] = to

    return change


def _set_inner(key: str, to: object) -> Callable[[dict[str, Any]], None]:
    def change(value: dict[str, Any]) -> None:
        value["first"][key] = to

    return change


CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "order": _swap,
    "chain": _other_chain,
    "type": _set("type", "muniment-evidence-v2"),
    "epoch": _set("epoch", 1),
    "member of another name": _set("member", 3),
    "member beyond the set": _set("member", 4),
    "member below the set": _set("member", -1),
    "member that is no number": _set("member", "2"),
    "kind": _set("kind", "commit"),
    "member added": _set("more", 1),
    "statement that is no object": _set("first", 1),
    "statement with more": _set_inner("more", 1),
    "text that is no text": _set_inner("text", 1),
    "text beyond ASCII": _set_inner("text", "ü"),
    "signature that is no text": _set_inner("signature", 1),
    "signature of another": _set_inner("signature", "A" * 86),
}


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_any_change_is_refused(name: str) -> None:
    value = _document()
    CHANGES[name](value)
    with pytest.raises(ValueError):
        check(msgspec.json.encode(value, order="sorted"))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"1", b'{"type": 1}', b"\xff"])
def test_what_is_no_evidence_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        check(data)


def test_evidence_is_of_one_epoch_and_one_chain() -> None:
    first, second = guilty()["prepare"]
    data = Evidence(first, second).encode(KIT.chain)
    with pytest.raises(ValueError, match="epoch"):
        check_evidence(data, KIT.chain, ValidatorSet(Epoch(1), KIT.validators.members), VERIFIER)
    with pytest.raises(ValueError, match="chain"):
        check_evidence(data, ChainId("other:" + "0" * 32), KIT.validators, VERIFIER)


def test_a_vote_signed_by_another_convicts_nobody() -> None:
    first = vote(Phase.PREPARE, A, 2)
    forged = sign(msgspec.structs.replace(first, block_hash=B), index=1)
    with pytest.raises(ValueError, match="signature"):
        check(Evidence(first, forged).encode(KIT.chain))  # type: ignore[arg-type]  # a vote
