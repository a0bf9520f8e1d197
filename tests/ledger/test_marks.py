"""Replay marks, their minute hashes, their expiry and the agencies' quota."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest

from ledger.admission import Replayed
from ledger.executor import BlockInvalid
from ledger.marks import count_marks, find_mark, minute_of
from ledger.parameters import Parameters
from tests.builders import EXP, GENESIS_TIME_MS, make_genesis
from tests.chain import Chain, document


def _sign(chain: Chain, party: str, jti: str, exp: int = EXP) -> bytes:
    return chain.kit.sign(party, jti, [document(sha256(jti.encode()).hexdigest())], exp)


def test_the_minute_hash_is_the_one_of_the_specification() -> None:
    chain = Chain()
    raws = [_sign(chain, "agency-0", "a"), _sign(chain, "agency-1", "b")]
    chain.block(*raws)
    last = _sign(chain, "agency-0", "c", EXP + 1)
    chain.block(last)
    link = bytes(32)
    for name, raw in ((b"agency-0\na\n", raws[0]), (b"agency-1\nb\n", raws[1])):
        link = sha256(link + sha256(name).digest() + sha256(raw).digest()).digest()
    link = sha256(link + sha256(b"agency-0\nc\n").digest() + sha256(last).digest()).digest()
    minute = minute_of(EXP)
    assert minute == minute_of(EXP + 1)
    value = chain.state.get(b"mark/%d" % minute)
    assert value == json.dumps({"count": 3, "hash": link.hex()}, separators=(",", ":")).encode()
    assert count_marks(chain.state, "agency-0") == 2
    assert find_mark(chain.state, "agency-0", "a", chain.time_ms) == sha256(raws[0]).digest()


def test_a_replay_names_the_first_transaction() -> None:
    chain = Chain()
    raw = _sign(chain, "agency-0", "a")
    chain.block(raw)
    why = chain.refusal(_sign(chain, "agency-0", "a", EXP + 60))
    assert isinstance(why, Replayed)
    assert why.reason == "TX_REPLAYED"
    assert why.first == sha256(raw).digest()
    # Another party may use the same jti.
    assert chain.block(_sign(chain, "agency-1", "a"))[0]["status"] == "committed"


def test_a_replay_within_one_block_is_found() -> None:
    chain = Chain()
    pair = [_sign(chain, "agency-0", "a"), _sign(chain, "agency-0", "a", EXP + 60)]
    with pytest.raises(BlockInvalid, match="TX_REPLAYED"):
        chain.execute(pair)
    execution = chain.execute(pair, select=True)
    assert [d.why.reason for d in execution.dropped] == ["TX_REPLAYED"]


def test_marks_vanish_with_the_end_of_their_minute() -> None:
    chain = Chain()
    empty = chain.state.root
    chain.block(_sign(chain, "agency-0", "a", GENESIS_TIME_MS // 1000 + 90))
    minute = minute_of(GENESIS_TIME_MS // 1000 + 90)
    end = (minute + 1) * 60_000
    chain.block(time_ms=end - 1)
    assert chain.value(f"mark/{minute}")["count"] == 1
    chain.block(time_ms=end)
    assert chain.value(f"mark/{minute}") is None
    assert count_marks(chain.state, "agency-0") == 0
    tables = {key[:1] for key in chain.store.durable()}  # type: ignore[attr-defined]
    assert not tables & {b"r", b"m", b"n"}
    assert chain.state.root != empty  # the record stays


def test_a_jti_used_again_after_expiry_keeps_its_new_mark() -> None:
    chain = Chain()
    exp = GENESIS_TIME_MS // 1000 + 10
    exp -= exp % 60 - 61  # early in a minute
    chain.block(_sign(chain, "agency-0", "a", exp))
    second = _sign(chain, "agency-0", "a", exp + 600)
    entries = chain.block(second, time_ms=exp * 1000)
    assert entries[0]["reason"] == "RECORD_EXISTS"
    assert count_marks(chain.state, "agency-0") == 2
    chain.block(time_ms=(minute_of(exp) + 1) * 60_000)
    assert find_mark(chain.state, "agency-0", "a", chain.time_ms) == sha256(second).digest()
    assert count_marks(chain.state, "agency-0") == 1


def test_the_quota_is_per_agency_and_counts_the_block_itself() -> None:
    chain = Chain(make_genesis(4, parameters=Parameters(marks_per_party_max=16)))
    raws = [_sign(chain, "agency-0", f"j{n}") for n in range(17)]
    execution = chain.execute(raws, select=True)
    assert len(execution.included) == 16
    assert [d.why.reason for d in execution.dropped] == ["PARTY_MARKS_FULL"]
    with pytest.raises(BlockInvalid, match="PARTY_MARKS_FULL"):
        chain.execute(raws)
    chain.block(*raws[:16])
    why = chain.refusal(raws[16])
    assert why is not None
    assert why.reason == "PARTY_MARKS_FULL"
    chain.block(_sign(chain, "agency-1", "other"))
