"""Admission: each inadmissible reason, what is tried again, what a block makes inadmissible."""

from __future__ import annotations

import pytest

from ledger.crypto import sha256
from ledger.ids import TxId
from ledger.parameters import Parameters
from node.intake import RETRIED, STATELESS
from node.mempool import Limits
from tests.builders import EXP, GENESIS_TIME_MS, kid_of, make_genesis, signer
from tests.node.chains import PARTY, WALL_MS, Grown, document

SMALL = Parameters(
    transaction_bytes_max=2048, operations_max=2, marks_per_party_max=16, expiry_ahead_max_ms=60_000
)
NEAR = GENESIS_TIME_MS // 1000 + 30


@pytest.fixture
def grown() -> Grown:
    return Grown(make_genesis(4, parameters=SMALL))


def reason(grown: Grown, raw: bytes, wall_ms: int = WALL_MS) -> str:
    """Why admission says no; `check` must say the same and change nothing."""
    before = len(grown.intake.mempool)
    checked = grown.intake.check(raw, 0, wall_ms)
    assert len(grown.intake.mempool) == before
    outcome, waiting = grown.intake.admit(raw, 0, wall_ms)
    assert outcome == checked
    assert (waiting is None) == bool(outcome.reason or outcome.status == "known")
    return outcome.reason


def test_each_reason(grown: Grown) -> None:
    good = grown.tx(exp=NEAR)
    other = "other:" + "0" * 32
    claims = {"iss": PARTY, "aud": other, "jti": "x", "exp": NEAR, "ops": [document()]}
    from ledger import transaction

    cases = {
        "TX_TOO_LARGE": b"a" * 2049,
        "TX_MALFORMED": good[:-1],
        "TX_HEADER_INVALID": b"e30" + good[good.index(b".") :],
        "TX_PAYLOAD_INVALID": grown.tx(exp=-1),
        "TX_TOO_MANY_OPERATIONS": grown.tx(*[document(n) for n in range(3)], exp=NEAR),
        "TX_UNKNOWN_OPERATION": grown.tx({"op": "x"}, exp=NEAR),
        "TX_SCHEMA_INVALID": grown.tx({"op": "document.attest"}, exp=NEAR),
        "TX_WRONG_CHAIN": transaction.sign(claims, grown.kit.agency_signers[PARTY]),
        "TX_UNKNOWN_KEY": grown.tx(exp=NEAR, key=signer("stranger")),
        "TX_SIGNATURE_INVALID": transaction.sign(
            {**claims, "aud": grown.chain.id},
            signer("stranger"),
            kid_of(grown.kit.agency_signers[PARTY]),
        ),
        "TX_EXPIRED": grown.tx(exp=GENESIS_TIME_MS // 1000),
        "TX_EXPIRY_TOO_FAR": grown.tx(exp=EXP),
    }
    for expected, raw in cases.items():
        assert reason(grown, raw) == expected
    # What is too large here may be right for a peer that is a block ahead.
    limits = {"TX_TOO_LARGE", "TX_TOO_MANY_OPERATIONS"}
    assert set(cases) - STATELESS - RETRIED == {"TX_EXPIRED"} | limits
    assert reason(grown, good) == ""
    assert grown.intake.admit(good, 0, WALL_MS)[0].status == "known"


def test_the_later_of_both_clocks_counts(grown: Grown) -> None:
    raw = grown.tx(exp=NEAR)
    assert reason(grown, raw, WALL_MS + 30_000) == "TX_EXPIRED"
    assert reason(grown, raw, 0) == ""


def test_replays_in_the_mempool_and_on_the_chain(grown: Grown) -> None:
    first, second = grown.tx(jti="same", exp=NEAR), grown.tx(jti="same", exp=NEAR + 1)
    assert reason(grown, first) == ""
    outcome, _ = grown.intake.admit(second, 0, WALL_MS)
    assert (outcome.reason, outcome.id) == ("TX_REPLAYED", TxId(sha256(first)))
    candidate = grown.block(first)
    grown.intake.committed(candidate.transactions, keys_changed=False)
    assert len(grown.intake.mempool) == 0
    outcome, _ = grown.intake.admit(second, 0, WALL_MS)
    assert (outcome.reason, outcome.id) == ("TX_REPLAYED", TxId(sha256(first)))
    assert grown.intake.admit(first, 0, WALL_MS)[0].status == "known"


def test_marks_that_wait_count_towards_the_quota(grown: Grown) -> None:
    for _ in range(16):
        assert reason(grown, grown.tx(exp=NEAR)) == ""
    assert reason(grown, grown.tx(exp=NEAR)) == "PARTY_MARKS_FULL"
    assert reason(grown, grown.tx(exp=NEAR, party="agency-1")) == ""


def test_a_full_mempool(grown: Grown) -> None:
    tight = Grown(grown.kit, limits=Limits(transactions_max=1))
    assert reason(tight, tight.tx(exp=NEAR)) == ""
    assert reason(tight, tight.tx(exp=NEAR)) == "MEMPOOL_FULL"


def test_a_peers_early_transaction_is_tried_again_once(grown: Grown) -> None:
    too_far = grown.tx(exp=NEAR + 60)
    assert grown.intake.admit(too_far, 0, WALL_MS, again=True)[0].reason == "TX_EXPIRY_TOO_FAR"
    (taken,) = grown.intake.retry_all(0, WALL_MS + 40_000)
    assert taken.admitted.transaction.raw == too_far
    assert grown.intake.retry_all(0, WALL_MS + 40_000) == []


def test_the_loser_of_two_with_one_mark_goes_when_the_other_commits(grown: Grown) -> None:
    here, there = grown.tx(jti="same", exp=NEAR), grown.tx(jti="same", exp=NEAR + 1)
    assert reason(grown, here) == ""
    candidate = grown.block(there)
    grown.intake.committed(candidate.transactions, keys_changed=False)
    assert TxId(sha256(here)) not in grown.intake.mempool


def test_expired_ones_are_remembered_as_such(grown: Grown) -> None:
    raw = grown.tx(exp=NEAR)
    assert reason(grown, raw) == ""
    grown.intake.expire(NEAR * 1000 - 1)
    assert TxId(sha256(raw)) in grown.intake.mempool
    grown.intake.expire(NEAR * 1000)
    assert TxId(sha256(raw)) not in grown.intake.mempool
    assert TxId(sha256(raw)) in grown.intake.expired
