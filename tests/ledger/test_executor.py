"""Blocks: order, atomicity, determinism, and what makes a block invalid."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ledger import canonical
from ledger.entry import TxEntry
from ledger.executor import BlockInvalid
from ledger.ids import TxId
from ledger.leveldb import LevelStore
from ledger.parameters import Parameters
from ledger.state import State
from ledger.store import MemoryStore
from ledger.transaction import sign
from tests.builders import EXP, kid_of, make_genesis, signer
from tests.chain import Chain, document


def _rotation(chain: Chain, party: str, new: str, old: str) -> dict[str, Any]:
    op = chain.client(party, signer(new))
    del op["kind"]
    return {**op, "op": "party.rotate", "retire": [kid_of(signer(old))]}


def test_genesis_state_holds_what_the_specification_lists() -> None:
    chain = Chain()
    store = chain.store
    assert isinstance(store, MemoryStore)
    keys = {key[1:].decode() for key, _ in store.scan(b"s")}
    kids = {kid_of(key) for key in chain.kit.agency_signers.values()}
    parties = set(chain.kit.agency_signers)
    assert keys == (
        {f"agency/{p}" for p in parties}
        | {f"party/{p}" for p in parties}
        | {f"key/{kid}" for kid in kids}
        | {"sys/epoch", "sys/parameters", "sys/validators"}
    )
    assert chain.value("sys/epoch") == {"epoch": 0, "first_height": 0}
    assert chain.value("sys/validators") == chain.validators.to_json()
    for key, value in store.scan(b"s"):
        assert value == canonical.encode_any(json.loads(value)), key
    assert State.load(store).root == chain.state.root


def test_entries_follow_the_transactions() -> None:
    chain = Chain()
    raws = [chain.kit.sign("agency-0", "a", [document(), document("cd" * 32)])]
    raws.append(chain.kit.sign("agency-0", "b", [{"op": "document.attest", "id": "a/" + "0" * 32}]))
    entries = chain.block(*raws)
    assert [TxEntry.from_json(entry).index for entry in entries] == [0, 1]
    assert [entry["tx"] for entry in entries] == [sha256(raw).hexdigest() for raw in raws]
    assert [len(entry["results"]) for entry in entries] == [2, 0]
    assert (entries[1]["status"], entries[1]["reason"]) == ("refused", "RECORD_UNKNOWN")


def test_a_refusal_changes_only_the_mark() -> None:
    chain = Chain()
    attest = {"op": "document.attest", "id": "deed/" + "0" * 32}
    before = dict(chain.store.scan(b"s"))
    execution = chain.execute([chain.kit.sign("agency-0", "a", [document(), attest])])
    entry = json.loads(execution.entries[0])
    assert (entry["reason"], entry["operation"]) == ("RECORD_UNKNOWN", 1)
    changed = {key for key in execution.state.writes if key.startswith(b"s")}
    assert changed == {b"smark/%d" % (EXP // 60)}
    assert {key[:1] for key in execution.state.writes} == {b"s", b"r", b"m", b"n"}
    # The root is that of the old set with the mark's key.
    draft = chain.state.draft()
    mark = execution.state.get(b"mark/%d" % (EXP // 60))
    assert mark is not None
    draft.put(b"mark/%d" % (EXP // 60), mark)
    assert draft.seal().root == execution.state.root
    assert dict(chain.store.scan(b"s")) == before


def test_a_later_operation_sees_an_earlier_one() -> None:
    chain = Chain()
    register = chain.client("clerk", signer("one"))
    rotate = _rotation(chain, "clerk", "two", "one")
    entry = chain.run("agency-0", register, rotate)
    assert entry["results"] == [{"party": "clerk"}, {"party": "clerk", "seq": 1}]


def test_a_key_must_be_active_before_the_block_and_in_block_order() -> None:
    chain = Chain()
    one = signer("one")
    register = chain.kit.sign("agency-0", "r", [chain.client("clerk", one)])
    early = chain.kit.sign("clerk", "d", [document()], key=one)
    # Registered earlier in the same block: not in the state before it.
    with pytest.raises(BlockInvalid, match="TX_UNKNOWN_KEY"):
        chain.execute([register, early])
    chain.block(register)
    late = chain.kit.sign("clerk", "e", [document("cd" * 32)], key=one)
    rotate = chain.kit.sign("agency-0", "s", [_rotation(chain, "clerk", "two", "one")])
    with pytest.raises(BlockInvalid, match="TX_KEY_REVOKED") as caught:
        chain.execute([early, rotate, late])
    assert caught.value.reason == "TX_KEY_REVOKED"
    execution = chain.execute([early, rotate, late], select=True)
    assert [d.admitted.transaction.raw for d in execution.dropped] == [late]
    assert [a.transaction.raw for a in execution.included] == [early, rotate]


def test_signatures_are_verified_unless_known_to_be_valid() -> None:
    chain = Chain()
    raw = chain.kit.sign("agency-0", "a", [document()])
    forged = raw[: raw.rindex(b".")] + b"." + b"A" * 86
    with pytest.raises(BlockInvalid, match="TX_SIGNATURE_INVALID"):
        chain.execute([forged])
    known = {TxId(sha256(forged).digest())}
    assert len(chain.execute([forged], known_valid=known).included) == 1
    dropped = chain.execute([forged, raw], select=True)
    assert [d.why.reason for d in dropped.dropped] == ["TX_SIGNATURE_INVALID"]
    assert len(dropped.included) == len(dropped.entries) == 1


def test_expired_transactions_are_in_no_block() -> None:
    chain = Chain()
    raw = chain.kit.sign("agency-0", "a", [document()])
    with pytest.raises(BlockInvalid, match="TX_EXPIRED"):
        chain.execute([raw], time_ms=EXP * 1000)
    with pytest.raises(BlockInvalid, match="TX_EXPIRY_TOO_FAR"):
        chain.execute([chain.kit.sign("agency-0", "a", [document()], EXP + 86_400)])


def test_a_block_ends_before_its_caps() -> None:
    parameters = Parameters(block_transactions_max=3, block_bytes_max=65_536)
    chain = Chain(make_genesis(4, parameters=parameters))
    small = [chain.kit.sign("agency-0", f"s{n}", [document()]) for n in range(4)]
    execution = chain.execute(small, select=True)
    assert (len(execution.included), execution.dropped) == (3, ())
    with pytest.raises(BlockInvalid, match="BLOCK_TOO_LARGE"):
        chain.execute(small)
    kids = [f"{n:043d}" for n in range(32)]
    revoke = {"op": "party.revoke", "party": "x", "kids": kids, "reason_code": "r"}
    large = [chain.kit.sign("agency-0", f"l{n}", [revoke] * 12) for n in range(3)]
    assert 65_536 // 3 < len(large[0]) < 65_536
    assert len(chain.execute(large, select=True).included) == 2
    with pytest.raises(BlockInvalid, match="BLOCK_TOO_LARGE"):
        chain.execute(large)
    # What is dropped takes no room.
    expired = chain.kit.sign("agency-0", "e", [revoke] * 12, 1)
    execution = chain.execute([expired, *large[:2]], select=True)
    assert (len(execution.included), len(execution.dropped)) == (2, 1)


def _evidence(member: int) -> bytes:
    return canonical.encode(
        {
            "type": "muniment-evidence-v1",
            "kind": "commit",
            "epoch": 0,
            "member": member,
            "first": {},
            "second": {},
        }
    )


def test_evidence_is_noted_once() -> None:
    chain = Chain()
    items = sorted([_evidence(0), _evidence(1)])
    execution = chain.execute([], evidence=items)
    assert execution.evidence == tuple(items)
    value = execution.state.get(b"evidence/0/1/commit")
    assert value is not None
    noted = {"height": 1, "kind": "commit", "member": 1, "epoch": 0}
    assert json.loads(value) == {**noted, "hash": sha256(_evidence(1)).hexdigest()}
    chain.state = execution.state
    with pytest.raises(BlockInvalid, match="known"):
        chain.execute([], evidence=items[:1])
    bad = [b"{}", items[0], _evidence(2), _evidence(2)]
    assert chain.execute([], evidence=bad, select=True).evidence == (_evidence(2),)


def test_evidence_out_of_order_or_unreadable_makes_a_block_invalid() -> None:
    chain = Chain()
    items = sorted([_evidence(0), _evidence(1)])
    for evidence in (items[::-1], [items[0], items[0]], [b"{}"]):
        with pytest.raises(BlockInvalid, match="EVIDENCE_INVALID"):
            chain.execute([], evidence=evidence)


def test_two_stores_come_to_one_root(tmp_path: Path) -> None:
    level = LevelStore(tmp_path / "db", create_if_missing=True)
    chains = [Chain(), Chain(store=level)]
    for number in range(4):
        raws = [
            chains[0].kit.sign(f"agency-{n % 4}", f"{number}-{n}", [document(f"{n:064x}")])
            for n in range(12)
        ]
        blocks = [chain.block(*raws, time_ms=chain.time_ms + 50_000) for chain in chains]
        assert blocks[0] == blocks[1]
        assert chains[0].state.root == chains[1].state.root
    assert dict(chains[0].store.scan(b"")) == dict(level.scan(b""))
    assert State.load(level).root == chains[1].state.root
    level.close()


def test_a_proposers_choice_is_valid_for_the_others() -> None:
    chain = Chain()
    good = [chain.kit.sign("agency-0", f"g{n}", [document(f"{n:064x}")]) for n in range(5)]
    claims = {"iss": "agency-0", "aud": chain.kit.chain, "jti": "x", "exp": EXP}
    stranger = sign({**claims, "ops": [document()]}, signer("stranger"))
    proposed = chain.execute([good[0], stranger, *good[1:], good[0]], select=True)
    assert [d.why.reason for d in proposed.dropped] == ["TX_UNKNOWN_KEY", "TX_REPLAYED"]
    checked = chain.execute([a.transaction.raw for a in proposed.included])
    assert checked.entries == proposed.entries
    assert checked.state.root == proposed.state.root


def test_blocks_stack_before_any_is_committed() -> None:
    chain = Chain()
    roots = []
    for number in range(16):
        raw = chain.kit.sign("agency-0", f"n{number}", [document(f"{number:064x}")])
        execution = chain.execute([raw])
        chain.state = execution.state
        chain.height += 1
        chain.time_ms += 1000
        roots.append(execution.state.root)
    with pytest.raises(BlockInvalid, match="TX_REPLAYED"):
        chain.execute([chain.kit.sign("agency-0", "n0", [document()])])
    other = Chain()
    for number in range(16):
        other.block(other.kit.sign("agency-0", f"n{number}", [document(f"{number:064x}")]))
        assert other.state.root == roots[number]
